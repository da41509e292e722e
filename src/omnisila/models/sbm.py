"""Scene-Balanced MoE: a soft router over the scene experts, and the loss that balances it. Source: Omni-SILA 3.2."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.layers import masked_mean, masked_softmax


class ExpertStates(NamedTuple):
    """All experts' outputs side by side, in the paper's order; zero where an expert's scene is absent."""

    hidden: Float[Tensor, "batch frames experts width"]
    present: Bool[Tensor, "batch frames experts"]


class Mixture(NamedTuple):
    """The fused scenes and each expert's probability; both are zero in frames where every scene is absent."""

    y_moe: Float[Tensor, "batch frames width"]
    probabilities: Float[Tensor, "batch frames experts"]


class SceneBalancedMoE(nn.Module):
    """y_moe = LayerNorm(sum_j P_j h_j) with P = softmax(W h), h = mean over present experts. Source: Omni-SILA Eq. (1).

    The softmax runs over present experts only: an absent scene gets exactly 0.
    """

    def __init__(self, width: int, num_experts: int, alpha: float = 1e-4, beta: float = 1e-2) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.router = nn.Linear(width, num_experts, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: ExpertStates) -> Mixture:
        h = masked_mean(states.hidden, states.present)
        probabilities = masked_softmax(self.router(h), states.present)
        return _mixture(states, probabilities, self.norm)

    def balance_loss(
        self, probabilities: Float[Tensor, "batch frames experts"], widths: Sequence[int]
    ) -> Float[Tensor, ""]:
        """L_rb with the block's own alpha and beta."""
        return router_balance_loss(probabilities, widths, self.alpha, self.beta)


class MeanFusion(nn.Module):
    """The plain mean of present experts instead of a router. Source: Omni-SILA Tables 1 and 2, "w/o SBM"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, states: ExpertStates) -> Mixture:
        present = states.present.float()
        probabilities = present / present.sum(-1, keepdim=True).clamp(min=1.0)
        return _mixture(states, probabilities, self.norm)

    def balance_loss(
        self, probabilities: Float[Tensor, "batch frames experts"], widths: Sequence[int]
    ) -> Float[Tensor, ""]:
        """0: nothing routes, so nothing can be out of balance."""
        return probabilities.new_zeros(())


def _mixture(states: ExpertStates, probabilities: Float[Tensor, "batch frames experts"], norm: nn.LayerNorm) -> Mixture:
    mixed = (probabilities.unsqueeze(-1) * states.hidden).sum(-2)
    fused = norm(mixed.to(norm.weight.dtype))
    return Mixture(fused * states.present.any(-1, keepdim=True), probabilities)


def router_balance_loss(
    probabilities: Float[Tensor, "*tokens experts"],
    widths: Sequence[int],
    alpha: float = 1e-4,  # Omni-SILA 4.3
    beta: float = 1e-2,  # Omni-SILA 4.3
) -> Float[Tensor, ""]:
    """L_rb = alpha * mean entropy(P) + beta * L * sum_j G_j H_j.

    H_j is the mean of P_j over all tokens of the batch (as printed it is 1/L and has no gradient), G_j the share of
    expert j in the features' total width. Tokens whose scenes are all absent do not count.

    Args:
        probabilities: P, rows summing to 1, or to 0 where every scene is absent.
        widths: each extractor's feature width d_j; 0 for a scene that is left out of the model.

    Source: Omni-SILA Eq. (2).
    """
    tokens = probabilities.flatten(0, -2)
    count = (tokens.sum(-1) > 0).sum().clamp(min=1)
    # log 1 = 0 in place of log 0, whose gradient would be infinite.
    entropy = -(tokens * tokens.where(tokens > 0, torch.ones_like(tokens)).log()).sum() / count
    share = torch.tensor(widths, dtype=tokens.dtype, device=tokens.device) / sum(widths)
    mean = tokens.sum(0) / count
    num_experts = sum(width > 0 for width in widths)
    return alpha * entropy + beta * num_experts * (share * mean).sum()


class SBMConfig(Config):
    """The weights of the router balance loss."""

    alpha: float = 1e-4  # Omni-SILA 4.3
    beta: float = 1e-2  # Omni-SILA 4.3

    def build(self, width: int, num_experts: int) -> SceneBalancedMoE:
        return SceneBalancedMoE(width, num_experts, self.alpha, self.beta)
