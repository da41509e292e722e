"""Beyond the paper: a temporal model of several modalities, for order in time and for sight and sound that agree.

Each modality has its own encoder over time; then the modalities look at each other; in training whole modalities are
dropped, so that a clip without sound or without a face is nothing new.
"""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.layers import EncoderLayer, Standardise, masked_mean
from omnisila.models.reaction import EMOTIONS, FRAMES, ReactionBatch, ReactionModel


class TemporalAVConfig(Config):
    """Sizes of the temporal audio-visual model.

    Attributes:
        modality_dropout: chance of each modality of a training clip to be hidden; one always stays.
    """

    kind: Literal["temporal-av"] = "temporal-av"
    width: int = 128
    heads: int = 4
    temporal_layers: int = 2
    cross_layers: int = 2
    dropout: float = 0.2
    modality_dropout: float = 0.2

    def build(self, widths: Mapping[str, int]) -> "TemporalAV":
        return TemporalAV(widths, self)


class TemporalAV(ReactionModel):
    """Per-modality temporal encoders, cross-modal attention, and a sigmoid head over the modalities' summaries."""

    def __init__(self, widths: Mapping[str, int], config: TemporalAVConfig) -> None:
        super().__init__(widths)
        self.modality_dropout = config.modality_dropout
        self.encoders = nn.ModuleDict({name: ModalityEncoder(width, config) for name, width in self.widths.items()})
        self.kinds = nn.Parameter(torch.randn(len(self.widths), config.width) * 0.02)
        self.cross = nn.ModuleList(_layer(config) for _ in range(config.cross_layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, EMOTIONS)

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        there = self.there(batch)
        there = there & self._draw_shown(there.any(-1)).unsqueeze(-1)
        sequences = [
            self.encoders[name](self.read(batch, name), there[:, index]) + self.kinds[index]
            for index, name in enumerate(self.widths)
        ]
        present = _with_summary(there, there.any(-1, keepdim=True))
        states = torch.cat(sequences, dim=1)
        for layer in self.cross:
            states = layer(states, across(present))
        summaries = states.unflatten(1, present.shape[1:])[:, :, 0]
        return self.head(self.norm(masked_mean(summaries, present[..., 0]))).sigmoid()

    def fit_standardisation(self, batch: ReactionBatch) -> None:
        """Take each modality's mean and spread from the training clips' frames.

        Raises:
            TrainingError: a modality is there on no frame, or has values that are not finite.
        """
        for name, encoder in self.encoders.items():
            cast("ModalityEncoder", encoder).standardise.fit(batch.values[name][batch.masks[name]].float())

    def _draw_shown(self, known: Bool[Tensor, "batch modalities"]) -> Bool[Tensor, "batch modalities"]:
        """Which modalities of each clip are shown: in training some are hidden, never all that there are."""
        if not self.training or not self.modality_dropout:
            return known
        chance = torch.rand(known.shape, device=known.device).masked_fill(~known, -1.0)
        spared = chance == chance.max(dim=1, keepdim=True).values
        return known & (spared | (chance >= self.modality_dropout))


class ModalityEncoder(nn.Module):
    """One modality over time: standardised, projected, a place for each frame, a summary token in front."""

    def __init__(self, width: int, config: TemporalAVConfig) -> None:
        super().__init__()
        self.standardise = Standardise(width)
        self.project = nn.Linear(width, config.width)
        self.places = nn.Parameter(torch.randn(FRAMES, config.width) * 0.02)
        self.summary = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.layers = nn.ModuleList(_layer(config) for _ in range(config.temporal_layers))

    def forward(
        self, values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch 1+frames width"]:
        frames = self.project(self.standardise(values)) + self.places
        states = torch.cat([self.summary.expand(len(values), -1, -1), frames], dim=1)
        present = _with_summary(mask, torch.ones_like(mask[:, :1]))
        for layer in self.layers:
            states = layer(states, present.unsqueeze(1).expand(-1, present.shape[1], -1))
        return states


def across(present: Bool[Tensor, "batch modalities tokens"]) -> Bool[Tensor, "batch all all"]:
    """What each token of one modality may look at: present tokens of the other modalities, and itself."""
    modalities, tokens = present.shape[1:]
    of = torch.arange(modalities, device=present.device).repeat_interleave(tokens)
    others = (of.unsqueeze(1) != of) & present.flatten(1).unsqueeze(1)
    return others | torch.eye(modalities * tokens, dtype=torch.bool, device=present.device)


def _layer(config: TemporalAVConfig) -> EncoderLayer:
    return EncoderLayer(config.width, config.heads, 2 * config.width, config.dropout)


def _with_summary(
    mask: Bool[Tensor, "*rest frames"], summary: Bool[Tensor, "*rest 1"]
) -> Bool[Tensor, "*rest 1+frames"]:
    return torch.cat([summary, mask], dim=-1)
