"""Token sequences as a language model reads them: prompts, answers, and many continuations of one prompt.

Prompts are padded on the left, so that all continuations of a batch begin at the same place. Which token may look at
which is explicit: that is what lets a batch of labels share one prompt.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from omnisila.errors import InputError

IGNORED = -100  # torch's own mark for targets that do not count


class Tokens(NamedTuple):
    """Token ids, what each may look at, and where each stands in its own sequence.

    The model predicts from the prompt's last token on: of t tokens, the last ``t - prompt_length + 1`` have logits.
    ``times_s`` are those of each row's frames, for models whose positions tell them; empty where they are not known.
    """

    ids: Int[Tensor, "batch tokens"]
    visible: Bool[Tensor, "batch tokens tokens"]
    positions: Int[Tensor, "batch tokens"]
    prompt_length: int
    times_s: tuple[tuple[float, ...], ...] = ()


class Answered(NamedTuple):
    """Prompts with one answer each, and the targets of the logits that predict the answers' tokens."""

    tokens: Tokens
    targets: Int[Tensor, "batch answer"]


class Continued(NamedTuple):
    """Prompts that share one set of continuations, each a branch that sees the prompt and itself.

    Of a continuation the first tokens may be given (a question), the others are predicted (its answer).

    Step k is the prediction of one continuation token: ``wanted[k]``, read from logits ``read_at[k]``, belonging to
    continuation ``owner[k]``.
    """

    tokens: Tokens
    read_at: Int[Tensor, "steps"]
    wanted: Int[Tensor, "steps"]
    owner: Int[Tensor, "steps"]
    counts: Int[Tensor, "continuations"]


class Generated(NamedTuple):
    """A batch of answers without their terminators; their tokens, the terminator among them, with log-probabilities."""

    texts: tuple[str, ...]
    log_probs: tuple[tuple[float, ...], ...]
    ids: tuple[tuple[int, ...], ...]


def batch_prompts(prompts: Sequence[Sequence[int]], pad_id: int) -> Tokens:
    """Prompts alone, padded on the left."""
    length = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad_id] * (length - len(prompt)) + list(prompt) for prompt in prompts])
    counts = torch.tensor([len(prompt) for prompt in prompts])
    positions = torch.arange(length) - (length - counts).unsqueeze(1)
    return _with_diagonal(ids, _causal(positions >= 0), positions.clamp(min=0), length)


def batch_answers(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad_id: int) -> Answered:
    """Prompts with the answers a model is to learn, each ending in its terminator; answers are padded on the right."""
    start = batch_prompts(prompts, pad_id)
    length = max(len(answer) for answer in answers)
    targets = torch.tensor([[*answer, *[IGNORED] * (length - len(answer))] for answer in answers])
    fed = targets[:, :-1]  # the last token is predicted, never read
    real = torch.cat([_real(start), fed != IGNORED], dim=1)
    ids = torch.cat([start.ids, fed.where(fed != IGNORED, torch.tensor(pad_id))], dim=1)
    positions = torch.cat([start.positions, start.positions[:, -1:] + 1 + torch.arange(length - 1)], dim=1)
    return Answered(_with_diagonal(ids, _causal(real), positions, start.prompt_length), targets)


def batch_continuations(
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    pad_id: int,
    given: Sequence[int] | None = None,
) -> Continued:
    """Prompts followed by every continuation side by side; a continuation sees the prompt and its own tokens only.

    Args:
        given: how many tokens of each continuation are read without being predicted; default none.
    """
    start = batch_prompts(prompts, pad_id)
    batch, steps = len(prompts), [(owner, step) for owner, ids in enumerate(continuations) for step in range(len(ids))]
    owner = torch.tensor([owner for owner, _ in steps])
    step = torch.tensor([step for _, step in steps])
    wanted = torch.tensor([continuations[owner][step] for owner, step in steps])
    lengths = torch.tensor([len(ids) for ids in continuations])
    first = torch.zeros_like(lengths) if given is None else torch.tensor(given)
    fed = step < lengths[owner] - 1  # the last token of a continuation is predicted, never read
    branch, depth = owner[fed], step[fed]

    ids = torch.cat([start.ids, wanted[fed].expand(batch, -1)], dim=1)
    positions = torch.cat([start.positions, start.positions[:, -1:] + 1 + depth], dim=1)
    visible = torch.zeros(batch, ids.shape[1], ids.shape[1], dtype=torch.bool)
    prompt = slice(0, start.prompt_length)
    visible[:, prompt, prompt] = start.visible
    visible[:, start.prompt_length :, prompt] = _real(start).unsqueeze(1)
    same = (branch.unsqueeze(1) == branch) & (depth.unsqueeze(1) >= depth)
    visible[:, start.prompt_length :, start.prompt_length :] = same
    # A continuation's first token is read from the prompt's last one, every other from the token before it.
    place = torch.cumsum(fed, dim=0)
    read_at = torch.where(step == 0, 0, place - fed.long())
    predicted = step >= first[owner]
    tokens = Tokens(ids, visible, positions, start.prompt_length)
    return Continued(tokens, read_at[predicted], wanted[predicted], owner[predicted], lengths - first)


def continuation_log_probs(
    logits: Float[Tensor, "batch predictions vocabulary"], continued: Continued
) -> Float[Tensor, "batch continuations"]:
    """log P(continuation | prompt), summed over its tokens, from the logits of ``continued.tokens``."""
    log_probs = logits.float().log_softmax(-1)[:, continued.read_at, continued.wanted]
    total = log_probs.new_zeros(len(log_probs), len(continued.counts))
    return total.index_add(1, continued.owner.to(total.device), log_probs)


def splice(
    embeds: Float[Tensor, "batch tokens width"],
    ids: Int[Tensor, "batch tokens"],
    placeholder_id: int,
    spliced: Float[Tensor, "batch spliced narrow"],
    present: Bool[Tensor, "batch spliced"] | None = None,
) -> Float[Tensor, "batch tokens width"]:
    """Put one vector at each placeholder, in order; everything else stays as it is.

    Args:
        spliced: the vectors; of embeddings that are wider, what is beyond them is 0.
        present: which of the vectors there are in each row, where rows have different numbers; default all.

    Raises:
        InputError: a prompt whose placeholders are not as many as the vectors.
    """
    places: Bool[Tensor, "batch tokens"] = (ids == placeholder_id).to(embeds.device)
    there = torch.ones(spliced.shape[:2], dtype=torch.bool) if present is None else present
    for row, (found, wanted) in enumerate(zip(places.sum(1).tolist(), there.sum(1).tolist(), strict=True)):
        if found != wanted:
            raise InputError(
                f"prompt {row}: {found} placeholders of token {placeholder_id}, wanted {wanted}. "
                "Render the prompt for as many frames as the window has, and do not truncate it."
            )
    spliced = F.pad(spliced, (0, embeds.shape[-1] - spliced.shape[-1]))
    source = spliced if present is None else spliced[there.to(spliced.device)]
    return embeds.masked_scatter(places.unsqueeze(-1), source.to(embeds.dtype))


def _real(tokens: Tokens) -> Bool[Tensor, "batch tokens"]:
    """Which tokens are no padding: those that the prompt's last token sees."""
    return tokens.visible[:, tokens.prompt_length - 1, : tokens.prompt_length]


def _causal(real: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens tokens"]:
    length = real.shape[1]
    return torch.ones(length, length, dtype=torch.bool).tril() & real.unsqueeze(1)


def _with_diagonal(
    ids: Int[Tensor, "batch tokens"],
    visible: Bool[Tensor, "batch tokens tokens"],
    positions: Int[Tensor, "batch tokens"],
    prompt_length: int,
) -> Tokens:
    """Padding sees itself: an empty row of attention would not be a number."""
    return Tokens(ids, visible | torch.eye(ids.shape[1], dtype=torch.bool), positions, prompt_length)
