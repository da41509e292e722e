"""One labelled piece of footage as a data set gives it: what readers yield and splits, copies and joins take."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from omnisila.config import Frozen
from omnisila.labels import label_set
from omnisila.schema import Span


class Clip(Frozen):
    """A labelled clip or still picture.

    ``sources`` name the footage it was cut from (a video, a take, a person, a camera). Clips that share any of them
    must stand on the same side of a split, and so must clips joined by a chain of such pairs.

    Args:
        set_name: the data set's folder name.
        path: relative to the data root, with forward slashes.
        labels: label set -> label, for each label set the clip was judged by.
        events: when the labels hold; outside these spans the label sets' quiet labels hold. None: throughout.
        sources: footage names, unique over all data sets.
        is_still: a picture that stands for a second of video and carries no motion.
        licence: as the data set states it.
    """

    set_name: str
    path: str
    labels: dict[str, str] = Field(min_length=1)
    events: tuple[Span, ...] | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    is_still: bool
    licence: str

    @model_validator(mode="after")
    def _labels_exist(self) -> Self:
        for name, label in self.labels.items():
            known = label_set(name).labels
            if label not in known:
                raise ValueError(f"{self.path}: label {label!r} is not in label set {name}: {', '.join(known)}")
        return self

    def __hash__(self) -> int:
        return hash((self.set_name, self.path))

    def file(self, root: Path) -> Path:
        """Where the clip lies under a data root."""
        return root / self.path

    def label_over(self, labels: str, span: Span) -> str | None:
        """The label that covers most of a span, or None if the clip was not judged by that label set."""
        label = self.labels.get(labels)
        if label is None or self.events is None:
            return label
        covered_s = sum(
            max(min(event.end_s, span.end_s) - max(event.start_s, span.start_s), 0.0) for event in self.events
        )
        return label if covered_s >= span.duration_s / 2 else label_set(labels).quiet


class Reading(Frozen):
    """What a reader found: the clips, and how many rows it left out for which reason."""

    clips: tuple[Clip, ...]
    dropped: dict[str, int] = Field(default_factory=dict)
