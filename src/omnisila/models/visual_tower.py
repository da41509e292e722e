"""Visual towers: frames become the features that a Video-LLM's projector reads."""

from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from omnisila.scenes.extractor import Entities


@runtime_checkable
class VisualTower(Protocol):
    """A frozen visual encoder with its own preprocessing.

    What it gives is what ``VideoLLM.embed`` takes: entities (batch, frames, patches, features), before the projector.

    Attributes:
        frames: how many frames a window must have; None for any number.
        patches: feature vectors per frame.
        features: width of each.
    """

    frames: int | None
    patches: int
    features: int

    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch of every frame, in the tower's own precision, without gradients.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        ...
