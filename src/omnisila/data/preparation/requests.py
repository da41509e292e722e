"""What to prepare, checked and read: published annotations without torch, so that mistakes are told at once."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from omnisila.config import Config, Frozen
from omnisila.data.annotated import AnnotatedSet
from omnisila.data.preparation.group_splits import split_by_footage
from omnisila.data.sets import data_set, read_set, set_names
from omnisila.errors import DataSetError, InputError, check_known

SCENE_TUNING = "scene-tuning"
SCENE_SETS = ("cmu_mosei", "humanml3d", "refcoco", "places365")  # Omni-SILA 4.1


class Preparation(Config):
    """Which examples are made.

    Attributes:
        window_s: length of the windows that are identified one by one; None makes no windows.
        cap: how many descriptions a set gives to a split at most; None: as many as the smallest set has.
        seed: of the choice among descriptions and of their order.
    """

    window_s: float | None = Field(default=1.0, ge=0.04)  # TSL-300's seconds are the clip counts of Omni-SILA 4.1
    cap: int | None = Field(default=100_000, gt=0)  # Omni-SILA 4.1: 200 K from two sets, twice
    seed: int = 0


class SetRequest(Frozen):
    """What to prepare, and from where.

    Args:
        name: a set of ``data/sets``, or ``scene-tuning``.
        folder: its annotations; for scene tuning the folder above those of the sets.
        footage: folder of the videos; None: only what annotations state counts.
        out: its folder ``footage`` gets the muted videos of S-S and the drawn motions.
        subset: ``s-s`` or ``s-d``; None prepares the whole set.
        durations: a user's table of durations, for want of footage.
        labels: label set of a generic set; the others know their own.
        causes: the table of written causes that people checked (``data/causes/checking``).
        segments: a user's times for ``s-d``; None means its weak variant.
        resplit: split again by group instead of as published.
    """

    name: str
    folder: Path
    footage: Path | None = None
    out: Path
    subset: Literal["s-s", "s-d"] | None = None
    durations: Path | None = None
    labels: str | None = None
    causes: Path | None = None
    segments: Path | None = None
    resplit: bool = False
    render: bool = False


def check_set(name: str) -> None:
    """Whether a name is that of a set, or of all sets of scene tuning.

    Raises:
        InputError: it is neither.
    """
    check_known("data set", [name], sorted((*set_names(), SCENE_TUNING)))


def read_requested(request: SetRequest) -> dict[str, AnnotatedSet]:
    """The annotations that a request names, by set.

    Raises:
        InputError: no such set, or the subset lacks what it needs.
        DataSetError: a set is not as its reader expects.
        LabelError: a label set was given for annotations that have their own, or it does not exist.
    """
    check_set(request.name)
    if request.subset == "s-s" and request.footage is None:
        raise InputError("s-s looks for faces in the footage. Give --footage with the folder of the videos.")
    if request.causes is not None and request.name == SCENE_TUNING:
        raise InputError("--causes gives causes to events, and scene-tuning has none. Name the set they are of.")
    if request.segments is not None and request.subset != "s-d":
        raise InputError("--segments gives times to s-d alone. Add --subset s-d.")
    if request.name == SCENE_TUNING:
        found = {name: request.folder / name for name in SCENE_SETS if (request.folder / name).is_dir()}
        if not found:
            raise DataSetError(f"{request.folder}: no folder of a set is there. Wanted: {', '.join(SCENE_SETS)}.")
        return {name: read_set(name, folder) for name, folder in found.items()}
    annotated = read_set(request.name, request.folder, request.labels)
    return {request.name: split_by_footage(annotated) if data_set(request.name).is_footage else annotated}
