"""Answers by likelihood: log P(answer | prompt) of labels and clauses, and the losses that shape it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omnisila.models.scene_model import Perceived, SceneModel
from omnisila.models.tokens import IGNORED, batch_continuations, continuation_log_probs
from omnisila.scenes.extractor import Entities, SceneInputs
from omnisila.scenes.summaries import summaries


class Likelihood(NamedTuple):
    """log P(answer + terminator | prompt) of every answer, with each answer's number of tokens.

    ``located`` is what events are looked for by, where votes weigh labels otherwise there (``LabelVotes.weigh``).
    """

    log_probs: Float[Tensor, "batch answers"]
    token_counts: Int[Tensor, "answers"]
    perception: Perceived
    located: Float[Tensor, "batch answers"] | None = None


def answer_likelihood(
    model: SceneModel, scenes: SceneInputs, visual: Entities, instructions: Sequence[str], answers: Sequence[str]
) -> Likelihood:
    """How likely each of the same answers (labels, clauses) is to each window's instruction.

    One pass: all answers are teacher-forced branches behind one shared prompt. Gradients flow.
    """
    llm = model.video_llm
    prompts = model.prompts(instructions, scenes, visual)
    branches = batch_continuations(prompts, [llm.answer_ids(answer) for answer in answers], llm.pad_id)
    logits, perception = model(scenes, visual, branches.tokens)
    return Likelihood(continuation_log_probs(logits, branches), branches.counts, perception)


class Asked(NamedTuple):
    """An instruction, and the answers whose likelihoods are wanted."""

    instruction: str
    answers: tuple[str, ...]


@torch.inference_mode()
def answers_likelihood(
    model: SceneModel, scenes: SceneInputs, visual: Entities, asked: Sequence[Asked], contexts: Sequence[str] = ()
) -> list[Likelihood]:
    """``answer_likelihood`` of several instructions about the same windows, in one pass.

    What all prompts of a window have in common, its pictures and scenes above all, is read once; each answer is a
    branch behind it that begins with the rest of its own instruction.

    Args:
        contexts: what each window's instructions begin with; by default nothing.
    """
    llm, before = model.video_llm, contexts or [""] * len(visual.values)
    prompts = [model.prompts([text + question.instruction for text in before], scenes, visual) for question in asked]
    shared = _shared_prefix(next(iter(zip(*prompts, strict=True))))
    # windows differ in how many places they have, never in the words that follow
    rests = [rows[0][shared:] for rows in prompts]
    if len(asked) > 1 and llm.video_id in rests[0]:  # the video stands behind the question: nothing long is shared
        return [item for each in asked for item in answers_likelihood(model, scenes, visual, [each], contexts)]
    branches = batch_continuations(
        [row[: len(row) - len(rests[0])] for row in prompts[0]],
        [
            [*rest, *llm.answer_ids(answer)]
            for rest, question in zip(rests, asked, strict=True)
            for answer in question.answers
        ],
        llm.pad_id,
        [len(rest) for rest, question in zip(rests, asked, strict=True) for _ in question.answers],
    )
    logits, perception = model(scenes, visual, branches.tokens)
    log_probs = continuation_log_probs(logits, branches).split([len(question.answers) for question in asked], dim=1)
    counts = branches.counts.split([len(question.answers) for question in asked])
    return [Likelihood(*both, perception) for both in zip(log_probs, counts, strict=True)]


@torch.inference_mode()
def label_likelihoods(
    model: SceneModel,
    scenes: SceneInputs,
    visual: Entities,
    asked: Sequence[Asked],
    contexts: Sequence[str] = (),
) -> list[Likelihood]:
    """``answers_likelihood`` where the answers are labels: the model's votes on them are weighed in.

    Where the votes alone decide, the language model is not asked.
    """
    votes = model.votes
    if votes is None:
        return answers_likelihood(model, scenes, visual, asked, contexts)
    if not votes.language_weight and all(any(said in votes.labels for said in each.answers) for each in asked):
        perception = cast("Any", model).perceive(scenes, visual)  # only compact models have votes, and they have this
        counts = [torch.tensor([len(model.video_llm.answer_ids(said)) for said in each.answers]) for each in asked]
        alike = torch.zeros(len(visual.values), 1, device=visual.values.device)
        found = [Likelihood(alike.expand(-1, len(count)), count, perception) for count in counts]
    else:
        found = answers_likelihood(model, scenes, visual, asked, contexts)
    seen = summaries(scenes, visual, votes.reads)
    return [
        item._replace(
            log_probs=votes.weigh(item.log_probs, question.answers, seen),
            located=votes.weigh(item.log_probs, question.answers, seen, locating=True),
        )
        for item, question in zip(found, asked, strict=True)
    ]


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; at least one is left to each."""
    shortest = min(len(prompt) for prompt in prompts) - 1
    alike = (len(set(column)) == 1 for column in zip(*prompts, strict=False))
    return next((place for place, same in enumerate(alike) if not same), shortest)


def posterior(log_probs: Float[Tensor, "batch answers"], temperature: float = 1.0) -> Float[Tensor, "batch answers"]:
    """P(label), renormalised over the scored labels; no length normalisation, which would destroy it."""
    return (log_probs / temperature).softmax(-1)


def label_loss(
    log_probs: Float[Tensor, "batch labels"],
    truth: Int[Tensor, "batch"],
    allowed: Bool[Tensor, "batch labels"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of the posterior over labels: trains what the locating pass reads.

    Args:
        allowed: which labels belong to each window's label set, where one batch mixes label sets; default all.
        smoothing: share of the truth spread evenly over the allowed labels.
    """
    allowed = torch.ones_like(log_probs, dtype=torch.bool) if allowed is None else allowed
    log_posterior = log_probs.masked_fill(~allowed, torch.finfo(log_probs.dtype).min).log_softmax(-1)
    true = log_posterior.gather(1, truth.unsqueeze(1)).squeeze(1)
    even = (log_posterior * allowed).masked_fill(~allowed, 0.0).sum(1) / allowed.sum(1)
    return -((1 - smoothing) * true + smoothing * even).mean()


def label_language_loss(
    log_probs: Float[Tensor, "batch labels"], truth: Int[Tensor, "batch"], token_counts: Int[Tensor, "labels"]
) -> Float[Tensor, ""]:
    """L_lm of the true labels as answers, from likelihoods already at hand: mean over the answers' tokens."""
    return -log_probs.gather(1, truth.unsqueeze(1)).sum() / token_counts[truth].sum()


def language_loss(
    logits: Float[Tensor, "batch answer vocabulary"],
    targets: Int[Tensor, "batch answer"],
    answer_tokens: float | None = None,
) -> Float[Tensor, ""]:
    """L_lm: mean cross-entropy over answer tokens only. Source: Omni-SILA 3.4.

    Args:
        answer_tokens: how many the mean is over, where this is a part of a larger batch; default those at hand.
    """
    targets = targets.to(logits.device)
    counted = int((targets != IGNORED).sum()) if answer_tokens is None else answer_tokens
    total = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / counted
