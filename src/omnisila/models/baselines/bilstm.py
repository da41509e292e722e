"""The data set's baselines: facial features through a linear layer and a bidirectional LSTM.

Source: emotional-reaction paper, Table 3 (BaselineFAU, BaselineVGGFace2).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from omnisila.config import Config
from omnisila.models.reaction import EMOTIONS, ReactionBatch, ReactionModel


class BiLSTMConfig(Config):
    """Sizes of the recurrent baseline, of which the paper says nothing."""

    kind: Literal["bilstm"] = "bilstm"
    width: int = 256
    layers: int = 2
    dropout: float = 0.2

    def build(self, widths: Mapping[str, int]) -> "BiLSTM":
        return BiLSTM(widths, self.width, self.layers, self.dropout)


class BiLSTM(ReactionModel):
    """Linear, bidirectional LSTM over the frames that have features, linear, sigmoid.

    Frames without any (no face) are passed over; the last state of each direction is read. A clip without a single such
    frame is read as one frame of zeros.
    """

    def __init__(self, widths: Mapping[str, int], width: int, layers: int, dropout: float) -> None:
        super().__init__(widths)
        self.project = nn.Linear(sum(self.widths.values()), width)
        self.lstm = nn.LSTM(
            width, width, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.head = nn.Linear(2 * width, EMOTIONS)

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        there = self.there(batch).any(1)
        present_first = (~there).long().argsort(dim=1, stable=True).unsqueeze(-1)
        states = self.project(self.side_by_side(batch)).take_along_dim(present_first, 1)
        lengths = there.sum(1).clamp(min=1).cpu()
        _, (last, _) = self.lstm(pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False))
        return self.head(torch.cat([last[-2], last[-1]], dim=-1)).sigmoid()
