"""What all stages read: windows, which of them are stills or acts, what they show, and their perturbation."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from omnisila.scenes.windows import WindowBatch
from omnisila.training.bank import FeatureBank
from omnisila.training.descriptions import WindowClauses
from omnisila.training.perturb import Perturbation


class TuningData:
    """Windows as training sees them.

    Args:
        is_still: of each window.
        is_act: of each window, whether its label is an act, whatever the place looks like.
    """

    def __init__(
        self,
        bank: FeatureBank,
        is_still: Bool[Tensor, "windows"],
        is_act: Bool[Tensor, "windows"],
        descriptions: Sequence[WindowClauses],
        perturb: Perturbation,
    ) -> None:
        self.bank, self.is_still, self.is_act = bank, is_still, is_act
        self.descriptions, self.perturb = descriptions, perturb

    def batch(self, chosen: Int[Tensor, "batch"], random: torch.Generator) -> WindowBatch:
        """Some windows, perturbed."""
        picked = self.bank.pick(chosen)
        return self.bank.gather(self.perturb(picked, self.is_still[chosen], self.is_act[chosen], random))
