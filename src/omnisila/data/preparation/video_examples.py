"""The examples that one annotated video gives: its windows, the whole of it, its causes, its intensities.

A window is one of the papers' "videos": a second of eight frames, which keeps its offset in the source as ``start_s``.
The frames themselves are read when they are needed; an example is only a stretch of time with a question and an answer.
"""

from collections.abc import Iterator, Sequence

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.instructions import (
    Instruction,
    Located,
    clauses_of,
    render_clauses,
    render_instruction,
    render_intensities,
    render_label,
    render_located,
)
from omnisila.data.preparation.left_out import LeftOut
from omnisila.labels import label_set
from omnisila.schema import Example, Span, Truth


def window_examples(
    set_name: str, video: AnnotatedVideo, duration_s: float, window_s: float, excluded: Sequence[Span] = ()
) -> Iterator[Example]:
    """An identify example for each window of the video, as an analysis cuts it.

    Its label is the one that covers at least half of it, else the quiet one. ``truth`` keeps what lies in the window,
    however little. Nothing comes of a video whose events have no known times.

    Args:
        set_name: stands before the video's id in the examples' ids.
        duration_s: of the video, > 0.
        window_s: length of a window, > 0.
        excluded: stretches that no window may touch.
    """
    from omnisila.scenes.windows import tiles  # takes torch, which scoring does without

    labels = label_set(video.label_set)
    if video.truth is None or labels.quiet is None:
        return
    instruction = render_instruction(Instruction("identify", labels))
    for index, window in enumerate(tiles(0.0, duration_s, window_s)):
        if any(overlap_s(window, span) > 0 for span in excluded):
            continue
        inside = tuple(_inside(truth, window) for truth in video.truth if overlap_s(truth.span, window) > 0)
        label = label_over(inside, window, labels.quiet)
        yield Example(
            id=f"{set_name}/{video.id}#{index}", video=video.path, start_s=window.start_s, end_s=window.end_s,
            task="identify", labels=video.label_set, instruction=instruction, answer=render_label(label), truth=inside,
            split=video.split, group=video.group,
        )  # fmt: skip


def whole_examples(set_name: str, video: AnnotatedVideo, duration_s: float) -> Iterator[Example]:
    """The examples over the whole video: identify, locate, and react where intensities are known.

    A video with events of several labels is identified by the one that covers most time. Without known times only the
    weak label of the whole video is asked for.
    """
    labels = label_set(video.label_set)

    def example(task: str, instruction: Instruction, answer: str) -> Example:
        return Example.model_validate({
            "id": f"{set_name}/{video.id}#{task}", "video": video.path, "start_s": 0.0, "end_s": duration_s,
            "task": task, "labels": video.label_set, "instruction": render_instruction(instruction), "answer": answer,
            "truth": video.truth or (), "intensities": video.intensities if task == "react" else None,
            "split": video.split, "group": video.group,
        })  # fmt: skip

    if video.intensities is not None:
        yield example("react", Instruction("react"), render_intensities(video.intensities, labels))
    if labels.quiet is None:
        return
    label = video.video_label
    if video.truth is not None:
        label = longest_label(video.truth, Span(start_s=0.0, end_s=duration_s), label or labels.quiet)
    if label is not None:
        yield example("identify", Instruction("identify", labels), render_label(label))
    if video.truth is not None:
        found = [Located(truth.label, truth.span) for truth in video.truth if _can_be_told(truth.span)]
        yield example("locate", Instruction("locate", labels), render_located(found))


def cause_examples(set_name: str, video: AnnotatedVideo) -> Iterator[Example]:
    """An attribute example over the span of each event whose cause is told."""
    labels = label_set(video.label_set)
    for index, truth in enumerate(video.truth or ()):
        clauses = clauses_of(truth.cause or "")
        if clauses:
            yield Example(
                id=f"{set_name}/{video.id}#attribute-{index}", video=video.path, start_s=truth.span.start_s,
                end_s=truth.span.end_s, task="attribute", labels=video.label_set,
                instruction=render_instruction(Instruction("attribute", labels, truth.label)),
                answer=render_clauses(clauses), truth=(truth,), split=video.split, group=video.group,
            )  # fmt: skip


def cut_at_end(video: AnnotatedVideo, duration_s: float, left_out: LeftOut) -> AnnotatedVideo:
    """The video with its events cut at its end, which is told; none may begin past it."""
    past = [truth for truth in video.truth or () if truth.span.end_s > duration_s]
    if not past:
        return video
    for truth in past:
        what = f"{video.id}: {truth.label} to {truth.span.end_s:g} s of {duration_s:g} s"
        left_out.note_change("an event ends past the video's end, and is cut there", what)
    whole = Span(start_s=0.0, end_s=duration_s)
    return video.replace(truth=tuple(_inside(truth, whole) for truth in video.truth or ()))


def drop_repeats(video: AnnotatedVideo, left_out: LeftOut) -> AnnotatedVideo:
    """The video with every event once, which is told: one label at the same times, to the millisecond of answers.

    Of equal events one with a cause stays.
    """
    events: dict[tuple[str, float, float], Truth] = {}
    for truth in video.truth or ():
        key = (truth.label, round(truth.span.start_s, 3), round(truth.span.end_s, 3))
        if key in events:
            what = f"{video.id}: {truth.label} at {truth.span.start_s:g} s"
            left_out.note_change("an event stands there twice, and counts once", what)
        if key not in events or events[key].cause is None:
            events[key] = truth
    return video if len(events) == len(video.truth or ()) else video.replace(truth=tuple(events.values()))


def label_over(events: Sequence[Truth], window: Span, quiet: str) -> str:
    """The label whose events cover at least half of a window, else the quiet one."""
    covered = _covered_s([_inside(event, window) for event in events if overlap_s(event.span, window) > 0])
    label = max(covered, key=covered.__getitem__, default=quiet)
    return label if covered.get(label, 0.0) >= window.duration_s / 2 else quiet


def longest_label(events: Sequence[Truth], stretch: Span, quiet: str) -> str:
    """The label whose events cover most of a stretch, else the quiet one; of equal ones the earliest."""
    covered = _covered_s([_inside(event, stretch) for event in events if overlap_s(event.span, stretch) > 0])
    return max(covered, key=covered.__getitem__, default=quiet)


def _can_be_told(span: Span) -> bool:
    """Answers tell times to a millisecond: a shorter span would end where it starts."""
    return round(span.end_s, 3) > round(span.start_s, 3)


def overlap_s(first: Span, other: Span) -> float:
    """How long two spans share; not above 0 where they share nothing."""
    return min(first.end_s, other.end_s) - max(first.start_s, other.start_s)


def _inside(truth: Truth, window: Span) -> Truth:
    span = Span(start_s=max(truth.span.start_s, window.start_s), end_s=min(truth.span.end_s, window.end_s))
    return Truth(span=span, label=truth.label, cause=truth.cause)


def _covered_s(truths: Sequence[Truth]) -> dict[str, float]:
    """Seconds by label; where events of one label overlap, their common time counts once."""
    covered: dict[str, float] = {}
    reached: dict[str, float] = {}
    for truth in sorted(truths, key=lambda truth: truth.span.start_s):
        start_s = max(truth.span.start_s, reached.get(truth.label, 0.0))
        reached[truth.label] = max(truth.span.end_s, start_s)
        covered[truth.label] = covered.get(truth.label, 0.0) + max(truth.span.end_s - start_s, 0.0)
    return covered
