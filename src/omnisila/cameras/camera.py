"""A camera file: one safetensors file with a row of statistics for each video that was learnt, and what they are of.

The rows are kept apart, so that a video can be learnt again or taken out, and a killed run goes on after the last one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Int
from pydantic import Field, ValidationError
from torch import Tensor

from omnisila.camera_use import FACTS, check_camera_file
from omnisila.cameras.footage import LearntVideo, Row, hysteresis
from omnisila.cameras.tails import Expected, Limit, limit, log_odds, quantile, thresholds_at
from omnisila.config import Frozen
from omnisila.digests import digest
from omnisila.errors import InputError, RecordError
from omnisila.files import write_atomically
from omnisila.labels import label_set
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.store import pack, unpack
from omnisila.scenes.windows import WindowConfig
from omnisila.schema import ModelIdentity, Probability
from omnisila.spans import ANOMALY_CURVE

ALARMS_PER_HOUR = 0.2
UNCALIBRATED_ALARMS = 60.0  # an hour, of a label set whose false alarms nobody counted


class Verdicts(Frozen):
    """What people decided about a label's findings on this camera; those below ``least_score`` are left out."""

    accepted: int = Field(default=0, ge=0)
    rejected: int = Field(default=0, ge=0)
    least_score: Probability = 0.0


class CameraFacts(Frozen):
    """What a camera file is of: all that must be the same where it is used, and what it was learnt from.

    Attributes:
        extractor_digest: of the scene extractors.
        model: whose scores were learnt.
        calibrations: SHA-256 of the model's calibration, by label set (``calibration_digests``).
        labels: the labels scored, by label set.
        verdicts: of reviewers, by label.
    """

    format: Literal[1] = 1
    extractor_digest: str
    model: ModelIdentity
    calibrations: dict[str, str]
    window: WindowConfig
    labels: dict[str, tuple[str, ...]]
    width_px: int
    height_px: int
    videos: tuple[LearntVideo, ...] = ()
    verdicts: dict[str, Verdicts] = Field(default_factory=dict)


class LabelLimit(NamedTuple):
    """From when on a label is reported on a camera, and how that was found."""

    label: str
    limit: Limit
    raised: bool  # to a threshold of the model's own


def validated_alarms_per_hour(own: LabelSetCalibration) -> float:
    """False alarms of a label set at the model's own thresholds on its validation footage, as far as that is known."""
    fitted = [point.false_alarms_per_hour for point in own.operating_points if point.thresholds == own.thresholds]
    return max(next((rate for rate in fitted if rate is not None), UNCALIBRATED_ALARMS), 1.0)


def calibration_digests(calibrations: Mapping[str, LabelSetCalibration]) -> dict[str, str]:
    """SHA-256 of what decides how many alarms a score gives, by label set."""
    return {name: digest(calibration.model_dump_json()) for name, calibration in calibrations.items()}


@dataclass(frozen=True)
class Camera:
    """A camera's own normal; ``tensors`` have one row a video, in the order of ``facts.videos``."""

    facts: CameraFacts
    tensors: Mapping[str, Tensor]

    @property
    def hours(self) -> float:
        """Of ordinary footage that was learnt."""
        return sum(video.seconds for video in self.facts.videos) / 3600

    @classmethod
    def load(cls, path: Path) -> Self:
        """A camera from its file.

        Raises:
            InputError: there is no such file, it is no whole camera file, or it was learnt from no footage.
        """
        check_camera_file(path)
        try:
            tensors, facts = unpack(path)
            camera = cls(CameraFacts.model_validate_json(facts[FACTS]), tensors)
        except (RecordError, KeyError, ValidationError):
            raise InputError(
                f"camera {path}: not a whole camera file. Give one that omnisila learn-camera wrote, or learn it again."
            ) from None
        if camera.hours <= 0:
            raise InputError(
                f"camera {path}: learnt from no footage. Learn it from some hours in which nothing happened."
            )
        return camera

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomically(path, pack(dict(self.tensors), {FACTS: self.facts.model_dump_json()}))

    def check(self, name: str, wanted: CameraFacts) -> None:
        """Whether this camera goes with a model and its extractors.

        Args:
            wanted: those facts of a camera that would; its picture's size and videos do not count.

        Raises:
            InputError: it does not.
        """
        mine, again = self.facts, "Learn it again with this model, or analyse with that one."
        if mine.extractor_digest != wanted.extractor_digest or mine.window != wanted.window:
            raise InputError(f"camera {name}: learnt with other scene extractors or windows. {again}")
        if mine.model.digest != wanted.model.digest:
            told = (f"{model.name}@{model.digest[:12]}" for model in (mine.model, wanted.model))
            raise InputError(f"camera {name}: learnt with model {', not '.join(told)}. {again}")
        if missing := [labels for labels in wanted.labels if labels not in mine.labels]:
            raise InputError(
                f"camera {name}: learnt for label sets {', '.join(mine.labels)}, not {', '.join(missing)}. Ask for "
                "those, or learn it again with --labels."
            )
        if any(mine.calibrations[labels] != fitted for labels, fitted in wanted.calibrations.items()):
            raise InputError(f"camera {name}: the model was calibrated anew since it was learnt. Learn it again.")

    def check_picture(self, video: Path, width_px: int, height_px: int) -> None:
        """Whether a video may be of this camera.

        Raises:
            InputError: its picture has another size.
        """
        if (width_px, height_px) != (self.facts.width_px, self.facts.height_px):
            raise InputError(
                f"{video}: {width_px} x {height_px} px, but the camera was learnt from {self.facts.width_px} x "
                f"{self.facts.height_px} px. Give its own footage, or learn a camera from footage of this size."
            )

    def total(self, name: str) -> Int[np.ndarray, "..."]:
        return self.tensors[name].long().sum(0).numpy()

    def with_row(self, row: Row) -> "Camera":
        """The camera with one more video, or with a video learnt anew."""
        rest = self.without(row.video.sha256)
        tensors = {
            name: torch.cat([rest.tensors[name], added[None]]) if name in rest.tensors else added[None]
            for name, added in row.tensors.items()
        }
        return Camera(rest.facts.replace(videos=(*rest.facts.videos, row.video)), tensors)

    def without(self, sha256: str) -> "Camera":
        kept = [place for place, video in enumerate(self.facts.videos) if video.sha256 != sha256]
        if not kept:
            return Camera(self.facts.replace(videos=()), {})
        videos = tuple(self.facts.videos[place] for place in kept)
        return Camera(self.facts.replace(videos=videos), {name: tensor[kept] for name, tensor in self.tensors.items()})

    def finding_labels(self, name: str) -> tuple[str, ...]:
        """A label set's labels that may become findings, in the order of the rows of its counts."""
        return tuple(label for label in self.facts.labels[name] if label != label_set(name).quiet)

    def limits(self, name: str, own: LabelSetCalibration, alarms_per_hour: float) -> Iterator[LabelLimit]:
        """From when on each label is reported, so that all of a label set raise at most so many false alarms an hour.

        The labels share them, by how often people accepted their findings here (rule of succession). A threshold below
        the model's own is only taken as far as the model's own lower threshold, and only where it was measured: scores
        that nothing reached in little footage may be low for any footage.
        """
        labels = self.finding_labels(name)
        known = [self.facts.verdicts.get(label, Verdicts()) for label in labels]
        weights = np.array([(said.accepted + 1) / (said.accepted + said.rejected + 2) for said in known])
        shares = weights / weights.sum()
        for label, share, counts in zip(labels, shares, self.total(f"alarms/{name}"), strict=True):
            thresholds = own.thresholds.get(label) or own.thresholds[ANOMALY_CURVE]
            on, off = log_odds(np.array([thresholds.on, thresholds.off])).tolist()
            expected = Expected(on, validated_alarms_per_hour(own) / len(labels))
            found = limit(counts, self.hours, alarms_per_hour * float(share), expected)
            least = off if found.measured else on
            raised = least > found.log_odds
            yield LabelLimit(label, found._replace(log_odds=least) if raised else found, raised)

    def calibration(self, name: str, own: LabelSetCalibration, alarms_per_hour: float) -> LabelSetCalibration:
        """A label set's calibration with the thresholds for a number of false alarms an hour on this camera."""
        return own.replace(
            thresholds={
                label: thresholds_at(found.log_odds, hysteresis(own, label))
                for label, found, _ in self.limits(name, own, alarms_per_hour)
            }
        )

    def quantiles(self, name: str, levels: Sequence[float] = (0.5, 0.9, 0.99)) -> dict[str, tuple[float, ...]]:
        """Quantiles of each label's scores in ordinary windows."""
        rows = zip(self.finding_labels(name), self.total(f"scores/{name}"), strict=True)
        return {label: tuple(quantile(counts, level) for level in levels) for label, counts in rows}


def spoken(hours: float) -> str:
    """So much footage, as people say it."""
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.0f} minutes" if hours >= 2 / 60 else f"{hours * 3600:.0f} seconds"
