"""The first pass: every window of a video by the likelihood of each label, and the spans that its curves give."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.data.instructions import Instruction, render_instruction, render_label, render_question
from omnisila.errors import InputError
from omnisila.inference.run_folders import calibration_at, check_answered
from omnisila.inference.seeing import See, blank_window
from omnisila.labels import LabelSet, label_set
from omnisila.models.checkpoint import Run
from omnisila.models.likelihood import Asked, Likelihood, label_likelihoods, posterior
from omnisila.operating_points import LabelSetCalibration, Shortcuts
from omnisila.scene_registry import SCENES
from omnisila.scenes.windows import Window, WindowBatch
from omnisila.schema import CurvePoint, ExpertWeights, ExpertWeightsPoint, SceneName, Span
from omnisila.spans import ANOMALY_CURVE, LabelledSpan, SpanShape, Thresholds, anomaly_scores, labelled_spans

BATCH_WINDOWS = 32
PRETRAINED_BATCH_WINDOWS = 8  # of two thousand tokens each
UNCALIBRATED = LabelSetCalibration(
    temperature=1.0, shape=SpanShape(), thresholds={ANOMALY_CURVE: Thresholds(on=0.6, off=0.45)}
)
FACE_BOUND = "explicit"  # the label set that is about faces: without one, nothing is conveyed


class Scored(NamedTuple):
    """Windows of a video with what the model makes of them; those that it did not see are quiet and without weights.

    ``posteriors`` are those that findings are located by; ``anomaly`` is the first label set's score, in which labels
    that need all votes for a finding count by their mean, and some are averaged in (decisions D265 and D267).
    """

    spans: tuple[Span, ...]
    posteriors: dict[str, Float[np.ndarray, "windows labels"]]
    anomaly: Float[np.ndarray, "windows"]
    expert_weights: Float[np.ndarray, "windows experts"]

    def weights_over(self, span: Span) -> ExpertWeights:
        """The experts' mean weights over a span."""
        shared = np.array([max(min(w.end_s, span.end_s) - max(w.start_s, span.start_s), 0.0) for w in self.spans])
        shared = shared * self.expert_weights.any(1)
        return _weights((shared[:, None] * self.expert_weights).sum(0) / max(shared.sum(), 1e-9))

    def weight_points(self) -> tuple[ExpertWeightsPoint, ...]:
        """The experts' weights over time."""
        rows = ((span, row) for span, row in zip(self.spans, self.expert_weights, strict=True) if row.any())
        return tuple(ExpertWeightsPoint(start_s=span.start_s, end_s=span.end_s, **_weights(row)) for span, row in rows)

    def label_spans(
        self, known: Sequence[str], labels: LabelSet, calibration: LabelSetCalibration, until_s: float = float("inf")
    ) -> tuple[LabelledSpan, ...]:
        """What of a label set was found, and when.

        Args:
            known: the set's labels that have a column of ``posteriors``.
            until_s: as in ``spans.flagged_stretches``.
        """
        return labelled_spans(
            np.array([span.start_s for span in self.spans]),
            np.array([span.end_s for span in self.spans]),
            self.posteriors[labels.name],
            known,
            labels,
            calibration.thresholds,
            calibration.shape,
            until_s,
        )

    def curve(self, known: Mapping[str, Sequence[str]]) -> tuple[CurvePoint, ...]:
        """The anomaly curve of the first label set, with the posteriors of all."""
        points: list[CurvePoint] = []
        for index, span in enumerate(self.spans):
            rows = {
                name: dict(zip(labels, map(_round_score, self.posteriors[name][index]), strict=True))
                for name, labels in known.items()
            }
            score = _round_score(self.anomaly[index])
            points.append(CurvePoint(start_s=span.start_s, end_s=span.end_s, score=score, posterior=rows))
        return tuple(points)


class Judged(NamedTuple):
    """What the model makes of windows; ``located`` is the posterior by which events are looked for."""

    posterior: Float[Tensor, "windows labels"]
    located: Float[Tensor, "windows labels"]
    expert_weights: Float[Tensor, "windows experts"]

    def over(self, windows: slice) -> "Judged":
        """Several windows as one: the mean of their log-posteriors, and of their expert weights."""
        posteriors = (each[windows].clamp(min=1e-12).log() for each in (self.posterior, self.located))
        posterior, located = (logs.mean(0).softmax(-1)[None] for logs in posteriors)
        return Judged(posterior, located, self.expert_weights[windows].mean(0)[None])

    def weights(self, window: int) -> ExpertWeights:
        """One window's expert weights."""
        return _weights(self.expert_weights[window].double().numpy())


class Scorer:
    """A run's model with the label sets that it is asked about, calibrated.

    Args:
        names: of the label sets; the first one's anomaly curve stands for the video.
        max_fnr: choose thresholds for at most this false-negative rate per video; None takes the model's own choice.

    Raises:
        InputError: a label set the model was not trained on, or a false-negative rate it was not calibrated for; a
            label set without a quiet label, where windows are left out.
    """

    def __init__(
        self, run: Run, names: Sequence[str], max_fnr: float | None = None, shortcuts: Shortcuts | None = None
    ) -> None:
        self.run, self.max_fnr, self.shortcuts = run, max_fnr, shortcuts or Shortcuts()
        self.label_sets: dict[str, LabelSet] = {name: label_set(name) for name in dict.fromkeys(names)}
        check_answered(run.record.name, run.record.labels, self.label_sets)
        for name, labels in self.label_sets.items():
            if self.shortcuts.first and labels.quiet not in run.record.labels[name]:
                raise InputError(f"--first: label set {name!r} has no quiet label to give what is left out. Leave it.")
        self.calibrations = {name: self._calibration(name) for name in self.label_sets}

    @property
    def labels_not_scored(self) -> tuple[str, ...]:
        """Labels of the label sets asked for that the model was not trained on."""
        return tuple(
            label
            for name, labels in self.label_sets.items()
            for label in labels.labels
            if label not in self.run.record.labels[name]
        )

    @torch.inference_mode()
    def score_windows(
        self,
        windows: Iterable[Window],
        see: See,
        duration_s: float,
        progress: Callable[[float], None] | None = None,
        is_candidate: Callable[[Span], bool] = lambda _: True,
    ) -> Scored:
        """Every window of a video, in order.

        Args:
            duration_s: of the video, for ``progress``, which gets the share that is done.
            is_candidate: whether the model is to see a window; the others are quiet.
        """
        spans: list[Span] = []
        seen: list[bool] = []
        posteriors: dict[str, list[Tensor]] = {name: [] for name in self.label_sets}
        first = next(iter(self.label_sets))
        shown: list[Tensor] = []  # by the first label set
        weights: list[Tensor] = []
        size = BATCH_WINDOWS if self.run.pretrained is None else PRETRAINED_BATCH_WINDOWS

        def candidates() -> Iterator[Window]:
            for window in windows:
                spans.append(window.span)
                seen.append(is_candidate(window.span))
                if seen[-1]:
                    yield window

        for batch in batches(candidates(), size):
            judged = self.judge_windows(see(batch), tuple(self.label_sets))
            for name, rated in judged.items():
                posteriors[name].append(rated.located)
            shown.append(judged[first].posterior)
            weights.append(judged[first].expert_weights)  # the scenes do not depend on the question
            if progress is not None:
                progress(min(spans[-1].end_s / max(duration_s, 1e-6), 1.0))
        return Scored(
            tuple(spans),
            {name: _spread(parts, self._quiet(name), seen) for name, parts in posteriors.items()},
            anomaly_scores(
                _spread(shown, self._quiet(first), seen),
                self.run.record.labels[first],
                self.label_sets[first],
                self.run.record.votes.averaged if self.run.record.votes else (),
                self.calibrations[first].thresholds,
            ),
            _spread(weights, np.zeros(len(SCENES)), seen),
        )

    def _quiet(self, name: str) -> Float[np.ndarray, "labels"]:
        """The posterior of a window that is ruled out."""
        return np.array([float(label == self.label_sets[name].quiet) for label in self.run.record.labels[name]])

    @torch.inference_mode()
    def judge_windows(self, inputs: WindowBatch, names: Sequence[str]) -> dict[str, Judged]:
        """The calibrated posterior of each window over the labels that the model was trained on, by label set."""
        found = self._likelihood(inputs, names)
        return {name: self._calibrate(name, likelihood, inputs) for name, likelihood in zip(names, found, strict=True)}

    def spans(self, name: str, scored: Scored, until_s: float = float("inf")) -> tuple[LabelledSpan, ...]:
        """What of a label set was found, and when; ``until_s`` as in ``spans.flagged_stretches``."""
        return scored.label_spans(self.run.record.labels[name], self.label_sets[name], self.calibrations[name], until_s)

    def curve(self, scored: Scored) -> tuple[CurvePoint, ...]:
        """The anomaly curve of the first label set, with the posteriors of all."""
        return scored.curve({name: self.run.record.labels[name] for name in self.label_sets})

    def _likelihood(self, inputs: WindowBatch, names: Sequence[str]) -> list[Likelihood]:
        asked = [
            Asked(self.question(name), tuple(render_label(label) for label in self.run.record.labels[name]))
            for name in names
        ]
        return label_likelihoods(self.run.model, inputs.scenes, inputs.visual, asked, inputs.contexts)

    def question(self, name: str) -> str:
        """What is asked; a model that was not taught the labels is told them."""
        labels = self.label_sets[name]
        if self.run.record.zero_shot is not None:
            return render_question("identify", labels.identify, name)
        return render_instruction(Instruction("identify", labels))

    @cached_property
    def _of_nothing(self) -> dict[str, Likelihood]:
        """The likelihoods for an empty video, by label set."""
        found = self._likelihood(blank_window(self.run), tuple(self.label_sets))
        return dict(zip(self.label_sets, found, strict=True))

    def _log_probs(self, name: str, likelihood: Likelihood) -> Float[Tensor, "windows labels"]:
        """Log-likelihoods of the labels as the posterior is made of them."""
        way, log_probs = self.run.record.zero_shot, likelihood.log_probs
        if way is None:
            return log_probs
        if way.contextual:
            log_probs = log_probs - self._of_nothing[name].log_probs
        return log_probs / likelihood.token_counts.to(log_probs.device) if way.length_normalised else log_probs

    def _calibrate(self, name: str, likelihood: Likelihood, inputs: WindowBatch) -> Judged:
        shown = located = self._posterior(name, self._log_probs(name, likelihood), inputs)
        if likelihood.located is not None:
            located = self._posterior(name, likelihood.located, inputs)
        weights = _mean_weights(likelihood.perception.probabilities, self.run.model.scenes)
        return Judged(shown, located, weights.float().cpu())

    def _posterior(
        self, name: str, log_probs: Float[Tensor, "windows labels"], inputs: WindowBatch
    ) -> Float[Tensor, "windows labels"]:
        """Calibrated; a label set about faces is quiet where there is none."""
        labels, quiet = self.run.record.labels[name], self.label_sets[name].quiet
        probability = posterior(log_probs, self.calibrations[name].temperature).cpu()
        if name == FACE_BOUND and quiet in labels and "face" in self.run.model.scenes:
            faceless = ~inputs.scenes["face"].mask.flatten(1).any(1).cpu()
            probability[faceless] = 0.0
            probability[faceless, labels.index(quiet)] = 1.0
        return probability

    def _calibration(self, name: str) -> LabelSetCalibration:
        calibration = self.run.calibration
        if self.max_fnr is not None:
            return calibration_at(self.run.record.name, calibration, name, self.max_fnr, self.shortcuts)
        return (calibration.label_sets.get(name) if calibration else None) or UNCALIBRATED


def _mean_weights(
    probabilities: Float[Tensor, "windows frames experts"], scenes: Sequence[SceneName]
) -> Float[Tensor, "windows scenes"]:
    """Mean over the frames that have any scene, in the table's order; 0 for a scene that the model does not know."""
    total = probabilities.sum(dim=(1, 2)).clamp(min=1e-6)
    weights = probabilities.new_zeros(len(probabilities), len(SCENES))
    weights[:, [list(SCENES).index(scene) for scene in scenes]] = probabilities.sum(1) / total[:, None]
    return weights


def _spread(parts: Sequence[Tensor], unseen: Float[np.ndarray, "width"], seen: Sequence[bool]) -> np.ndarray:
    """Rows of the windows that were seen, in their places among all."""
    rows = np.tile(unseen, (len(seen), 1))
    if parts:
        rows[np.array(seen)] = torch.cat(list(parts)).double().numpy()
    return rows


def _weights(row: Float[np.ndarray, "experts"]) -> ExpertWeights:
    return {name: _round_score(value) for name, value in zip(SCENES, row, strict=True)}


def _round_score(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 4)


def batches(items: Iterable[Window], size: int) -> Iterator[list[Window]]:
    """Windows in their order, so many at a time."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
