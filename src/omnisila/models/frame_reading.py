"""The share of the time at which a face shows an expression: each frame read by itself, linearly, then the mean."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.layers import masked_mean
from omnisila.models.reaction import EMOTIONS, ReactionBatch, ReactionModel

_SMALLEST = 1e-3  # probability that counts as 0


class FrameReadingConfig(Config):
    """Which emotions are read off the one stream's probabilities; the others are 0.

    Attributes:
        emotions: their places.
    """

    kind: Literal["frame-reading"] = "frame-reading"
    emotions: tuple[int, ...]

    def build(self, widths: Mapping[str, int]) -> "FrameReading":
        """A reading that knows nothing yet.

        Raises:
            InputError: more than one stream.
        """
        if len(widths) != 1:
            raise InputError(f"frames are read from one stream, not {', '.join(widths)}. Choose one.")
        return FrameReading(widths, self.emotions)


class FrameReading(ReactionModel):
    """Logistic regression on the log-odds of a frame's probabilities, averaged over the frames with a face."""

    known: Tensor

    def __init__(self, widths: Mapping[str, int], emotions: tuple[int, ...]) -> None:
        super().__init__(widths)
        (self.stream,) = self.widths
        self.line = nn.Linear(self.widths[self.stream], EMOTIONS).requires_grad_(False)
        self.register_buffer("known", torch.zeros(EMOTIONS), persistent=False)
        self.known[list(emotions)] = 1.0

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        shown = self.line(log_odds(self.read(batch, self.stream))).sigmoid()
        return masked_mean(shown, self.there(batch)[:, 0]) * self.known


def log_odds(probabilities: Tensor) -> Tensor:
    """Finite ones."""
    return probabilities.logit(_SMALLEST)
