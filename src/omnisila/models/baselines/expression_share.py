"""The share of the time at which an expression network names an expression: nothing is learned beside that network."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.layers import masked_mean
from omnisila.models.reaction import EMOTIONS, ReactionBatch, ReactionModel


class ExpressionShareConfig(Config):
    """Which column of the one stream stands for which emotion; an emotion without a column is 0.

    Attributes:
        columns: place of the emotion -> column with a probability.
    """

    kind: Literal["expression-share"] = "expression-share"
    columns: dict[int, int]

    def build(self, widths: Mapping[str, int]) -> "ExpressionShare":
        """The model, ready for use.

        Raises:
            InputError: more than one stream.
        """
        if len(widths) != 1:
            raise InputError(f"an expression's share is read from one stream, not {', '.join(widths)}. Choose one.")
        return ExpressionShare(widths, self.columns)


class ExpressionShare(ReactionModel):
    """The mean of a probability over the frames with a face."""

    def __init__(self, widths: Mapping[str, int], columns: Mapping[int, int]) -> None:
        super().__init__(widths)
        (self.stream,) = self.widths
        chosen = torch.zeros(EMOTIONS, self.widths[self.stream])
        for emotion, column in columns.items():
            chosen[emotion, column] = 1.0
        self.chosen = nn.Parameter(chosen, requires_grad=False)

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        return masked_mean(self.read(batch, self.stream), self.there(batch)[:, 0]) @ self.chosen.T
