"""From annotations to a stream of examples. Nothing here holds more than one video's examples at a time."""

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from omnisila.data.annotated import Described, Split
from omnisila.data.instructions import Instruction, clauses_of, render_clauses, render_instruction
from omnisila.data.preparation.durations import Durations
from omnisila.data.preparation.implicit_subsets import Kept
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.requests import Preparation
from omnisila.data.preparation.video_examples import (
    cause_examples,
    cut_at_end,
    drop_repeats,
    whole_examples,
    window_examples,
)
from omnisila.labels import label_set
from omnisila.media.video import STILL_S
from omnisila.schema import Example

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Mixed(NamedTuple):
    """An item with the name of its set."""

    set_name: str
    item: Described


def video_examples(
    set_name: str, kept: Iterable[Kept], durations: Durations, left_out: LeftOut, preparation: Preparation
) -> Iterator[Example]:
    """The examples of annotated videos: whole video, causes, windows, in this order a video.

    Where stretches are excluded nothing is asked about the whole video, since its answer would be wrong there. A video
    with an event outside it is left out: its annotation is of other footage, and "nothing" would be a false answer.

    Args:
        durations: where a video ends; what has no duration is left out.
        left_out: takes what gives no examples.
    """
    for annotated, excluded in kept:
        duration_s = durations.of(annotated)
        if duration_s is None:
            continue
        annotated = annotated.with_duration(duration_s)
        if outside := [truth for truth in annotated.truth or () if truth.span.start_s >= duration_s]:
            where = f"{annotated.id}: {outside[0].label} at {outside[0].span.start_s:g} s of {duration_s:g} s"
            left_out.add("an event lies outside the video", where)
            continue
        video = drop_repeats(cut_at_end(annotated, duration_s, left_out), left_out)
        footage = durations.sha256_of(video.path)
        if label_set(video.label_set).quiet is None:  # reactions are of the whole clip: windows are never asked for
            if video.intensities is None:
                left_out.add("no example, as the intensities are not known", video.id)
        elif video.truth is None:
            left_out.add("no windows, as the events' times are unknown", video.id)
        if excluded:
            left_out.add("no whole-video examples, as stretches are excluded", video.id)
        made = chain(
            () if excluded else whole_examples(set_name, video, duration_s),
            cause_examples(set_name, video),
            ()
            if preparation.window_s is None
            else window_examples(set_name, video, duration_s, preparation.window_s, excluded),
        )
        yield from (example.model_copy(update={"video_sha256": footage}) for example in made)


def described_examples(
    sets: Mapping[str, Sequence[Described]],
    durations: Durations,
    left_out: LeftOut,
    preparation: Preparation,
) -> Iterator[Example]:
    """The describe examples of scene tuning, sets mixed in balance within each split.

    Args:
        sets: name -> descriptions; the name stands before ids.
        durations: how long a video is when its description does not tell; sources must be at hand there.
        left_out: takes descriptions of unknown length or without words.
    """
    for split in _SPLITS:
        of_split = {name: [item for item in items if item.split == split] for name, items in sets.items()}
        for chosen in mix(of_split, preparation.cap, preparation.seed):
            example = _describe_example(chosen, durations, left_out)
            if example is not None:
                yield example


def mix(sets: Mapping[str, Sequence[Described]], cap: int | None, seed: int = 0) -> Iterator[Mixed]:
    """The sets' items, each set's spread evenly over the whole stream, so that no stretch of it belongs to one scene.

    Omni-SILA 4.1 takes 200 K frames from two sets and 200 K pictures from two others; a cap a set keeps that balance.
    Items are never repeated: a set smaller than the cap gives all it has. The choice depends on the seed alone.

    Args:
        sets: name -> items.
        cap: how many items a set gives at most; None: as many as the smallest set has, so that all weigh the same.
    """
    filled = {name: items for name, items in sets.items() if items}
    most = min(map(len, filled.values()), default=0) if cap is None else cap
    streams = [_spread(name, items, most, seed) for name, items in sorted(filled.items())]
    for _, name, index in heapq.merge(*streams):
        yield Mixed(name, filled[name][index])


def _spread(name: str, items: Sequence[Described], most: int, seed: int) -> Iterator[tuple[float, str, int]]:
    """The chosen items' numbers, each with its place in the stream, from 0 to 1."""
    chosen = random.Random(f"{seed}:{name}").sample(range(len(items)), min(most, len(items)))
    return (((place + 0.5) / len(chosen), name, index) for place, index in enumerate(chosen))


def _describe_example(chosen: Mixed, durations: Durations, left_out: LeftOut) -> Example | None:
    """``labels`` of a description is the scene: it has no label set."""
    name, item = chosen
    clauses = clauses_of(item.text)
    if not clauses:
        left_out.add("the description has no words", item.id)
        return None
    if not durations.at_hand(item.source):
        return None
    end_s = item.end_s or (STILL_S if item.medium == "image" else durations.of_file(item.source))
    if end_s is None:
        return None
    if end_s <= item.start_s:
        left_out.add("the description begins after the footage's end", item.id)
        return None
    return Example(
        id=f"{name}/{item.id}", video=item.source, start_s=item.start_s, end_s=end_s, task="describe",
        labels=item.scene, instruction=render_instruction(Instruction("describe", scene=item.scene)),
        answer=render_clauses(clauses), split=item.split, group=item.group,
    )  # fmt: skip
