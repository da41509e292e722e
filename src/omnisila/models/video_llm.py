"""What a Video-LLM must offer so that scene tokens can stand beside its own visual tokens. Source: Omni-SILA 3.4."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import Cache

from omnisila.errors import InputError
from omnisila.models.tokens import Tokens
from omnisila.scenes.extractor import Entities


class Generated(NamedTuple):
    """A batch of answers without their terminators; their tokens, the terminator among them, with log-probabilities."""

    texts: tuple[str, ...]
    log_probs: tuple[tuple[float, ...], ...]
    ids: tuple[tuple[int, ...], ...]


@runtime_checkable
class VideoLLM(Protocol):
    """A language model whose input passes through an embedding layer, with its own visual encoder's projector.

    Attributes:
        width: of its token embeddings.
        video_id: the id of a video token's placeholder, ``scene_id`` that of ``<scene>``.
        pad_id: the id of padding.
        max_tokens: how long prompt and answer may be together.
    """

    width: int
    video_id: int
    scene_id: int
    pad_id: int
    max_tokens: int

    def prompt_ids(
        self, instruction: str, frames: int, scene_tokens: int | None = None, times_s: Sequence[float] = ()
    ) -> list[int]:
        """A prompt with placeholders for that many frames; placeholders in the instruction itself are plain text.

        Args:
            frames: 0 where scene tokens stand for the visual ones.
            scene_tokens: how many ``<scene>`` placeholders; one a frame by default.
            times_s: of the frames, for models whose prompts tell them.
        """
        ...

    def answer_ids(self, answer: str) -> list[int]:
        """An answer's tokens with the terminator."""
        ...

    def embed(self, ids: Int[Tensor, "batch tokens"], visual: Entities) -> Float[Tensor, "batch tokens width"]:
        """Token embeddings with visual tokens at ``<video>``."""
        ...

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        """Logits from the prompt's last token on."""
        ...

    def empty_cache(self) -> Cache:
        """What ``generate`` keeps of prompts' beginnings, before it has read any."""
        ...

    def turn_ids(self, instruction: str) -> list[int]:
        """A further question's tokens, behind an answer and its terminator."""
        ...

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int,
        beams: int,
        cache: Cache | None = None,
    ) -> Generated:
        """The likeliest answers to prompts: greedy for one beam, beam search for more.

        Args:
            cache: keys and values of the prompts' beginnings, which are then not read again; it grows by what is read.
        """
        ...


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


def batch_prompts(
    model: VideoLLM, instructions: Sequence[str], frames: int, scene_tokens: int | None = None
) -> list[list[int]]:
    """Each instruction's prompt for windows of that many frames."""
    return [model.prompt_ids(instruction, frames, scene_tokens) for instruction in instructions]
