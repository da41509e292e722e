"""Balanced Heterogeneous MoE: two projection experts, a modality router, and the loss that balances them.

Source: Hawkeye 3.2.
"""

from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.graph_inputs import FrameTokens
from omnisila.models.layers import EncoderLayer, seeing_present

EXPERTS = 2  # Hawkeye 4.4
LEAST_WEIGHT = 1e-12  # of a mean routing weight, so that its logarithm is finite


class SceneSequence(NamedTuple):
    """h = [X_c+1 ; X_s] of a window, frame by frame; the experts know no order."""

    values: Float[Tensor, "batch tokens width"]
    present: Bool[Tensor, "batch tokens"]
    is_action: Bool[Tensor, "tokens"]


def join_tokens(action: FrameTokens, relation: FrameTokens) -> SceneSequence:
    """[X_c+1 ; X_s]: in each frame the action graph's tokens, then the relation graph's."""
    values = torch.cat([action.values, relation.values], dim=2)
    present = torch.cat([action.mask, relation.mask], dim=2)
    is_action = torch.arange(present.shape[2], device=present.device) < action.mask.shape[2]
    return SceneSequence(values.flatten(1, 2), present.flatten(1), is_action.repeat(present.shape[1]))


class Mixed(NamedTuple):
    """y, and each expert's weight for each token; both are zero where a token is absent."""

    y: Float[Tensor, "batch tokens width"]
    weights: Float[Tensor, "batch tokens experts"]


class Packed(NamedTuple):
    """The tokens that there are, moved to the front: graphs leave most places empty, and experts know no order.

    ``places`` says where in the sequence each token stood.
    """

    values: Float[Tensor, "batch packed width"]
    present: Bool[Tensor, "batch packed"]
    places: Int[Tensor, "batch packed"]
    length: int

    @classmethod
    def of(cls, h: SceneSequence) -> Self:
        """As many places as the fullest window has tokens, at least one."""
        most = max(int(h.present.sum(1).max()), 1)
        places = h.present.int().argsort(dim=1, descending=True, stable=True)[:, :most]
        wide = places.unsqueeze(-1).expand(-1, -1, h.values.shape[-1])
        return cls(h.values.gather(1, wide), h.present.gather(1, places), places, h.present.shape[1])

    def unpack(self, values: Float[Tensor, "batch packed numbers"]) -> Float[Tensor, "batch tokens numbers"]:
        """Values back in the sequence, zero where a token is absent."""
        whole = values.new_zeros(len(values), self.length, values.shape[-1])
        return whole.scatter(1, self.places.unsqueeze(-1).expand_as(values), values * self.present.unsqueeze(-1))


class ProjectionExpert(nn.Module):
    """A stack of transformer layers over the whole sequence of a window. Source: Hawkeye 3.2."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(
        self, h: Float[Tensor, "batch tokens width"], visible: Bool[Tensor, "batch tokens tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        for layer in self.layers:
            h = layer(h, visible)
        return h


class BalancedHeterogeneousMoE(nn.Module):
    """y = LN(sum_i R(h)_i E_i(h)) with R(h) = softmax(h W_g), for every token. Source: Hawkeye Eq. (5).

    Both experts read both kinds of tokens; neither belongs to one.
    """

    def __init__(self, experts: nn.ModuleList, width: int) -> None:
        super().__init__()
        self.experts = experts
        self.router = nn.Linear(width, len(experts), bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, h: SceneSequence) -> Mixed:
        packed = Packed.of(h)
        weights = self.router(packed.values).float().softmax(-1)
        visible = seeing_present(packed.present)
        outputs = torch.stack([expert(packed.values, visible) for expert in self.experts], dim=2)
        y = self.norm((weights.unsqueeze(-1) * outputs).sum(2).to(self.norm.weight.dtype))
        return Mixed(packed.unpack(y), packed.unpack(weights))


class NoMixture(nn.Module):
    """The tokens as they came, normed; each source counts as its own expert. Source: Hawkeye Table 1, "w/o BH-MoE"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, h: SceneSequence) -> Mixed:
        weights = torch.stack([h.is_action, ~h.is_action], dim=-1) & h.present.unsqueeze(-1)
        return Mixed(self.norm(h.values) * h.present.unsqueeze(-1), weights.float())


class BHMoEConfig(Config):
    """Depth of the projection experts."""

    num_layers: int = 8  # Hawkeye 4.4

    def build(self, width: int, num_heads: int, feedforward: int, dropout: float = 0.0) -> BalancedHeterogeneousMoE:
        experts = nn.ModuleList(
            ProjectionExpert(
                nn.ModuleList(EncoderLayer(width, num_heads, feedforward, dropout) for _ in range(self.num_layers))
            )
            for _ in range(EXPERTS)
        )
        return BalancedHeterogeneousMoE(experts, width)


def weighted_importance(
    weights: Float[Tensor, "batch tokens experts"],
    present: Bool[Tensor, "batch tokens"],
    is_action: Bool[Tensor, "tokens"],
    tau: float = 0.07,  # Hawkeye 4.4
) -> Float[Tensor, "samples experts"]:
    """log T, T_im = sum_j P_i(j) exp(w_ij / tau) over the tokens of sample m; samples without tokens are left out.

    P_i(j) is R_i^a or R_i^s: expert i's mean weight over all tokens of the batch that come from where token j does. A
    sample of one kind alone has T = P o M as printed; a window has tokens of both kinds, each with its own coefficient.
    The importance w is the gate probability. In float32 and logarithms throughout: exp(1 / 0.07) is no float16.

    Source: Hawkeye Eqs. (6) and (7).
    """
    weights = weights.float()
    coefficients = torch.stack(
        [_mean_weight(weights, present & source) for source in (is_action, ~is_action)]
    )  # (2, experts)
    log_coefficient = coefficients.clamp(min=LEAST_WEIGHT).log()[(~is_action).long()]
    log_terms = (log_coefficient + weights / tau).masked_fill(~present.unsqueeze(-1), -torch.inf)
    return log_terms[present.any(-1)].logsumexp(1)


def _mean_weight(
    weights: Float[Tensor, "batch tokens experts"], counted: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "experts"]:
    total = (weights * counted.unsqueeze(-1)).sum((0, 1))
    return total / counted.sum().clamp(min=1)


def balancing_constraint_loss(
    weights: Float[Tensor, "batch tokens experts"],
    present: Bool[Tensor, "batch tokens"],
    is_action: Bool[Tensor, "tokens"],
    tau: float = 0.07,  # Hawkeye 4.4
    dimensionless: bool = True,
) -> Float[Tensor, ""]:
    """L_bc = |var(T) / mean(T)|, the paper's coefficient of variation, over experts and samples.

    Args:
        weights: R(h), rows summing to 1, or to 0 where a token is absent.
        present: tokens that there are.
        is_action: tokens that come from the action graph; the others come from the relation graph.
        dimensionless: divide T by its mean first. As printed the measure grows with the number of tokens and with
            exp(1 / tau), and is 4 to 20,000 times the language loss.

    Source: Hawkeye 3.2, after Eq. (7); T of Eqs. (6) and (7).
    """
    with torch.autocast(weights.device.type, enabled=False):
        log_t = weighted_importance(weights, present, is_action, tau).flatten()
        if not len(log_t):
            return weights.float().sum() * 0.0  # no loss, and yet a gradient for every parameter
        log_mean = log_t.logsumexp(0) - torch.tensor(float(len(log_t)), device=log_t.device).log()
        relative_variance = ((log_t - log_mean).exp() - 1.0).square().mean()
        return relative_variance if dimensionless else relative_variance * log_mean.exp()


class BalancingConstraint:
    """lambda * L_bc. Source: Hawkeye 3.3."""

    def __init__(self, strength: float, tau: float, dimensionless: bool) -> None:
        self.strength, self.tau, self.dimensionless = strength, tau, dimensionless

    def __call__(
        self,
        weights: Float[Tensor, "batch tokens experts"],
        present: Bool[Tensor, "batch tokens"],
        is_action: Bool[Tensor, "tokens"],
    ) -> Float[Tensor, ""]:
        loss = balancing_constraint_loss(weights, present, is_action, self.tau, self.dimensionless)
        return self.strength * loss


class NoConstraint:
    """Leaves the router to itself. Source: Hawkeye Table 1, "w/o L_bc"."""

    def __call__(
        self,
        weights: Float[Tensor, "batch tokens experts"],
        present: Bool[Tensor, "batch tokens"],
        is_action: Bool[Tensor, "tokens"],
    ) -> Float[Tensor, ""]:
        return weights.new_zeros(())


class ConstraintConfig(Config):
    """Weight and form of the balancing constraint."""

    strength: float = 0.2  # lambda, Hawkeye 4.4
    tau: float = 0.07  # Hawkeye 4.4
    dimensionless: bool = True

    def build(self) -> BalancingConstraint:
        return BalancingConstraint(self.strength, self.tau, self.dimensionless)
