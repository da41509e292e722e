"""Two passes over a video: locate events window by window, then attribute each to what was seen in it.

Source: specification, section 3 (decision D1).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from omnisila.config import Config
from omnisila.inference.attributing import attributed, ranked_cause, written_cause
from omnisila.inference.scoring import Scored, Scorer
from omnisila.inference.seeing import See, seeing
from omnisila.models.checkpoint import Run
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.windows import WindowConfig, windows
from omnisila.schema import Analysis, ExpertWeights, Finding, VideoIdentity
from omnisila.spans import LabelledSpan

Progress = Callable[[str, float], None]  # gets a stage's name and the share of it that is done


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


class Analyzer:
    """A model, its extractors and a feature cache.

    Raises:
        InputError: a label set the model was not trained on, or a false-negative rate it was not calibrated for.
    """

    def __init__(self, run: Run, config: AnalyzerConfig, cache: FeatureCache) -> None:
        self.run, self.config, self.cache = run, config, cache
        self.scorer = Scorer(run, config.labels, config.max_fnr)
        own = run.record.window
        self.window: WindowConfig = own.replace(
            window_s=config.window_s or own.window_s, rate_hz=config.rate_hz or own.rate_hz
        )
        self.sem = LoadedWhenNeeded(run.record.sem.at_rate(self.window.rate_hz))

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
            found = [(name, span) for name in self.scorer.label_sets for span in self.scorer.spans(name, scored)]
            found.sort(key=lambda item: (item[1].span.start_s, item[1].span.end_s))
            findings: list[Finding] = []
            for number, (name, span) in enumerate(found):
                report("attribute", number / len(found))
                findings.append(self.attributed(name, span, scored.weights_over(span.span), extracted))
        report("attribute", 1.0)
        return Analysis(
            video=_identity(path, extracted),
            labels=tuple(self.scorer.label_sets),
            labels_not_scored=self.scorer.labels_not_scored,
            model=self.run.record.identity,
            findings=tuple(findings),
            anomaly_curve=self.scorer.curve(scored),
            expert_weights=scored.weight_points(),
            warnings=(*extracted.warnings, *self._warnings()),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def extracted(self, path: Path, progress: Callable[[float], None] | None = None) -> Extracted:
        """The video's scene features, from the cache where they are there.

        Raises:
            MediaError: it cannot be read as a video.
        """
        return self.cache.extracted(path, self.sem, progress)

    def scored(self, extracted: Extracted, progress: Callable[[float], None] | None = None) -> Scored:
        """Every window of a video, scored by the likelihood of each label."""
        cut = windows(self.cache.shards(extracted), self.window, extracted.info.duration_s)
        return self.scorer.scored(cut, self.see(extracted), extracted.info.duration_s, progress)

    def see(self, extracted: Extracted) -> See:
        """How windows of a video become the model's input."""
        return seeing(self.run, Path(extracted.info.path))

    def attributed(self, name: str, found: LabelledSpan, weights: ExpertWeights, extracted: Extracted) -> Finding:
        """A span as a finding with its cause and evidence; ``weights`` are the experts' over the span."""
        return attributed(
            self.run.model,
            self.scorer.label_sets[name],
            self.run.record.labels[name],
            found,
            weights,
            lambda span: self.cache.shards(extracted, span),
            self.window.frames,
            self.see(extracted),
            ranked_cause if self.run.tower is None else written_cause,
        )

    def _warnings(self) -> Iterator[str]:
        if self.cache.warning:
            yield self.cache.warning
        if self.scorer.labels_not_scored:
            yield f"not scored, for the model was not trained on them: {', '.join(self.scorer.labels_not_scored)}"
        own = self.run.record.window
        if self.window != own:
            yield (
                f"windows of {self.window.window_s:g} s at {self.window.rate_hz:g} Hz, but the model was trained on "
                f"{own.window_s:g} s at {own.rate_hz:g} Hz: scores may be off"
            )
        if self.run.calibration is None:
            yield "thresholds are not calibrated for this model"
        elif self.config.max_fnr is not None:
            for name, calibration in self.scorer.calibrations.items():
                point = calibration.at_most(self.config.max_fnr)
                yield (
                    f"{name}: thresholds for at most {point.fnr_target:.0%} missed per video, at "
                    f"{point.false_alarms_per_hour or 0:.0f} false alarms per hour on the validation footage. "
                    f"{self.run.calibration.note}"
                )


def _silent(_stage: str, _share: float) -> None:
    """No one is told."""


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
