"""What published annotations say of a video or picture, before any example is made of it.

Readers of ``data/annotations`` yield these; ``prepare`` turns them into examples. The footage need not be at hand.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from omnisila.config import Frozen
from omnisila.labels import label_set
from omnisila.schema import Probability, SceneName, Seconds, Truth

Split = Literal["train", "val", "test"]


class AnnotatedVideo(Frozen):
    """One video with everything its annotation says.

    Args:
        id: unique within the set.
        video: path relative to the footage's folder, with forward slashes.
        labels: name of the label set.
        truth: events in time order, empty for a video in which nothing happens; None when their times are unknown.
        video_label: the label of the whole video where times are unknown (a weak label).
        duration_s: as the annotation states it; None: ask the file.
        intensities: of reactions over the whole video.
        split: as published.
        group: the source that must not stand on both sides of a split (a video, a person).
        note: free text that belongs to the whole video, such as a description.
    """

    id: str
    video: str
    labels: str
    truth: tuple[Truth, ...] | None = ()
    video_label: str | None = None
    duration_s: Seconds | None = None
    intensities: dict[str, Probability] | None = None
    split: Split
    group: str
    note: str | None = None

    @model_validator(mode="after")
    def _labels_exist(self) -> Self:
        known = label_set(self.labels).labels
        said = [truth.label for truth in self.truth or ()]
        for label in said if self.video_label is None else [*said, self.video_label]:
            if label not in known:
                raise ValueError(f"{self.id}: label {label!r} is not in label set {self.labels}: {', '.join(known)}")
        return self


class Described(Frozen):
    """One scene of a picture, video or motion in words: an item of scene tuning. Source: Omni-SILA 3.4.

    Args:
        id: unique within the set.
        source: path of the picture, video or motion file, relative to the set's folder.
        medium: what ``source`` is; a motion is rendered as skeletons.
        scene: which scene the text describes.
        text: the description.
        start_s: where in the video or motion it begins.
        end_s: where it ends; None: at its end.
        split: as published.
        group: the source that must not stand on both sides of a split.
    """

    id: str
    source: str
    medium: Literal["image", "video", "motion"]
    scene: SceneName
    text: str
    start_s: Seconds = 0.0
    end_s: Seconds | None = None
    split: Split
    group: str


class Malformed(Frozen):
    """A row that was left out: where it stands, what came, what was wanted. It is counted, never guessed."""

    file: str
    line: int | None
    reason: str


class AnnotatedSet(Frozen):
    """A set's annotations with the rows that could not be read."""

    name: str
    videos: tuple[AnnotatedVideo, ...] = ()
    described: tuple[Described, ...] = ()
    malformed: tuple[Malformed, ...] = Field(default=())
