"""The compact Video-LLM: frozen visual features, a projector and a small Llama trained from scratch.

It has the Video-LLaVA interface at a thousandth of the size, so that one command works without a GPU or a hub.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.decoding import check_length, empty_cache, generate_answers
from omnisila.models.layers import FeatureDropout, Standardise, masked_mean
from omnisila.models.llama import Llama
from omnisila.models.tokenizer import END, PAD, SCENE, START, VIDEO, as_transformers, plain_ids, token_id
from omnisila.models.tokens import Generated, Tokens, splice
from omnisila.scenes.extractor import Entities

if TYPE_CHECKING:  # importing it takes longer than a minute of video does
    import transformers


class CompactVideoLLM(nn.Module):
    """Visual features of each frame become one ``<video>`` token; a small Llama reads them with scenes and text.

    A prompt is ``<s>``, the video tokens, the scene tokens, the instruction and a line end; the answer follows.
    """

    def __init__(
        self,
        language_model: Llama,
        standardise: Standardise,
        projector: nn.Module,
        tokenizer: Tokenizer,
        max_tokens: int,
    ) -> None:
        super().__init__()
        self.language_model = language_model
        self.standardise = standardise
        self.projector = projector
        self.tokenizer = tokenizer
        self.width = language_model.lm_head.in_features
        self.max_tokens = max_tokens
        self.video_id, self.scene_id, self.pad_id, self.start_id, self.end_id = (
            token_id(tokenizer, token) for token in (VIDEO, SCENE, PAD, START, END)
        )

    def prompt_ids(
        self, instruction: str, frames: int, scene_tokens: int | None = None, times_s: Sequence[float] = ()
    ) -> list[int]:
        scenes = frames if scene_tokens is None else scene_tokens
        places = [self.video_id] * frames + [self.scene_id] * scenes
        return [self.start_id, *places, *plain_ids(self.tokenizer, instruction + "\n")]

    def answer_ids(self, answer: str) -> list[int]:
        return [*plain_ids(self.tokenizer, answer), self.end_id]

    def empty_cache(self) -> "transformers.Cache":
        return empty_cache(self.language_model.as_transformers(self.max_tokens))

    def turn_ids(self, instruction: str) -> list[int]:
        return plain_ids(self.tokenizer, instruction + "\n")

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
        embeds = self.language_model.model["embed_tokens"](ids)
        return splice(embeds, ids, self.video_id, self.visual_tokens(visual))

    def visual_tokens(self, visual: Entities) -> Float[Tensor, "batch frames width"]:
        """One token a frame, zero for frames outside the video."""
        features = masked_mean(self.standardise(visual.values), visual.mask)
        return self.projector(features) * visual.mask.any(-1, keepdim=True)

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        check_length(int(tokens.positions.max()) + 1, self.max_tokens)
        kept = embeds.shape[1] - tokens.prompt_length + 1
        return self.language_model(embeds, tokens.positions, tokens.visible, kept)

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int = 64,
        beams: int = 1,
        cache: "transformers.Cache | None" = None,
    ) -> Generated:
        model, tokenizer = self.language_model.as_transformers(self.max_tokens), as_transformers(self.tokenizer)
        ends: dict[str, Any] = {"pad_id": self.pad_id, "end_id": self.end_id, "reads": self.max_tokens}
        return generate_answers(model, tokenizer, embeds, tokens, max_tokens, beams, **ends, cache=cache)

    def fit_standardisation(self, visual: Entities) -> None:
        """Take mean and spread of the visual features from training windows.

        Raises:
            TrainingError: no frames, or features that are not finite.
        """
        self.standardise.fit(visual.values[visual.mask])


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

    def build(self, tokenizer: Tokenizer) -> CompactVideoLLM:
        llama = Llama(
            tokenizer.get_vocab_size(), token_id(tokenizer, PAD), self.num_layers, self.width,
            num_heads=self.num_heads, feedforward=self.feedforward, dropout=self.dropout,
        )  # fmt: skip
        standardise = Standardise(self.visual_features)
        return CompactVideoLLM(llama, standardise, self._projector(), tokenizer, self.max_tokens)

    def _projector(self) -> nn.Sequential:
        return nn.Sequential(
            FeatureDropout(self.visual_dropout),
            nn.Linear(self.visual_features, self.width),
            nn.GELU(),
            nn.Linear(self.width, self.width),
        )
