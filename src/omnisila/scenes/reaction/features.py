"""The features of one clip: five modalities on the same 32 frames, each with a mask of where it is there.

Source: ViPER's per-frame tokens, emotional-reaction paper 4.3.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FRAMES = 32  # emotional-reaction paper 5.1
MODALITIES = ("visual", "audio", "fau", "text", "face")


@dataclass(frozen=True)
class Modality:
    """What one modality says of each frame; zero where the mask is false."""

    values: Float[Tensor, "frames width"]
    mask: Bool[Tensor, "frames"]

    @classmethod
    def absent(cls, frames: int, width: int) -> "Modality":
        """Of a clip that has none: no track, no face, no text."""
        return cls(torch.zeros(frames, width), torch.zeros(frames, dtype=torch.bool))

    @classmethod
    def where(cls, values: Float[Tensor, "frames width"], mask: Bool[Tensor, "frames"]) -> "Modality":
        """Values that count where the mask is true, and zero elsewhere."""
        return cls(torch.where(mask[:, None], values, torch.zeros(())), mask)

    @property
    def present(self) -> bool:
        """Whether any frame has it."""
        return bool(self.mask.any())

    @property
    def stored(self) -> "Modality":
        """The same in what half precision can tell, as it is kept: fresh and cached features are equal."""
        return Modality(self.values.half().float(), self.mask)


@dataclass(frozen=True)
class ReactionFeatures:
    """One clip.

    Args:
        modalities: all of ``MODALITIES``; one that is missing is all masked.
        kinds: modality -> what its numbers are, such as ``expression_proxy``, which stands where facial action units
            would and is none.
        times_s: when the frames are shown, from the clip's start.
        warnings: what is missing or doubtful, in plain words.
        seconds: stage -> seconds it took; empty for features from the cache.
    """

    modalities: dict[str, Modality]
    kinds: dict[str, str]
    times_s: Float[Tensor, "frames"]
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """Modalities that no frame has."""
        return tuple(name for name, modality in self.modalities.items() if not modality.present)
