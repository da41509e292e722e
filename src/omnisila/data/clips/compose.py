"""Long videos with known event times, joined from short clips of one data set: Normal, event, Normal, ...

A plan says what follows what; it is played from cached windows.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedVideo
from omnisila.labels import label_set
from omnisila.schema import Span, Truth

CALM_RUN, EVENT_RUN = (2, 7), (1, 5)  # clips in a row: at least so many, and fewer than that


class Part(Frozen):
    """One clip of a join, from the join's second ``start_s`` on, for whole seconds."""

    clip: AnnotatedVideo
    start_s: float
    end_s: float


class Join(Frozen):
    """Clips in a row, and when what happens in them."""

    name: str
    labels: str
    parts: tuple[Part, ...]
    truth: tuple[Truth, ...]

    @property
    def duration_s(self) -> float:
        return self.parts[-1].end_s


def plan_joins(
    clips: Sequence[AnnotatedVideo],
    durations_s: Mapping[str, float],
    labels: str = "implicit",
    count: int = 8,
    events: int = 2,
    seed: int = 0,
) -> tuple[Join, ...]:
    """Joins for each data set that has clips with and without events.

    Runs of calm clips and of event clips take turns, starting and ending calm. Clips are drawn without repeats until
    the set runs out of them. Only the whole seconds of a clip are used, so that windows of one second tile the join.

    Args:
        clips: usually those of one held-out fold; clips shorter than a second are left out.
        durations_s: a clip's path -> its length; 1 for stills, which stand for a second.
        events: runs of event clips in each join.
    """
    joins: list[Join] = []
    quiet = label_set(labels).quiet
    usable = [clip for clip in clips if clip.labels.get(labels) is not None and durations_s[clip.path] >= 1]
    for set_name in sorted({clip.set_name for clip in usable}):
        ours = sorted((clip for clip in usable if clip.set_name == set_name), key=lambda clip: clip.path)
        calm = [clip for clip in ours if clip.labels[labels] == quiet]
        eventful = [clip for clip in ours if clip.labels[labels] != quiet and clip.throughout]
        if not calm or not eventful:
            continue
        random = np.random.default_rng([seed, *set_name.encode()])
        calm_deck, event_deck = _deck(calm, random), _deck(eventful, random)
        for number in range(count):
            row: list[AnnotatedVideo] = []
            for _ in range(events):
                row += [next(calm_deck) for _ in range(random.integers(*CALM_RUN))]
                row += [next(event_deck) for _ in range(random.integers(*EVENT_RUN))]
            row += [next(calm_deck) for _ in range(random.integers(*CALM_RUN))]
            joins.append(join_clips(f"{set_name}-{number}", row, durations_s, labels))
    return tuple(joins)


def join_clips(name: str, clips: Sequence[AnnotatedVideo], durations_s: Mapping[str, float], labels: str) -> Join:
    """The clips in a row; touching spans of one label are one event."""
    parts: list[Part] = []
    truth: list[Truth] = []
    at_s = 0.0
    for clip in clips:
        # whole seconds keep every part on the grid of windows
        part = Part(clip=clip, start_s=at_s, end_s=at_s + int(durations_s[clip.path] + 1e-3))
        parts.append(part)
        at_s = part.end_s
        for event in _events(part, labels):
            start_s = event.span.start_s
            if truth and truth[-1].span.end_s >= start_s and truth[-1].label == event.label:
                start_s = truth.pop().span.start_s
            truth.append(Truth(span=Span(start_s=start_s, end_s=event.span.end_s), label=event.label))
    return Join(name=name, labels=labels, parts=tuple(parts), truth=tuple(truth))


def _deck(clips: Sequence[AnnotatedVideo], random: np.random.Generator) -> Iterator[AnnotatedVideo]:
    while True:
        for index in random.permutation(len(clips)):
            yield clips[index]


def _events(part: Part, labels: str) -> Iterator[Truth]:
    """When a part's label holds, in the join's seconds."""
    label = part.clip.labels[labels]
    if label is None or label == label_set(labels).quiet:
        return
    if part.clip.throughout:
        yield Truth(span=Span(start_s=part.start_s, end_s=part.end_s), label=label)
    for event in part.clip.truth or ():
        start_s, end_s = part.start_s + event.span.start_s, min(part.start_s + event.span.end_s, part.end_s)
        if end_s > start_s:
            yield Truth(span=Span(start_s=start_s, end_s=end_s), label=label)
