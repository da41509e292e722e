"""What people decided about findings, as locate examples: the videos' truth, to fit thresholds on."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from omnisila.data.instructions import Instruction, Located, render_instruction, render_located
from omnisila.decisions import Decision
from omnisila.labels import BUILT_IN
from omnisila.pace import Say
from omnisila.schema import Example, Span, Truth


def decided_examples(decisions: Iterable[Decision], say: Say) -> tuple[Example, ...]:
    """One example for each video and label set with a verdict, of split ``val``.

    Its truth is what was accepted, with the label and the span of the last who said so. All other time counts as
    without event, so a video's findings are to be decided on completely, and what was missed added. Where people differ
    about the verdict on a finding, the video is left out.
    """
    given = [decision for decision in decisions if decision.verdict is not None and decision.labels in BUILT_IN]
    given.sort(key=lambda decision: (decision.video_sha256, decision.labels, decision.finding, decision.decided_utc))
    examples = []
    for _, group in groupby(given, key=lambda decision: (decision.video_sha256, decision.labels)):
        mine = list(group)
        disputed = sum(len({decision.verdict for decision in said}) > 1 for said in _by_finding(mine))
        if disputed:
            say(f"left out: {mine[0].video}: people differ about {disputed} findings")
            continue
        examples.append(_example([said[-1] for said in _by_finding(mine) if said[-1].verdict == "accepted"], mine[0]))
    return tuple(examples)


def _by_finding(decisions: Sequence[Decision]) -> Iterator[list[Decision]]:
    for _, group in groupby(decisions, key=lambda decision: decision.finding):
        yield list(group)


def _example(accepted: Sequence[Decision], about: Decision) -> Example:
    labels = BUILT_IN[about.labels]
    spans = sorted(
        ((event.final_label, Span(start_s=event.start_s, end_s=event.end_s)) for event in accepted),
        key=lambda event: (event[1].start_s, event[1].end_s),
    )
    return Example(
        id=f"decided/{about.video_sha256[:16]}#{about.labels}",
        video=about.video,
        video_sha256=about.video_sha256,
        start_s=0.0,
        end_s=max([about.duration_s, *(span.end_s for _, span in spans)]),
        task="locate",
        labels=about.labels,
        instruction=render_instruction(Instruction("locate", labels)),
        answer=render_located([Located(label, span) for label, span in spans]),
        truth=tuple(Truth(span=span, label=label) for label, span in spans),
        split="val",
        group=about.video_sha256,
    )
