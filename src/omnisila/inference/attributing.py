"""The second pass: why a span is what it was found to be, from what was seen in it. Source: Omni-SILA 3.1."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from omnisila.data.attribution import clauses
from omnisila.data.evidence import seen_in
from omnisila.data.instructions import Instruction, render_clauses, render_instruction
from omnisila.errors import InputError
from omnisila.labels import LabelSet
from omnisila.models.icm import ICM
from omnisila.models.likelihood import answer_likelihood
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.windows import Window, spread, stack
from omnisila.schema import (
    Evidence,
    ExpertWeights,
    FaceEvidence,
    Finding,
    ObjectEvidence,
    PersonEvidence,
    Span,
    TripletEvidence,
)
from omnisila.spans import LabelledSpan

Record = TypeVar("Record", FaceEvidence, PersonEvidence, ObjectEvidence, TripletEvidence)
ShardsWithin = Callable[[Span], Iterator[SceneShard]]

KEY_TIMES = 8  # sample times of a finding's evidence and of its attribution
LOOK_S = 1.0  # at each of them, so much is looked at
MAX_CLAUSES = 3


@torch.inference_mode()
def attributed(
    model: ICM,
    labels: LabelSet,
    found: LabelledSpan,
    weights: ExpertWeights,
    shards_within: ShardsWithin,
    frames: int,
) -> Finding:
    """A span as a finding, with the evidence seen in it and what of it is its cause.

    Args:
        model: ranks the causes.
        labels: the label set the span's label is from.
        found: where and what.
        weights: of the experts over the span.
        shards_within: the video's shards that a span touches, read one at a time.
        frames: of the window that the model reads.

    Raises:
        InputError: no shard covers the span.
    """
    span = found.span
    step_s = span.duration_s / KEY_TIMES
    times_s = [span.start_s + (i + 0.5) * step_s for i in range(KEY_TIMES)]
    window = spread(shards_within(span), span, frames)
    if window is None:
        raise InputError(f"span {span.start_s:.1f}-{span.end_s:.1f} s lies outside the video. Analyse it again.")
    evidence, summary = seen_in(shards_within(span), _looks(span, times_s))
    true = [clause.text for clause in clauses(evidence, summary)]
    return Finding(
        span=span,
        label=found.label,
        labels=labels.name,
        score=min(max(found.score, 0.0), 1.0),
        cause=_cause(model, labels, found.label, true, window) if true else None,
        evidence=thinned(evidence, times_s),
        expert_weights=weights,
    )


def _cause(model: ICM, labels: LabelSet, label: str, true: list[str], window: Window) -> str:
    """The likeliest of the true statements; what is as likely of calm footage explains nothing and ranks low."""
    inputs = stack([window])
    asked = [label, *([labels.quiet] if labels.quiet else [])]
    rows = [
        answer_likelihood(
            model, inputs.scenes, inputs.visual, [render_instruction(Instruction("attribute", labels, one))], true
        )
        for one in asked
    ]
    log_probs = rows[0].log_probs[0] - (rows[1].log_probs[0] if len(rows) > 1 else 0.0)
    best: list[int] = (log_probs / rows[0].token_counts).argsort(descending=True)[:MAX_CLAUSES].tolist()
    text = render_clauses([true[index] for index in best])
    return f"{text[0].upper()}{text[1:]}."


def _looks(span: Span, times_s: Iterable[float]) -> list[Span]:
    """What is looked at for evidence: the whole of a short span, else a second around each key time."""
    if span.duration_s <= KEY_TIMES * LOOK_S:
        return [span]
    return [Span(start_s=time_s - LOOK_S / 2, end_s=time_s + LOOK_S / 2) for time_s in times_s]


def thinned(evidence: Evidence, times_s: Sequence[float]) -> Evidence:
    """Only what was seen at the sample of each kind nearest to one of the times."""

    def near(items: tuple[Record, ...]) -> tuple[Record, ...]:
        have = sorted({item.time_s for item in items})
        kept = {min(have, key=lambda have_s: abs(have_s - time_s)) for time_s in times_s} if have else set()
        return tuple(item for item in items if item.time_s in kept)

    return Evidence(
        faces=near(evidence.faces),
        people=near(evidence.people),
        objects=near(evidence.objects),
        triplets=near(evidence.triplets),
    )
