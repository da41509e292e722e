"""Splits that no source crosses: a video or person on both sides lets a model remember instead of recognise."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Described, Split
from omnisila.data.clips.folds import folds, footage_groups
from omnisila.errors import DataSetError

_FOLD_SPLITS: tuple[Split, ...] = ("test", "val", "train", "train", "train")
Item = TypeVar("Item", AnnotatedVideo, Described)


class Shares(Frozen):
    """What part of the groups each split is to have; the rest trains."""

    val: float = 0.1
    test: float = 0.2


def check_disjoint(name: str, items: Iterable[AnnotatedVideo | Described]) -> None:
    """Be sure that every group stands in one split alone.

    Raises:
        DataSetError: some do not; the message names the first ones.
    """
    seen: dict[str, set[Split]] = {}
    for item in items:
        seen.setdefault(item.group, set()).add(item.split)
    crossing = {group: splits for group, splits in seen.items() if len(splits) > 1}
    if crossing:
        told = "; ".join(f"{group} in {' and '.join(sorted(crossing[group]))}" for group in sorted(crossing)[:3])
        raise DataSetError(
            f"{name}: {len(crossing)} of {len(seen)} groups stand on both sides of a split ({told}). Wanted: each "
            "source or person in one split. Correct the annotation, or split again by group (--resplit)."
        )


def split_by_footage(annotated: AnnotatedSet) -> AnnotatedSet:
    """A footage set, which publishes no split, with one: a video for each label set that judged it.

    Videos that share footage stay together; of five folds one tests and another validates.
    """
    groups, held = footage_groups(annotated.videos), folds(annotated.videos, len(_FOLD_SPLITS))
    videos = (
        part.replace(split=_FOLD_SPLITS[fold], sources=(group,))
        for video, group, fold in zip(annotated.videos, groups, held, strict=True)
        for part in video.by_label_set()
    )
    return annotated.replace(videos=tuple(videos))


def resplit(items: Iterable[Item], shares: Shares, seed: int = 0) -> Iterator[Item]:
    """The items with the split of their group, which depends on the group's name and the seed alone.

    Shares hold on average over groups; the same group gets the same split in every set and every run.
    """
    known: dict[str, Mapping[str, Split]] = {}
    for item in items:
        if item.group not in known:
            known[item.group] = {"split": _split(item.group, shares, seed)}
        yield item.model_copy(update=known[item.group])


def _split(group: str, shares: Shares, seed: int) -> Split:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    return "test" if place < shares.test else "val" if place < shares.test + shares.val else "train"
