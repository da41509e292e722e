"""Clips composed from still faces: one expression shown for a known share of the frames.

A composed clip is a plan: which still each frame shows, how much of the expression, and on which frames no face is
seen. Stills of one person are preferred for the frames without the expression, so that who is seen gives nothing away.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from omnisila.config import Config
from omnisila.errors import DataSetError

T = TypeVar("T")
FRAMES = 32  # emotional-reaction paper 5.1
_ONSET = 0.5  # of the expression, on the frame before and the frame after it


class Still(NamedTuple):
    """A still face: its place among all stills, who it is, and the expression; None for none that is asked about."""

    place: int
    person: str
    label: str | None


class ComposeConfig(Config):
    """What composed clips are like.

    Attributes:
        calm_frac: share of the clips that never show an expression.
        unseen_frac: share of the clips with a stretch without a face.
        longest_hold: frames for which one still stands, at most.
        longest_unseen: frames without a face, at most.
    """

    calm_frac: float = Field(default=0.25, ge=0, le=1)
    unseen_frac: float = Field(default=0.3, ge=0, le=1)
    longest_hold: int = Field(default=8, ge=1, le=FRAMES)
    longest_unseen: int = Field(default=8, ge=1, lt=FRAMES)


class ComposedFaces(NamedTuple):
    """Plans of clips.

    ``weight`` is how much of the still in ``shown`` a frame has, the rest is the still in ``calm``. ``truth`` is the
    mean weight over the frames with a face, in the column of the expression. ``person`` shows the expression.
    """

    calm: Int[np.ndarray, "clips frames"]
    shown: Int[np.ndarray, "clips frames"]
    weight: Float[np.ndarray, "clips frames"]
    face: Bool[np.ndarray, "clips frames"]
    truth: Float[np.ndarray, "clips labels"]
    person: tuple[str, ...]

    @classmethod
    def joined(cls, parts: Sequence["ComposedFaces"]) -> Self:
        """The clips of all parts, in their order."""
        return cls(
            np.concatenate([part.calm for part in parts]),
            np.concatenate([part.shown for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.face for part in parts]),
            np.concatenate([part.truth for part in parts]),
            tuple(person for part in parts for person in part.person),
        )


def composed(
    stills: Sequence[Still], labels: Sequence[str], count: int, config: ComposeConfig, seed: int
) -> ComposedFaces:
    """Clips from these stills alone: give those of one side of a split.

    Each expression of each person is drawn with the same chance, however many stills there are of it: the weight of an
    expression is the number of people who show it.

    Raises:
        DataSetError: no still without an expression, or none with one.
    """
    showing = {(label, person): places for label in labels for person, places in _by_person(stills, label).items()}
    calm = _by_person(stills, None)
    if not showing or not calm:
        raise DataSetError(
            f"{len(stills)} still faces: {len(showing)} expressions of persons and {len(calm)} persons without any. "
            "Wanted: stills with and without an expression in each part of the data."
        )
    random = np.random.default_rng(seed)
    return ComposedFaces.joined([_clip(showing, calm, labels, config, random) for _ in range(count)])


def _clip(
    showing: dict[tuple[str, str], list[int]],
    calm: dict[str, list[int]],
    labels: Sequence[str],
    config: ComposeConfig,
    random: np.random.Generator,
) -> ComposedFaces:
    """Plan of one clip."""
    truth = np.zeros(len(labels))
    face = np.ones(FRAMES, dtype=bool)
    if random.random() < config.unseen_frac:
        face[_stretch(int(random.integers(1, config.longest_unseen + 1)), random)] = False
    if random.random() < config.calm_frac:
        person = _drawn(list(calm), random)
        held = _held(calm[person], config.longest_hold, random)
        return _one(held, held, np.zeros(FRAMES), face, truth, person)
    label, person = _drawn(list(showing), random)
    shown = _held(showing[label, person], config.longest_hold, random)
    beside = calm.get(person) or calm[_drawn(list(calm), random)]
    weight = _weight(random)
    truth[labels.index(label)] = weight[face].mean()
    return _one(_held(beside, config.longest_hold, random), shown, weight, face, truth, person)


def _one(
    calm: np.ndarray, shown: np.ndarray, weight: np.ndarray, face: np.ndarray, truth: np.ndarray, person: str
) -> ComposedFaces:
    return ComposedFaces(calm[None], shown[None], weight[None], face[None], truth[None], (person,))


def _weight(random: np.random.Generator) -> Float[np.ndarray, "frames"]:
    """One stretch or two with the expression, with soft ends."""
    weight = np.zeros(FRAMES)
    length = int(random.integers(1, FRAMES + 1))
    cut = int(random.integers(0, length))
    for part in (cut, length - cut):
        if part:
            weight[_stretch(part, random)] = 1.0
    padded = np.pad(weight, 1)
    return np.maximum(weight, _ONSET * np.maximum(padded[:-2], padded[2:]))


def _stretch(length: int, random: np.random.Generator) -> slice:
    start = int(random.integers(0, FRAMES - length + 1))
    return slice(start, start + length)


def _held(places: list[int], longest: int, random: np.random.Generator) -> Int[np.ndarray, "frames"]:
    """One still after the other, each for some frames."""
    frames: list[int] = []
    while len(frames) < FRAMES:
        frames += [places[int(random.integers(len(places)))]] * int(random.integers(1, longest + 1))
    return np.array(frames[:FRAMES])


def _by_person(stills: Sequence[Still], label: str | None) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for still in stills:
        if still.label == label:
            found.setdefault(still.person, []).append(still.place)
    return found


def _drawn(names: list[T], random: np.random.Generator) -> T:
    return names[int(random.integers(len(names)))]
