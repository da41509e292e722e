"""The second pass: why a span is what it was found to be, from what was seen in it. Source: Omni-SILA 3.1."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from omnisila.data.causes.attribution import Clause, clauses, clauses_for
from omnisila.data.causes.evidence import seen_in
from omnisila.data.instructions import Instruction, render_clauses, render_instruction, render_label
from omnisila.errors import InputError
from omnisila.inference.seeing import See
from omnisila.labels import LabelSet
from omnisila.models.likelihood import Asked, answers_likelihood, label_likelihoods
from omnisila.models.scene_model import SceneModel
from omnisila.scenes.extractor import Entities, SceneShard
from omnisila.scenes.windows import Window, WindowBatch
from omnisila.schema import Evidence, ExpertWeights, Finding, SceneName, Span
from omnisila.spans import LabelledSpan

ShardsWithin = Callable[[Span], Iterator[SceneShard]]

KEY_TIMES = 8  # sample times of a finding's evidence and of its attribution
LOOK_S = 1.0  # at each of them, so much is looked at
MAX_CLAUSES = 3
MAX_CAUSE_TOKENS = 128


class Found(NamedTuple):
    """A span that was found, as its cause is looked for.

    Attributes:
        trained: those of its labels that the model was trained on.
        inputs: the window that shows the span, as the model reads it.
        true: what is true of the evidence seen in it and speaks for the label.
    """

    labels: LabelSet
    trained: Sequence[str]
    label: str
    inputs: WindowBatch
    true: Sequence[Clause]


Cause = Callable[[SceneModel, Found], str | None]


@torch.inference_mode()
def attribute_span(
    model: SceneModel,
    labels: LabelSet,
    trained: Sequence[str],
    found: LabelledSpan,
    weights: ExpertWeights | None,
    shards_within: ShardsWithin,
    window: Window | None,
    see: See,
    cause: Cause,
) -> Finding:
    """A span as a finding, with the evidence seen in it and its cause.

    Args:
        trained: those of its labels that the model was trained on.
        weights: of the experts over the span; None for a model without any.
        shards_within: the video's shards that a span touches, read one at a time.
        window: what shows the span; None where the video ends before it begins.
        cause: ``ranked_cause`` or ``written_cause``.

    Raises:
        InputError: there is no window.
    """
    span = found.span
    if window is None:
        raise InputError(f"span {span.start_s:.1f}-{span.end_s:.1f} s lies outside the video. Analyse it again.")
    seen = seen_over(span, shards_within)
    true = clauses_for(seen.said, labels, found.label)
    return Finding(
        span=span,
        label=found.label,
        labels=labels.name,
        score=min(max(found.score, 0.0), 1.0),
        cause=cause(model, Found(labels, trained, found.label, see([window]), true)),
        cause_by="evidence" if cause is ranked_cause else "model",
        evidence=seen.evidence,
        expert_weights=weights,
    )


class SeenOver(NamedTuple):
    """What was seen in a span: evidence at its key times, and all that is true of it in words."""

    evidence: Evidence
    said: tuple[Clause, ...]


def seen_over(span: Span, shards_within: ShardsWithin) -> SeenOver:
    """What the extractors saw in a span; a long one is looked at around its key times."""
    step_s = span.duration_s / KEY_TIMES
    times_s = [span.start_s + (i + 0.5) * step_s for i in range(KEY_TIMES)]
    evidence, summary = seen_in(shards_within(span), _looks(span, times_s))
    return SeenOver(thin_evidence(evidence, times_s), clauses(evidence, summary))


def written_cause(model: SceneModel, found: Found) -> str | None:
    """What the model writes when it is asked why."""
    asked = render_instruction(Instruction("attribute", found.labels, found.label))
    before = found.inputs.contexts[0] if found.inputs.contexts else ""
    made = model.generate(found.inputs.scenes, found.inputs.visual, [before + asked], max_tokens=MAX_CAUSE_TOKENS)
    return made.texts[0].strip() or None


def ranked_cause(model: SceneModel, found: Found) -> str | None:
    """The best of the statements that are true and speak for the label; None where there is none.

    Best is what is likely as the label's cause, and from a scene that speaks for the label.

    What is as likely of calm footage explains nothing, so the likelihood is relative to the quiet label's question.
    """
    if not found.true:
        return None
    labels, texts = found.labels, tuple(clause.text for clause in found.true)
    asked = [found.label, *([labels.quiet] if labels.quiet else [])]
    rows = answers_likelihood(
        model,
        found.inputs.scenes,
        found.inputs.visual,
        [Asked(render_instruction(Instruction("attribute", labels, name)), texts) for name in asked],
    )
    log_probs = rows[0].log_probs[0] - (rows[1].log_probs[0] if len(rows) > 1 else 0.0)
    speaks = scene_influence(model, labels, found.trained, found.label, found.inputs)
    merit = log_probs / rows[0].token_counts + torch.tensor([speaks[clause.scene] for clause in found.true])
    best: list[int] = merit.argsort(descending=True)[:MAX_CLAUSES].tolist()
    text = render_clauses([texts[index] for index in best])
    return f"{text[0].upper()}{text[1:]}."


@torch.inference_mode()
def scene_influence(
    model: SceneModel, labels: LabelSet, trained: Sequence[str], label: str, inputs: WindowBatch
) -> dict[SceneName, float]:
    """How much each scene speaks for a label: log P(label | all scenes) - log P(label | all but this one), in nats.

    0 for every scene where the model was not trained on the label.

    Args:
        inputs: one window.
    """
    if label not in trained:
        return dict.fromkeys(inputs.scenes, 0.0)
    versions = len(inputs.scenes) + 1
    scenes = {
        name: _once_without(scene, place, versions) for place, (name, scene) in enumerate(inputs.scenes.items(), 1)
    }
    values, mask, area = inputs.visual[:3]
    area = None if area is None else area.expand(versions, -1)
    visual = Entities(values.expand(versions, -1, -1, -1), mask.expand(versions, -1, -1), area)
    asked = Asked(render_instruction(Instruction("identify", labels)), tuple(render_label(label) for label in trained))
    (likelihood,) = label_likelihoods(model, scenes, visual, [asked])
    whole, *left_out = likelihood.log_probs.log_softmax(-1)[:, list(trained).index(label)].tolist()
    return {scene: whole - without for scene, without in zip(inputs.scenes, left_out, strict=True)}


def _once_without(scene: Entities, place: int, versions: int) -> Entities:
    """The scene for the whole window and for each version that leaves a scene out; absent in its own."""
    values, mask = (part.repeat(versions, *[1] * (part.ndim - 1)) for part in scene[:2])
    values[place], mask[place] = 0.0, False
    return Entities(values, mask)


def _looks(span: Span, times_s: Iterable[float]) -> list[Span]:
    """What is looked at for evidence: the whole of a short span, else a second around each key time."""
    if span.duration_s <= KEY_TIMES * LOOK_S:
        return [span]
    return [Span(start_s=time_s - LOOK_S / 2, end_s=time_s + LOOK_S / 2) for time_s in times_s]


def thin_evidence(evidence: Evidence, times_s: Sequence[float]) -> Evidence:
    """Only what was seen at the sample of each kind nearest to one of the times."""

    def near(items: Sequence[Any]) -> tuple[Any, ...]:
        have = sorted({item.time_s for item in items})
        kept = {min(have, key=lambda have_s: abs(have_s - time_s)) for time_s in times_s} if have else set()
        return tuple(item for item in items if item.time_s in kept)

    return evidence.select(near)
