"""ViPER: a Perceiver over per-frame tokens, each the concatenation of switchable modalities.

Sizes are those of transformers' ``PerceiverConfig``, which the paper's system leaves as they are: 256 latents of 1280
numbers, 26 layers, about 256 million parameters. Source: emotional-reaction paper 4.3 and Table 6.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import PerceiverConfig, PerceiverModel
from transformers.models.perceiver.modeling_perceiver import PerceiverClassificationDecoder

from omnisila.config import Config
from omnisila.models.reaction import EMOTIONS, ReactionBatch, ReactionModel


class ViPERConfig(Config):
    """Sizes of the Perceiver.

    Attributes:
        heads: of both kinds of attention.
    """

    kind: Literal["viper"] = "viper"
    latents: int = 256
    width: int = 1280
    layers: int = 26
    heads: int = 8
    dropout: float = 0.1

    def build(self, widths: Mapping[str, int]) -> "ViPER":
        """An untrained model for those modalities, concatenated in their order."""
        return ViPER(widths, self._perceiver(widths))

    def _perceiver(self, widths: Mapping[str, int]) -> PerceiverModel:
        config = PerceiverConfig(
            d_model=self.heads * math.ceil(sum(widths.values()) / self.heads),
            num_latents=self.latents,
            d_latents=self.width,
            num_self_attends_per_block=self.layers,
            num_self_attention_heads=self.heads,
            num_cross_attention_heads=self.heads,
            attention_probs_dropout_prob=self.dropout,
        )
        config.num_labels = EMOTIONS
        decoder = PerceiverClassificationDecoder(
            config,
            num_channels=self.width,
            trainable_position_encoding_kwargs={"num_channels": self.width, "index_dims": 1},
            use_query_residual=True,
        )
        return PerceiverModel(config, decoder=decoder)


class ViPER(ReactionModel):
    """One token a frame, read by latents, which a learned query turns into intensities.

    Its outputs are not bounded: as in the released code there is no sigmoid, so they are clipped only where intensities
    are reported. The tokens carry no position, so the order of the frames does not matter.

    Args:
        widths: modality -> width; values are concatenated in this order, zeros where a modality is missing, and
            filled up with zeros to a width that divides by the heads.
    """

    def __init__(self, widths: Mapping[str, int], perceiver: PerceiverModel) -> None:
        super().__init__(widths)
        self.perceiver = perceiver

    def tokens(self, batch: ReactionBatch) -> Float[Tensor, "batch frames token"]:
        """The modalities of each frame side by side."""
        token = self.side_by_side(batch)
        return F.pad(token, (0, self.perceiver.config.d_model - token.shape[-1]))

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        there = self.there(batch).any(1)
        # latents must have something to look at: a clip of which nothing is known shows its (zero) tokens
        seen = there | ~there.any(1, keepdim=True)
        return self.perceiver(self.tokens(batch), attention_mask=seen.long()).logits
