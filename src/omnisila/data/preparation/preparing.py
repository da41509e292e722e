"""From annotations to a stream of examples. Nothing here holds more than one video's examples at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from pydantic import Field

from omnisila.config import Config
from omnisila.data.annotated import Described, Split
from omnisila.data.instructions import Instruction, clauses_of, render_clauses, render_instruction
from omnisila.data.preparation.durations import Durations
from omnisila.data.preparation.implicit_subsets import Kept
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.mixture import Mixed, mixed
from omnisila.data.preparation.video_examples import cause_examples, once, whole_examples, window_examples, within
from omnisila.labels import label_set
from omnisila.media.video import STILL_S
from omnisila.schema import Example

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Preparation(Config):
    """Which examples are made.

    Attributes:
        window_s: length of the windows that are identified one by one; None makes no windows.
        cap: how many descriptions a set gives to a split at most; None: as many as the smallest set has.
        seed: of the choice among descriptions and of their order.
    """

    window_s: float | None = Field(default=1.0, gt=0)  # TSL-300's seconds are the clip counts of Omni-SILA 4.1
    cap: int | None = Field(default=100_000, gt=0)  # Omni-SILA 4.1: 200 K from two sets, twice
    seed: int = 0


def video_examples(
    set_name: str, kept: Iterable[Kept], durations: Durations, left_out: LeftOut, preparation: Preparation
) -> Iterator[Example]:
    """The examples of annotated videos: whole video, causes, windows, in this order a video.

    Where stretches are excluded nothing is asked about the whole video, since its answer would be wrong there. A video
    with an event outside it is left out: its annotation is of other footage, and "nothing" would be a false answer.

    Args:
        set_name: stands before ids.
        kept: videos with what is excluded of them.
        durations: where a video ends; what has no duration is left out.
        left_out: takes what gives no examples.
        preparation: which examples are made.
    """
    for annotated, excluded in kept:
        duration_s = durations.of(annotated)
        if duration_s is None:
            continue
        if outside := [truth for truth in annotated.truth or () if truth.span.start_s >= duration_s]:
            where = f"{annotated.id}: {outside[0].label} at {outside[0].span.start_s:g} s of {duration_s:g} s"
            left_out.add("an event lies outside the video", where)
            continue
        video = once(within(annotated, duration_s, left_out), left_out)
        footage = durations.sha256_of(video.video)
        if label_set(video.labels).quiet is None:  # reactions are of the whole clip: windows are never asked for
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
        preparation: caps and seed.
    """
    for split in _SPLITS:
        of_split = {name: [item for item in items if item.split == split] for name, items in sets.items()}
        for chosen in mixed(of_split, preparation.cap, preparation.seed):
            example = _described(chosen, durations, left_out)
            if example is not None:
                yield example


def _described(chosen: Mixed, durations: Durations, left_out: LeftOut) -> Example | None:
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
