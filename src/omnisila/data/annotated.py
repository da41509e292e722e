"""What a data set says of its footage: the one record that every set of ``data/sets`` yields.

``prepare`` turns it into examples, and the compact models train on it. The footage need not be at hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from omnisila.config import Frozen
from omnisila.labels import label_set
from omnisila.schema import Probability, SceneName, Seconds, Span, Truth

Split = Literal["train", "val", "test"]


class AnnotatedVideo(Frozen):
    """A video, clip or still picture with everything that its set says of it.

    ``sources`` name the footage it was cut from (a video, a take, a person, a camera). Videos that share any of them
    must stand on the same side of a split, and so must videos joined by a chain of such pairs.

    Args:
        set_name: the data set (``read_set`` fills it in).
        id: unique within the set.
        path: of the file, relative to the footage's folder, with forward slashes.
        labels: label set -> the label of the whole video; None where ``truth`` alone tells, or nothing does.
        truth: events in time order, in the words of the first label set; empty for a video in which nothing happens;
            None where their times are unknown, or ``throughout`` holds.
        throughout: the labels hold from beginning to end, however long that is.
        duration_s: as the annotation states it; None: ask the file.
        intensities: of reactions over the whole video.
        split: as published; where a footage set publishes none, ``prepare`` splits it by footage.
        sources: unique over all sets, the one that names the group first.
        is_still: a picture that stands for a second of video and carries no motion.
        note: free text that belongs to the whole video, such as a description.
    """

    set_name: str = ""
    id: str
    path: str
    labels: dict[str, str | None] = Field(min_length=1)
    truth: tuple[Truth, ...] | None = ()
    throughout: bool = False
    duration_s: Seconds | None = None
    intensities: dict[str, Probability] | None = None
    split: Split = "train"
    sources: tuple[str, ...] = Field(min_length=1)
    is_still: bool = False
    licence: str = ""
    note: str | None = None

    @model_validator(mode="after")
    def _labels_exist(self) -> Self:
        said = [(name, label) for name, label in self.labels.items() if label is not None]
        for name, label in [*said, *((self.label_set, truth.label) for truth in self.truth or ())]:
            known = label_set(name).labels
            if label not in known:
                raise ValueError(f"{self.id}: label {label!r} is not in label set {name}: {', '.join(known)}")
        return self

    def __hash__(self) -> int:
        return hash((self.set_name, self.path))

    @property
    def label_set(self) -> str:
        """The first label set, whose words ``truth`` uses."""
        return next(iter(self.labels))

    @property
    def video_label(self) -> str | None:
        """The label of the whole video in the first label set."""
        return self.labels[self.label_set]

    @property
    def group(self) -> str:
        """What must not stand on both sides of a split."""
        return self.sources[0]

    def file(self, root: Path) -> Path:
        return root / self.path

    def label_over(self, labels: str, span: Span) -> str | None:
        """The label that covers most of a span; None where that label set's label, or when it holds, is not known."""
        label = self.labels.get(labels)
        if label is None or self.throughout:
            return label
        if self.truth is None:
            return None
        covered_s = sum(
            max(min(event.span.end_s, span.end_s) - max(event.span.start_s, span.start_s), 0.0) for event in self.truth
        )
        return label if covered_s >= span.duration_s / 2 else label_set(labels).quiet

    def by_label_set(self) -> Iterator["AnnotatedVideo"]:
        """The video as each of its label sets alone judges it; of several, ids end in the label set's name."""
        if len(self.labels) == 1:
            yield self
            return
        for name, label in sorted(self.labels.items()):
            truth = self.truth and tuple(event.replace(label=label) for event in self.truth)
            yield self.replace(id=f"{self.id}@{name}", labels={name: label}, truth=truth)

    def with_duration(self, duration_s: float) -> "AnnotatedVideo":
        """The video with its events, now that its duration is known: a label that holds throughout is one event."""
        if not self.throughout:
            return self
        label = self.video_label
        if label is None or label == label_set(self.label_set).quiet:
            return self.replace(truth=(), throughout=False)
        whole = Truth(span=Span(start_s=0.0, end_s=duration_s), label=label)
        return self.replace(truth=(whole,), throughout=False)


class Described(Frozen):
    """One scene of a picture, video or motion in words: an item of scene tuning. Source: Omni-SILA 3.4.

    Args:
        id: unique within the set.
        source: path of the picture, video or motion file, relative to the set's folder.
        medium: what ``source`` is; a motion is rendered as skeletons.
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
    """What a set says, with the rows that could not be read; ``read_set`` fills in the name."""

    name: str = ""
    videos: tuple[AnnotatedVideo, ...] = ()
    described: tuple[Described, ...] = ()
    malformed: tuple[Malformed, ...] = ()
