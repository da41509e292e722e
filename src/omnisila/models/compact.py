"""The compact Video-LLM: frozen visual features, a projector and a small Llama trained from scratch.

It has the Video-LLaVA interface at a thousandth of the size, so that one command works without a GPU or a hub.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    Cache,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.masking_utils import sdpa_mask

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.decoding import check_length, empty_cache, generate_answers
from omnisila.models.layers import FeatureDropout, Standardise, attend, masked_mean
from omnisila.models.tokenizer import END, PAD, SCENE, START, VIDEO, token_id
from omnisila.models.tokens import Generated, Tokens, splice
from omnisila.scenes.extractor import Entities

FLOAT32_ATTENTION = "omnisila_float32"


def _llama_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    mixed = attend(query, key, value, attention_mask, dropout, scaling)
    return mixed.transpose(1, 2).contiguous(), None


def _llama_mask(*shape: Any, **options: Any) -> Tensor | None:
    """Causality and padding while generating: transformers builds no mask for an attention that registers none."""
    return sdpa_mask(*shape, **{**options, "allow_is_causal_skip": False})


AttentionInterface.register(FLOAT32_ATTENTION, _llama_attention)
AttentionMaskInterface.register(FLOAT32_ATTENTION, _llama_mask)


class CompactVideoLLM(nn.Module):
    """Visual features of each frame become one ``<video>`` token; a small Llama reads them with scenes and text.

    A prompt is ``<s>``, the video tokens, the scene tokens, the instruction and a line end; the answer follows.
    """

    def __init__(
        self,
        language_model: LlamaForCausalLM,
        standardise: Standardise,
        projector: nn.Module,
        tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        super().__init__()
        self.language_model = language_model
        self.standardise = standardise
        self.projector = projector
        self.tokenizer = tokenizer
        self.width = language_model.config.hidden_size
        self.max_tokens = language_model.config.max_position_embeddings
        self.video_id, self.scene_id, self.pad_id, self.start_id, self.end_id = (
            token_id(tokenizer, token) for token in (VIDEO, SCENE, PAD, START, END)
        )

    def prompt_ids(
        self, instruction: str, frames: int, scene_tokens: int | None = None, times_s: Sequence[float] = ()
    ) -> list[int]:
        scenes = frames if scene_tokens is None else scene_tokens
        places = [self.video_id] * frames + [self.scene_id] * scenes
        return [self.start_id, *places, *self._plain_ids(instruction + "\n")]

    def answer_ids(self, answer: str) -> list[int]:
        return [*self._plain_ids(answer), self.end_id]

    def empty_cache(self) -> Cache:
        return empty_cache(self.language_model)

    def turn_ids(self, instruction: str) -> list[int]:
        return self._plain_ids(instruction + "\n")

    def embed(self, ids: Int[Tensor, "batch tokens"], visual: Entities) -> Float[Tensor, "batch tokens width"]:
        """Token embeddings with one visual token a frame at ``<video>``, zero for frames outside the video.

        Raises:
            InputError: prompts for another number of frames, or visual features of another width.
        """
        if visual.values.shape[-1] != len(self.standardise.mean):
            raise InputError(
                f"visual features of width {visual.values.shape[-1]}, wanted {len(self.standardise.mean)}. "
                "Extract with the profile the model was trained on."
            )
        embeds = self.language_model.get_input_embeddings()(ids)
        return splice(embeds, ids, self.video_id, self.visual_tokens(visual))

    def visual_tokens(self, visual: Entities) -> Float[Tensor, "batch frames width"]:
        """One token a frame, zero for frames outside the video."""
        features = masked_mean(self.standardise(visual.values), visual.mask)
        return self.projector(features) * visual.mask.any(-1, keepdim=True)

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        check_length(int(tokens.positions.max()) + 1, self.max_tokens)
        return self.language_model(
            inputs_embeds=embeds,
            attention_mask=tokens.visible.unsqueeze(1),
            position_ids=tokens.positions,
            use_cache=False,
            logits_to_keep=embeds.shape[1] - tokens.prompt_length + 1,
        ).logits

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int = 64,
        beams: int = 1,
        cache: Cache | None = None,
    ) -> Generated:
        ends: dict[str, Any] = {"pad_id": self.pad_id, "end_id": self.end_id, "reads": self.max_tokens}
        return generate_answers(
            self.language_model, self.tokenizer, embeds, tokens, max_tokens, beams, **ends, cache=cache
        )

    def fit_standardisation(self, visual: Entities) -> None:
        """Take mean and spread of the visual features from training windows.

        Raises:
            TrainingError: no frames, or features that are not finite.
        """
        self.standardise.fit(visual.values[visual.mask])

    def _plain_ids(self, text: str) -> list[int]:
        """A placeholder that a user types is text, not a place for a token."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


class CompactConfig(Config):
    """The compact language model's size."""

    visual_features: int = 2560  # EfficientNet-Lite0: mean and maximum over the frame
    width: int = 192
    num_layers: int = 4
    num_heads: int = 6
    feedforward: int = 384
    max_tokens: int = 1024
    dropout: float = 0.0
    visual_dropout: float = 0.0  # of single visual features

    def build(self, tokenizer: PreTrainedTokenizerFast) -> CompactVideoLLM:
        llama = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=self.width, intermediate_size=self.feedforward,
            num_hidden_layers=self.num_layers, num_attention_heads=self.num_heads,
            max_position_embeddings=self.max_tokens, attention_dropout=self.dropout, tie_word_embeddings=True,
            pad_token_id=token_id(tokenizer, PAD), bos_token_id=token_id(tokenizer, START),
            eos_token_id=token_id(tokenizer, END),
        )  # fmt: skip
        llama._attn_implementation = FLOAT32_ATTENTION
        return CompactVideoLLM(LlamaForCausalLM(llama), Standardise(self.visual_features), self._projector(), tokenizer)

    def _projector(self) -> nn.Sequential:
        return nn.Sequential(
            FeatureDropout(self.visual_dropout),
            nn.Linear(self.visual_features, self.width),
            nn.GELU(),
            nn.Linear(self.width, self.width),
        )
