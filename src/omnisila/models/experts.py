"""The four scene experts FEE, HAE, ORE and VBE: four instances of one class. Source: Omni-SILA 3.2."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.layers import EncoderLayer, FeatureDropout, MeanPooling, QueryPooling, Standardise
from omnisila.scenes.extractor import Entities


class ExpertState(NamedTuple):
    """One expert's view of a window; ``hidden`` is zero in frames where its scene is absent."""

    hidden: Float[Tensor, "batch frames width"]
    present: Bool[Tensor, "batch frames"]


class SceneExpert(nn.Module):
    """A stack of transformer layers over a window's frames, h_i = Expert_i(x_i). Source: Omni-SILA 3.2.

    Entities of a frame are standardised, brought to the expert's width and pooled; frames attend to each other. A
    frame without entities is hidden from the others, and a window without any costs nothing.
    """

    def __init__(
        self,
        standardise: Standardise,
        embed: nn.Linear,
        pooling: MeanPooling | QueryPooling,
        layers: nn.ModuleList,
        frames: int,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.input_dropout = FeatureDropout(input_dropout)
        self.embed = embed
        self.dropout = nn.Dropout(dropout)
        self.pooling = pooling
        self.positions = nn.Parameter(torch.randn(frames, embed.out_features) * 0.02)
        self.layers = layers
        self.norm = nn.LayerNorm(embed.out_features)

    @property
    def feature_width(self) -> int:
        """d_j of Eq. (2): the width of the scene's features."""
        return self.embed.in_features

    def forward(self, entities: Entities) -> ExpertState:
        """Encode a window's entities.

        Raises:
            InputError: features of another width, or more frames than there are positions.
        """
        self._check(entities)
        present = entities.mask.any(-1)
        seen = present.any(-1)
        encoded = self._encode(entities.values[seen], entities.mask[seen], present[seen])
        hidden = encoded.new_zeros(*present.shape, encoded.shape[-1])
        return ExpertState(hidden.index_put((seen,), encoded), present)

    def _encode(
        self,
        values: Float[Tensor, "seen frames entities features"],
        mask: Bool[Tensor, "seen frames entities"],
        present: Bool[Tensor, "seen frames"],
    ) -> Float[Tensor, "seen frames width"]:
        frames = present.shape[1]
        # An absent frame sees itself, so that no row of the attention is empty; its state is dropped below.
        visible = present.unsqueeze(1) | torch.eye(frames, dtype=torch.bool, device=present.device)
        pooled = self.pooling(self.dropout(self.embed(self.input_dropout(self.standardise(values)))), mask)
        states = pooled + self.positions[:frames]
        for layer in self.layers:
            states = layer(states, visible)
        return self.norm(states) * present.unsqueeze(-1)

    def _check(self, entities: Entities) -> None:
        _, frames, _, features = entities.values.shape
        if features != self.feature_width:
            raise InputError(
                f"scene expert: features of width {features}, wanted {self.feature_width}. "
                "Extract with the profile the model was trained on."
            )
        if frames > len(self.positions):
            raise InputError(
                f"scene expert: a window of {frames} frames, wanted at most {len(self.positions)}. "
                "Use fewer frames a window, or build the model with more."
            )


class AbsentExpert(nn.Module):
    """Stands where a scene is left out: never present, so it gets no routing weight. Source: Omni-SILA Table 3."""

    feature_width = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, entities: Entities) -> ExpertState:
        batch, frames = entities.mask.shape[:2]
        hidden = entities.values.new_zeros(batch, frames, self.width)
        return ExpertState(hidden, torch.zeros_like(entities.mask[..., 0]))


class ExpertConfig(Config):
    """One scene expert's size; the defaults stand beside a 7B language model."""

    width: int = 1024  # the papers' 4096 would mean 6.5 B parameters for four experts
    num_layers: int = 8  # Omni-SILA 4.3
    num_heads: int = 16
    feedforward_ratio: int = 4
    frames: int = 8  # Omni-SILA 4.1
    pooling: Literal["mean", "query"] = "mean"
    dropout: float = 0.0
    input_dropout: float = 0.0  # of single features: small data cannot be trusted with thousands of them

    def build(self, feature_width: int) -> SceneExpert:
        pooling = MeanPooling() if self.pooling == "mean" else QueryPooling(self.width, self.num_heads)
        layers = nn.ModuleList(
            EncoderLayer(self.width, self.num_heads, self.feedforward_ratio * self.width, self.dropout)
            for _ in range(self.num_layers)
        )
        standardise, embed = Standardise(feature_width), nn.Linear(feature_width, self.width)
        return SceneExpert(standardise, embed, pooling, layers, self.frames, self.dropout, self.input_dropout)


COMPACT_EXPERT = ExpertConfig(width=96, num_heads=4, feedforward_ratio=2)
