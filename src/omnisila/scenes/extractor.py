"""What a scene extractor yields: padded entities per frame, a mask, and a layout that says what each number means.

One record serves features and evidence: the expert reads a layout's ``features``, the report reads boxes, joints and
classes from the same rows, so that what is shown is what was used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import PrivateAttr
from torch import Tensor

from omnisila.config import Frozen
from omnisila.scene_registry import SCENES, SceneName


class Layout(Frozen):
    """Named slices of an entity vector: first the features an expert reads, then what only evidence needs.

    Args:
        features: name -> width of each slice the expert reads, in order.
        evidence: name -> width of slices no network may read (a track number, a class index).
        words: name of a slice -> what its numbers stand for: of one-hots and probabilities their places, of indices
            their values.
    """

    features: dict[str, int]
    evidence: dict[str, int]
    words: dict[str, tuple[str, ...]]
    _edges: dict[str, tuple[int, int]] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        features: Mapping[str, int],
        evidence: Mapping[str, int] | None = None,
        words: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        fields = {"features": dict(features), "evidence": dict(evidence or {}), "words": dict(words or {})}
        super().__init__(**fields)
        at = 0
        for name, width in (*self.features.items(), *self.evidence.items()):
            self._edges[name] = at, at + width
            at += width

    @property
    def width(self) -> int:
        """Of the whole vector."""
        return self.feature_width + sum(self.evidence.values())

    @property
    def feature_width(self) -> int:
        """Of what an expert reads."""
        return sum(self.features.values())

    def read(self, values: Float[Tensor, "... width"], name: str) -> Float[Tensor, "... slice"]:
        """The slice of that name, as a view."""
        return values[..., self.slice(name)]

    def slice(self, name: str) -> slice:
        """Where that slice lies in the entity vector."""
        return slice(*self._edges[name])


class Sampled(NamedTuple):
    """One extractor's rows for a run of samples."""

    values: Float[Tensor, "samples entities width"]
    mask: Bool[Tensor, "samples entities"]


Layouts = Mapping[str, Layout]  # a profile's, by stream
VISUAL, OBJECTS = "visual", "objects"  # the streams that are no scene: the visual encoder's, and what is only evidence


def model_streams(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the streams that models read: the visual encoder's, then each scene's in the table's order."""
    there = frozenset(names)
    return tuple(name for name in (VISUAL, *SCENES) if name in there)


@dataclass(frozen=True)
class SceneStream:
    """One extractor's entities over a stretch of video, at the extractor's own rate.

    Sample i describes the time ``start_s + i / rate_hz`` and holds until the next one.

    Args:
        start_s: time of the first sample, seconds.
        rate_hz: samples per second.
        values: entity vectors as the extractor's layout orders them; zero where masked out.
        mask: true where an entity is present. A scene that is absent is all false.
    """

    start_s: float
    rate_hz: float
    values: Float[Tensor, "frames entities width"]
    mask: Bool[Tensor, "frames entities"]

    @property
    def times_s(self) -> Float[Tensor, "frames"]:
        return self.start_s + torch.arange(len(self.values), dtype=torch.float64) / self.rate_hz

    def entities(self, most: int | None = None) -> Iterator[tuple[float, Float[Tensor, "width"]]]:
        """Each entity that is present, of the first ``most`` places of a frame, with its time."""
        for time_s, row, mask in zip(self.times_s.tolist(), self.values.float(), self.mask, strict=True):
            yield from ((time_s, entity) for entity in row[:most][mask[:most]])


@dataclass(frozen=True)
class SceneShard:
    """All streams of one stretch [start_s, end_s) of a video: the visual encoder's, the objects, and each scene's.

    The layouts come with the streams, so that whoever reads them need not know which profile made them.
    """

    start_s: float
    end_s: float
    streams: Mapping[str, SceneStream]
    layouts: Layouts


class Entities(NamedTuple):
    """Entities of one scene on a window's frame grid, batched; only the layout's ``features``.

    ``area`` is the part of each window's frames that the patches of a visual tower cover (left, top, right, bottom in
    frame fractions), which depends on the video's shape; only what a tower saw has one. ``times_s`` are those of each
    window's frames since its first, where a prompt may tell them.
    """

    values: Float[Tensor, "batch frames entities features"]
    mask: Bool[Tensor, "batch frames entities"]
    area: Float[Tensor, "batch 4"] | None = None
    times_s: tuple[tuple[float, ...], ...] = ()


SceneInputs = dict[SceneName, Entities]  # what the experts read, in the table's order. Source: Omni-SILA 3.1


def to_device(scenes: SceneInputs, device: torch.device) -> SceneInputs:
    """The scenes where a model is."""
    return {name: Entities(scene.values.to(device), scene.mask.to(device)) for name, scene in scenes.items()}
