"""Two passes over a video: locate events window by window, then attribute each to what was seen in it.

Source: specification, section 3 (decision D1).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from omnisila.config import Config
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.errors import InputError
from omnisila.inference.attributing import attributed, ranked_cause, written_cause
from omnisila.inference.seeing import seeing
from omnisila.labels import LabelSet
from omnisila.labels import label_set as built_in
from omnisila.models.checkpoint import Run
from omnisila.models.likelihood import Asked, Likelihood, answers_likelihood, posterior
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.windows import SCENES, Window, WindowBatch, WindowConfig, windows
from omnisila.schema import (
    Analysis,
    CurvePoint,
    ExpertWeights,
    ExpertWeightsPoint,
    Finding,
    Span,
    VideoIdentity,
)
from omnisila.spans import ANOMALY_CURVE, LabelledSpan, SpanShape, Thresholds, labelled_spans

Progress = Callable[[str, float], None]  # gets a stage's name and the share of it that is done

BATCH_WINDOWS = 32
PRETRAINED_BATCH_WINDOWS = 8  # of two thousand tokens each
UNCALIBRATED = LabelSetCalibration(
    temperature=1.0, shape=SpanShape(), thresholds={ANOMALY_CURVE: Thresholds(on=0.6, off=0.45)}
)
FACE_BOUND = "explicit"  # the label set that is about faces: without one, nothing is conveyed


class AnalyzerConfig(Config):
    """What is asked of a video.

    Attributes:
        labels: names of label sets; the first one's anomaly curve is the page's.
        window_s: length of a window; None takes the model's own, as does ``rate_hz``.
        rate_hz: frames per second within a window.
        max_fnr: choose thresholds for at most this false-negative rate per video; None takes the model's own choice.
    """

    labels: tuple[str, ...] = ("implicit", "explicit")
    window_s: float | None = Field(default=None, gt=0)
    rate_hz: float | None = Field(default=None, gt=0)
    max_fnr: float | None = Field(default=None, gt=0, lt=1)


class Scored(NamedTuple):
    """Windows of a video with what the model makes of them."""

    spans: tuple[Span, ...]
    posteriors: dict[str, Float[np.ndarray, "windows labels"]]
    expert_weights: Float[np.ndarray, "windows experts"]


class Analyzer:
    """A model, its extractors and a feature cache.

    Raises:
        InputError: a label set the model was not trained on, or a false-negative rate it was not calibrated for.
    """

    def __init__(self, run: Run, config: AnalyzerConfig, cache: FeatureCache) -> None:
        self.run, self.config, self.cache = run, config, cache
        self.label_sets: dict[str, LabelSet] = {name: built_in(name) for name in dict.fromkeys(config.labels)}
        for name in self.label_sets:
            if not run.record.labels.get(name):
                known = ", ".join(run.record.labels)
                raise InputError(f"label set {name!r}: model {run.record.name} was trained on: {known}. Ask for those.")
        own = run.record.window
        self.window: WindowConfig = own.replace(
            window_s=config.window_s or own.window_s, rate_hz=config.rate_hz or own.rate_hz
        )
        self.sem = LoadedWhenNeeded(run.record.sem.at_rate(self.window.rate_hz))
        self.calibrations = {name: self._calibration(name) for name in self.label_sets}

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Findings of one video with their causes and evidence.

        Args:
            path: a video or still picture.
            progress: told how far each stage is.

        Raises:
            MediaError: it cannot be read as a video.
        """
        path, report = Path(path), progress or _silent
        timings: dict[str, float] = {}
        with _timed(timings, "features"):
            extracted = self.extracted(path, lambda share: report("features", share))
        timings |= {f"features/{stage}": seconds for stage, seconds in extracted.seconds.items()}
        with _timed(timings, "locate"):
            scored = self.scored(extracted, lambda share: report("locate", share))
        with _timed(timings, "attribute"):
            found = [(name, span) for name in self.label_sets for span in self._spans(name, scored)]
            found.sort(key=lambda item: (item[1].span.start_s, item[1].span.end_s))
            findings: list[Finding] = []
            for number, (name, span) in enumerate(found):
                report("attribute", number / len(found))
                findings.append(self.attributed(name, span, _over_span(scored, span.span), extracted))
        report("attribute", 1.0)
        return Analysis(
            video=_identity(path, extracted),
            labels=tuple(self.label_sets),
            labels_not_scored=self.labels_not_scored,
            model=self.run.record.identity,
            findings=tuple(findings),
            anomaly_curve=self._curve(scored),
            expert_weights=tuple(
                ExpertWeightsPoint(start_s=span.start_s, end_s=span.end_s, **_weights(row))
                for span, row in zip(scored.spans, scored.expert_weights, strict=True)
            ),
            warnings=(*extracted.warnings, *self._warnings()),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def extracted(self, path: Path, progress: Callable[[float], None] | None = None) -> Extracted:
        """The video's scene features, from the cache where they are there.

        Raises:
            MediaError: it cannot be read as a video.
        """
        return self.cache.extracted(path, self.sem, progress)

    @property
    def labels_not_scored(self) -> tuple[str, ...]:
        """Labels of the label sets asked for that the model was not trained on."""
        return tuple(
            label
            for name, labels in self.label_sets.items()
            for label in labels.labels
            if label not in self.run.record.labels[name]
        )

    def _calibration(self, name: str) -> LabelSetCalibration:
        calibration = self.run.calibration.label_sets.get(name) if self.run.calibration else None
        if self.config.max_fnr is None:
            return calibration or UNCALIBRATED
        if calibration is None:
            raise InputError(
                f"--max-fnr {self.config.max_fnr:g}: model {self.run.record.name} has no calibration for label set "
                f"{name!r}. Leave --max-fnr out, or calibrate the run."
            )
        point = calibration.at_most(self.config.max_fnr)
        return calibration.replace(thresholds=point.thresholds)

    @torch.inference_mode()
    def scored(self, extracted: Extracted, progress: Callable[[float], None] | None = None) -> Scored:
        """Every window of a video, scored by the likelihood of each label."""
        duration_s = extracted.info.duration_s
        spans: list[Span] = []
        posteriors: dict[str, list[Tensor]] = {name: [] for name in self.label_sets}
        weights: list[Tensor] = []
        see = seeing(self.run, Path(extracted.info.path))
        size = BATCH_WINDOWS if self.run.tower is None else PRETRAINED_BATCH_WINDOWS
        for batch in _batches(windows(self.cache.shards(extracted), self.window, duration_s), size):
            spans += [window.span for window in batch]
            judged = self.judged(see(batch), tuple(self.label_sets))
            for name, one in judged.items():
                posteriors[name].append(one.posterior)
            weights.append(next(iter(judged.values())).expert_weights)  # the scenes do not depend on the question
            if progress is not None:
                progress(min(spans[-1].end_s / max(duration_s, 1e-6), 1.0))
        return Scored(
            tuple(spans),
            {name: torch.cat(parts).double().numpy() for name, parts in posteriors.items()},
            torch.cat(weights).double().numpy(),
        )

    @torch.inference_mode()
    def judged(self, inputs: WindowBatch, names: Sequence[str]) -> dict[str, "Judged"]:
        """The calibrated posterior of each window over the labels that the model was trained on, by label set."""
        asked = [
            Asked(
                render_instruction(Instruction("identify", self.label_sets[name])),
                tuple(render_label(label) for label in self.run.record.labels[name]),
            )
            for name in names
        ]
        found = answers_likelihood(self.run.model, inputs.scenes, inputs.visual, asked)
        return {name: self._calibrated(name, one, inputs) for name, one in zip(names, found, strict=True)}

    def _calibrated(self, name: str, likelihood: Likelihood, inputs: WindowBatch) -> "Judged":
        labels, quiet = self.run.record.labels[name], self.label_sets[name].quiet
        probability = posterior(likelihood.log_probs, self.calibrations[name].temperature).cpu()
        if name == FACE_BOUND and quiet in labels:
            faceless = ~inputs.scenes.face.mask.flatten(1).any(1).cpu()
            probability[faceless] = 0.0
            probability[faceless, labels.index(quiet)] = 1.0
        return Judged(probability, _mean_weights(likelihood.perception.probabilities).float().cpu())

    def _spans(self, name: str, scored: Scored) -> tuple[LabelledSpan, ...]:
        calibration = self.calibrations[name]
        return labelled_spans(
            np.array([span.start_s for span in scored.spans]),
            np.array([span.end_s for span in scored.spans]),
            scored.posteriors[name],
            self.run.record.labels[name],
            self.label_sets[name],
            calibration.thresholds,
            calibration.shape,
        )

    def attributed(self, name: str, found: LabelledSpan, weights: ExpertWeights, extracted: Extracted) -> Finding:
        """A span as a finding with its cause and evidence; ``weights`` are the experts' over the span."""
        return attributed(
            self.run.model,
            self.label_sets[name],
            self.run.record.labels[name],
            found,
            weights,
            lambda span: self.cache.shards(extracted, span),
            self.window.frames,
            seeing(self.run, Path(extracted.info.path)),
            ranked_cause if self.run.tower is None else written_cause,
        )

    def _curve(self, scored: Scored) -> tuple[CurvePoint, ...]:
        points: list[CurvePoint] = []
        for index, span in enumerate(scored.spans):
            rows = {
                name: dict(zip(self.run.record.labels[name], map(_rounded, matrix[index]), strict=True))
                for name, matrix in scored.posteriors.items()
            }
            first = next(iter(self.label_sets.values()))
            row = rows[first.name]
            score = 1.0 - row[first.quiet] if first.quiet in row else max(row.values())
            points.append(CurvePoint(start_s=span.start_s, end_s=span.end_s, score=_rounded(score), posterior=rows))
        return tuple(points)

    def _warnings(self) -> Iterator[str]:
        if self.cache.warning:
            yield self.cache.warning
        if self.labels_not_scored:
            yield f"not scored, for the model was not trained on them: {', '.join(self.labels_not_scored)}"
        own = self.run.record.window
        if self.window != own:
            yield (
                f"windows of {self.window.window_s:g} s at {self.window.rate_hz:g} Hz, but the model was trained on "
                f"{own.window_s:g} s at {own.rate_hz:g} Hz: scores may be off"
            )
        if self.run.calibration is None:
            yield "thresholds are not calibrated for this model"
        elif self.config.max_fnr is not None:
            for name, calibration in self.calibrations.items():
                point = calibration.at_most(self.config.max_fnr)
                yield (
                    f"{name}: thresholds for at most {point.fnr_target:.0%} missed per video, at "
                    f"{point.false_alarms_per_hour or 0:.0f} false alarms per hour on the validation footage. "
                    f"{self.run.calibration.note}"
                )


def _silent(_stage: str, _share: float) -> None:
    """No one is told."""


class Judged(NamedTuple):
    """What the model makes of windows."""

    posterior: Float[Tensor, "windows labels"]
    expert_weights: Float[Tensor, "windows experts"]

    def weights(self, window: int) -> ExpertWeights:
        """One window's expert weights."""
        return ExpertWeights(**_weights(self.expert_weights[window].double().numpy()))


def _mean_weights(probabilities: Float[Tensor, "windows frames experts"]) -> Float[Tensor, "windows experts"]:
    """Mean over the frames that have any scene."""
    total = probabilities.sum(dim=(1, 2)).clamp(min=1e-6)
    return probabilities.sum(1) / total[:, None]


def _over_span(scored: Scored, span: Span) -> ExpertWeights:
    shared = np.array([max(min(w.end_s, span.end_s) - max(w.start_s, span.start_s), 0.0) for w in scored.spans])
    return ExpertWeights(**_weights((shared[:, None] * scored.expert_weights).sum(0) / max(shared.sum(), 1e-9)))


def _weights(row: Float[np.ndarray, "experts"]) -> dict[str, float]:
    return {name: _rounded(value) for name, value in zip(SCENES, row, strict=True)}


def _rounded(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 4)


def _batches(items: Iterable[Window], size: int) -> Iterator[list[Window]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _identity(path: Path, extracted: Extracted) -> VideoIdentity:
    info = extracted.info
    return VideoIdentity(
        path=str(path),
        sha256=extracted.sha256,
        duration_s=info.duration_s,
        rate_hz=info.rate_hz,
        width_px=info.width_px,
        height_px=info.height_px,
        decoded_ratio=extracted.decoded_ratio,
    )


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    timings[stage] = time.perf_counter() - began
