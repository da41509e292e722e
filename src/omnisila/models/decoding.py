"""What every transformers Video-LLM shares once its input is embedded: logits under explicit visibility, and answers.

The language model is reached through its input embeddings alone, so that scene tokens may stand among them.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from omnisila.errors import InputError
from omnisila.models.tokens import Generated, Tokens

if TYPE_CHECKING:  # importing it takes seconds, and only those models need it that are transformers' own
    import transformers

_VERSION = tuple(map(int, version("transformers").split(".")[:2]))
CACHE_ARGUMENT = "cache" if _VERSION >= (5, 24) else "past_key_values"  # 5.24 warns at the old name


def decode_visible(
    language_model: Any, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens, reads: int
) -> Float[Tensor, "batch predictions vocabulary"]:
    """Logits from the prompt's last token on, each token seeing what ``tokens.visible`` says.

    Args:
        language_model: any transformers model with a language head whose forward takes ``inputs_embeds``.

    Raises:
        InputError: a sequence that is longer.
    """
    check_length(int(tokens.positions.max()) + 1, reads)
    kept = embeds.shape[1] - tokens.prompt_length + 1
    logits = language_model(
        inputs_embeds=embeds,
        attention_mask=visibility_mask(tokens, embeds.dtype, embeds.device),
        position_ids=tokens.positions.to(embeds.device),
        use_cache=False,
        logits_to_keep=kept,
    ).logits
    return logits[:, -kept:]  # VideoLLaMA 3 of transformers gives all


def decode_branches(
    language_model: Any,
    embeds: Float[Tensor, "batch tokens width"],
    positions: Int[Tensor, "*axes batch tokens"],
    tokens: Tokens,
    reads: int,
) -> Float[Tensor, "batch predictions vocabulary"]:
    """``decode_visible`` for a model whose layers keep a state, from which no mask takes a token out again.

    Each branch behind a prompt is a sequence of its own. Without gradients a prompt is read once and its state copied
    for every branch; with them each reads it again, since states are kept by overwriting.

    Raises:
        InputError: a sequence that is longer than the model reads.
    """
    check_length(int(tokens.positions.max()) + 1, reads)
    start, batch, paths = tokens.prompt_length, len(embeds), branch_paths(tokens)
    longest, device = max(map(len, paths)), embeds.device
    # a shorter branch goes on with its last token, from which nothing is read
    places = start + torch.tensor([path + path[-1:] * (longest - len(path)) for path in paths], device=device).long()
    prompt = tokens.visible[:, start - 1, :start].long().to(device)
    seen = F.pad(prompt.repeat_interleave(len(paths), 0), (0, longest), value=1)
    once = len(paths) > 1 and not torch.is_grad_enabled()
    cache: dict[str, Any] = {CACHE_ARGUMENT: empty_cache(language_model)} if once else {}

    def read(rows: Tensor, mask: Tensor, kept: int) -> Tensor:
        return language_model(
            inputs_embeds=embeds[:, rows].flatten(0, 1),
            attention_mask=mask,
            position_ids=positions[..., rows].flatten(-3, -2),
            use_cache=once,
            logits_to_keep=kept,
            **cache,
        ).logits.unflatten(0, (batch, -1))

    every = torch.arange(start, device=device)
    if once:
        first = read(every[None], prompt, 1)[:, 0]
        cache[CACHE_ARGUMENT].reorder_cache(torch.arange(batch, device=device).repeat_interleave(len(paths)))
        behind = read(places, seen, longest)
    else:
        logits = read(torch.cat([every.expand(len(paths), -1), places], dim=1), seen, longest + 1)
        first, behind = logits[:, 0, :1], logits[:, :, 1:]
    found = {place: (number, depth) for number, path in enumerate(paths) for depth, place in enumerate(path)}
    numbers, depths = torch.tensor([found[place] for place in range(len(found))], device=device).view(-1, 2).long().T
    return torch.cat([first, behind[:, numbers, depths]], dim=1)


def empty_cache(language_model: Any) -> "transformers.Cache":
    """What generation keeps of what it has read, in the form that each of the model's layers takes."""
    from transformers import DynamicCache

    return DynamicCache(config=language_model.config.get_text_config())


def branch_paths(tokens: Tokens) -> list[list[int]]:
    """What stands behind the prompts as sequences: each is the places, from the prompts' end on, that its last sees.

    Prompts alone have one, which is empty.
    """
    seen = tokens.visible[:, tokens.prompt_length :, tokens.prompt_length :].any(0)
    ends = (seen.sum(0) == 1).nonzero().flatten().tolist()
    return [seen[end].nonzero().flatten().tolist() for end in ends] or [[]]


def visibility_mask(tokens: Tokens, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "batch 1 t t"] | None:
    """0 where a token may look, the type's lowest number elsewhere, as transformers adds it to attention scores.

    None where every token sees exactly those before it, with no position left out: the model's own causal attention is
    then the same, without a mask to hold and with the fastest kernel.
    """
    length = tokens.visible.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=tokens.visible.device).tril()
    steps = tokens.positions.diff(dim=1)
    # without a mask, transformers takes a gap in the positions for the beginning of another sequence
    if torch.equal(tokens.visible, causal.expand_as(tokens.visible)) and bool((steps == 1).all()):
        return None
    mask = torch.zeros(tokens.visible.shape, dtype=dtype, device=device)
    return mask.masked_fill_(~tokens.visible.to(device), torch.finfo(dtype).min).unsqueeze(1)


@torch.no_grad()
def generate_answers(
    language_model: Any,
    tokenizer: "transformers.PreTrainedTokenizerBase",
    embeds: Float[Tensor, "batch tokens width"],
    tokens: Tokens,
    max_tokens: int,
    beams: int,
    *,
    pad_id: int,
    end_id: int,
    reads: int,
    cache: "transformers.Cache | None" = None,
    stop: str = "",
) -> Generated:
    """The likeliest answers to embedded prompts: greedy for one beam, beam search for more.

    Args:
        stop: text at which an answer stops too; it is no part of the answer.
        cache: keys and values of the prompts' beginnings; it grows.

    Raises:
        InputError: answers that could pass the end of what the model reads.
    """
    from transformers import GenerationConfig

    check_length(int(tokens.positions.max()) + 1 + max_tokens, reads)
    kept = {} if cache is None else {CACHE_ARGUMENT: cache}
    output = language_model.generate(
        inputs_embeds=embeds,
        attention_mask=tokens.visible[:, -1].long().to(embeds.device),
        **kept,
        generation_config=GenerationConfig(
            max_new_tokens=max_tokens,
            num_beams=beams,
            do_sample=False,
            length_penalty=0.0 if beams > 1 else None,  # beams compare plain log-probabilities
            pad_token_id=pad_id,
            eos_token_id=end_id,
            output_scores=True,
            return_dict_in_generate=True,
            stop_strings=stop or None,
        ),
        tokenizer=tokenizer,
    )
    scores = language_model.compute_transition_scores(
        output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
    )
    ended = (output.sequences == end_id).int()  # by the terminator: an answer may have padding's token inside
    counts = torch.where(ended.any(1), ended.argmax(1) + 1, ended.shape[1]).tolist()
    if stop:
        rows = zip(output.sequences, counts, strict=True)
        counts = [_stop_place(tokenizer, row[:count], stop) for row, count in rows]

    def make_rows(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
        return tuple(tuple(row[:count]) for row, count in zip(rows, counts, strict=True))

    texts = tuple(tokenizer.batch_decode(output.sequences, skip_special_tokens=True))
    if stop:
        texts = tuple(text.partition(stop)[0].strip() for text in texts)
    return Generated(texts, make_rows(scores.tolist()), make_rows(output.sequences.tolist()))


def _stop_place(tokenizer: "transformers.PreTrainedTokenizerBase", ids: Tensor, stop: str) -> int:
    """How many tokens an answer has up to the one that completes the text at which it stops."""
    places = range(1, len(ids) + 1)
    return next((place for place in places if stop in tokenizer.decode(ids[:place])), len(ids))


def check_length(length: int, reads: int) -> None:
    """Refuse a sequence that is longer than the model reads.

    Raises:
        InputError: it is.
    """
    if length > reads:
        raise InputError(
            f"prompt and answer of {length} tokens, the model reads {reads}; visual tokens are never cut. Shorten the "
            "instruction or the answer, or show fewer frames."
        )
