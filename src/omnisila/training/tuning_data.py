"""What all stages read: windows, which of them are stills or acts, what they show, and their perturbation."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from omnisila.scenes.windows import WindowBatch
from omnisila.training.bank import FeatureBank
from omnisila.training.descriptions import WindowClauses
from omnisila.training.perturb import Perturbation


class TuningData(NamedTuple):
    """Windows as training sees them; an act is a label that the place's look says nothing of."""

    bank: FeatureBank
    is_still: Bool[Tensor, "windows"]
    is_act: Bool[Tensor, "windows"]
    descriptions: Sequence[WindowClauses]
    perturb: Perturbation

    def batch(self, chosen: Int[Tensor, "batch"], random: torch.Generator) -> WindowBatch:
        """Some windows, perturbed."""
        picked = self.bank.pick(chosen)
        return self.bank.gather(self.perturb(picked, self.is_still[chosen], self.is_act[chosen], random))
