"""A fixed camera's own normal, as an analysis of its footage uses it, and how it is learnt from that footage."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from torch import Tensor

from omnisila.camera_use import CameraLimit, CameraUse
from omnisila.cameras.camera import ALARMS_PER_HOUR, Camera, CameraFacts, Verdicts, calibration_digests, spoken
from omnisila.cameras.likeness import window_vector
from omnisila.cameras.sightings import recorded_at
from omnisila.cameras.tails import MEASURED_ALARMS, thresholds_at
from omnisila.cameras.unusual import UNUSUAL_SET, Unusual, UnusualSpan
from omnisila.digests import file_digest
from omnisila.inference.attributing import seen_over
from omnisila.inference.scoring import Scorer
from omnisila.media.video import VideoInfo
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.windows import Window, WindowConfig
from omnisila.schema import ExpertWeights, Finding, Span
from omnisila.spans import LabelledSpan


def camera_facts(scorer: Scorer, window: WindowConfig, extractor_digest: str) -> CameraFacts:
    """What a camera that goes with a model says of itself; its picture's size is not known yet."""
    record = scorer.run.record
    return CameraFacts(
        extractor_digest=extractor_digest,
        model=record.identity,
        calibrations=calibration_digests(scorer.calibrations),
        window=window,
        labels={name: record.labels[name] for name in scorer.label_sets},
        width_px=0,
        height_px=0,
    )


class FixedCamera:
    """A camera that footage is rated against.

    Args:
        facts: what it must agree with.
        alarms_per_hour: of each label set, and of what is unusual; None takes ``ALARMS_PER_HOUR``.

    Raises:
        InputError: no camera file, or one that does not go with the model.
    """

    def __init__(
        self,
        path: Path,
        facts: CameraFacts,
        own: Mapping[str, LabelSetCalibration],
        alarms_per_hour: float | None = None,
    ) -> None:
        self.camera = Camera.load(path)
        self.camera.check(str(path), facts)
        wanted = self.alarms_per_hour = alarms_per_hour or ALARMS_PER_HOUR
        self.calibrations = {
            name: self.camera.calibration(name, calibration, wanted) for name, calibration in own.items()
        }
        self.rule = Unusual(self.camera, wanted)
        self.use = CameraUse(
            digest=file_digest(path),
            hours=round(self.camera.hours, 4),
            videos=len(self.camera.facts.videos),
            alarms_per_hour=wanted,
            limits=tuple(self._limits(own)),
            silent=self.rule.silent,
        )

    def _limits(self, own: Mapping[str, LabelSetCalibration]) -> Iterator[CameraLimit]:
        for name, calibration in own.items():
            for label, found, raised in self.camera.limits(name, calibration, self.alarms_per_hour):
                on = round(thresholds_at(found.log_odds, 0.0).on, 4)
                yield CameraLimit(labels=name, label=label, on=on, measured=found.measured, raised=raised)

    @property
    def notes(self) -> Iterator[str]:
        """What can be promised from the footage that was learnt."""
        hours, wanted = spoken(self.camera.hours), self.alarms_per_hour
        how = "read off its ordinary footage"
        if not all(limit.measured for limit in self.use.limits):
            most = max(Counter(limit.labels for limit in self.use.limits).values())
            how = (
                "in part extrapolated from the strongest scores in it, an estimate and no promise: about "
                f"{MEASURED_ALARMS * most / wanted:.0f} hours would measure it"
            )
        if self.camera.hours * wanted < 1:
            how += f". Unusual is what is new after {hours}: that may be more often than once in {1 / wanted:g} hours"
        yield f"camera: learnt from {hours}, thresholds for {wanted:g} false alarms an hour of each label set, {how}"
        if self.use.silent:
            yield (
                f"camera: too much is new in {hours} to report an unusual {', '.join(self.use.silent)} at {wanted:g} "
                "false alarms an hour. More footage helps"
            )

    def reports(self, found: LabelledSpan) -> bool:
        """Whether reviewers' decisions leave a finding standing."""
        return found.score >= self.camera.facts.verdicts.get(found.label, Verdicts()).least_score

    def rating(self, video: Path, info: VideoInfo) -> "Rating":
        """What rates one video.

        Raises:
            InputError: its picture is not the camera's.
        """
        self.camera.check_picture(video, info.width_px, info.height_px)
        return Rating(self.rule, info.width_px / max(info.height_px, 1), recorded_at(video))


def unusual_finding(
    found: LabelledSpan, cause: str, weights: ExpertWeights | None, shards: Callable[[Span], Iterator[SceneShard]]
) -> Finding:
    """An unusual stretch as a finding; ``shards`` gives what was seen in one."""
    return Finding(
        span=found.span,
        label=found.label,
        labels=UNUSUAL_SET,
        score=found.score,
        cause=cause,
        cause_by="evidence",
        evidence=seen_over(found.span, shards).evidence,
        expert_weights=weights,
    )


class Rating:
    """One video against its camera: its windows pass by, then its shards."""

    def __init__(self, rule: Unusual, aspect: float, begin: datetime | None) -> None:
        self._rule, self._aspect, self._begin = rule, aspect, begin
        self._spans: list[Span] = []
        self._described: list[Tensor] = []

    def passing(self, windows: Iterable[Window]) -> Iterator[Window]:
        """The same windows."""
        for window in windows:
            self._spans.append(window.span)
            self._described.append(window_vector(window))
            yield window

    def unusual(self, shards: Iterable[SceneShard]) -> Iterator[UnusualSpan]:
        """The unusual stretches, once all windows have passed."""
        return self._rule.spans(self._spans, self._described, shards, self._aspect, self._begin)
