"""Omni-SILA Eqs. (1) to (4) against plain loops and hand-worked numbers."""

import math

import pytest
import torch
from torch import Tensor

from omnisila.models.iec import ImplicitEnhancedCausal
from omnisila.models.sbm import ExpertStates, MeanFusion, SceneBalancedMoE, router_balance_loss

BATCH, FRAMES, EXPERTS, WIDTH = 3, 4, 4, 6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def states() -> ExpertStates:
    """Experts' outputs with every kind of absence; the last window has no scene at all in its first frame."""
    present = torch.rand(BATCH, FRAMES, EXPERTS) < 0.6
    present[0, 0] = True
    present[-1, 0] = False
    return ExpertStates(torch.randn(BATCH, FRAMES, EXPERTS, WIDTH) * present.unsqueeze(-1), present)


def layer_norm(values: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    centred = values - values.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def shaken(module: torch.nn.Module) -> None:
    """Parameters that start at 0 or 1 would hide a missing factor."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)


def test_eq_1_is_the_normed_sum_of_experts_weighted_by_the_router():
    block, given = SceneBalancedMoE(WIDTH, EXPERTS), states()
    shaken(block)
    with torch.no_grad():
        mixture = block(given)
    router = block.router.weight.detach()
    for b in range(BATCH):
        for t in range(FRAMES):
            there = [j for j in range(EXPERTS) if given.present[b, t, j]]
            if not there:
                continue
            h = torch.stack([given.hidden[b, t, j] for j in there]).mean(0)
            weights = {j: math.exp(float(router[j] @ h)) for j in there}
            probability = {j: weights[j] / sum(weights.values()) for j in there}
            summed = torch.stack([probability[j] * given.hidden[b, t, j] for j in there]).sum(0)
            torch.testing.assert_close(
                mixture.y_moe[b, t], layer_norm(summed, block.norm).detach(), atol=1e-5, rtol=1e-4
            )
            for j in there:
                assert float(mixture.probabilities[b, t, j]) == pytest.approx(probability[j], abs=1e-5)


def test_an_absent_scene_gets_exactly_no_weight():
    given = states()
    for block in (SceneBalancedMoE(WIDTH, EXPERTS), MeanFusion(WIDTH)):
        shaken(block)
        mixture = block(given)
        assert (mixture.probabilities[~given.present] == 0).all()
        any_scene = given.present.any(-1)
        torch.testing.assert_close(mixture.probabilities.sum(-1)[any_scene], torch.ones(int(any_scene.sum())))
        assert (mixture.probabilities[~any_scene] == 0).all()
        assert (mixture.y_moe[~any_scene] == 0).all()


def test_an_absent_scene_cannot_change_the_others_weights():
    block, given = SceneBalancedMoE(WIDTH, EXPERTS), states()
    noisy = given.hidden.where(given.present.unsqueeze(-1), torch.tensor(5.0))
    torch.testing.assert_close(block(given).probabilities, block(ExpertStates(noisy, given.present)).probabilities)


def test_eq_2_hand_worked():
    # Two tokens; entropies 0.5 ln 2 + 2 * 0.25 ln 4 = 1.0397 and 0; H = (0.25, 0.625, 0.125), G = (0.2, 0.3, 0.5).
    probabilities = torch.tensor([[[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]])
    first = (1.5 * math.log(2) + 0.0) / 2
    second = 3 * (0.2 * 0.25 + 0.3 * 0.625 + 0.5 * 0.125)
    loss = router_balance_loss(probabilities, (2, 3, 5), alpha=0.1, beta=0.01)
    assert float(loss) == pytest.approx(0.1 * first + 0.01 * second, abs=1e-7)


def test_eq_2_tokens_without_scenes_do_not_count():
    probabilities = torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    padded = torch.cat([probabilities, torch.zeros(5, 2)])
    assert float(router_balance_loss(padded, (3, 4))) == pytest.approx(
        float(router_balance_loss(probabilities, (3, 4)))
    )
    assert float(router_balance_loss(torch.zeros(4, 2), (3, 4))) == 0.0


def test_eq_2_second_term_teaches_the_router_to_prefer_narrow_scenes():
    scores = torch.zeros(1, 3, requires_grad=True)
    router_balance_loss(scores.softmax(-1), (1, 10, 100), alpha=0.0, beta=1.0).backward()
    assert scores.grad is not None
    narrow, middle, wide = scores.grad[0].tolist()
    assert narrow < middle < wide  # descent moves weight towards the narrow one
    assert wide > 0.1


def test_eq_2_first_term_is_an_entropy_and_its_gradient_is_finite_at_zero():
    peaked, flat = torch.tensor([[0.98, 0.02]]), torch.tensor([[0.5, 0.5]])
    assert router_balance_loss(peaked, (1, 1), beta=0.0) < router_balance_loss(flat, (1, 1), beta=0.0)
    probabilities = torch.tensor([[1.0, 0.0]], requires_grad=True)
    router_balance_loss(probabilities, (1, 1)).backward()
    assert probabilities.grad is not None
    assert probabilities.grad.isfinite().all()


def attention(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    scores = [math.exp(float(query @ key) / math.sqrt(WIDTH)) for key in keys]
    return torch.stack([score / sum(scores) * value for score, value in zip(scores, values, strict=True)]).sum(0)


def test_eqs_3_and_4_are_scaled_attention_to_the_window_and_to_the_dictionary():
    block = ImplicitEnhancedCausal(WIDTH, centres=5, feedforward=8).eval()
    shaken(block)
    x, y_moe = torch.randn(BATCH, FRAMES, WIDTH), torch.randn(BATCH, FRAMES, WIDTH)
    present = torch.ones(BATCH, FRAMES, dtype=torch.bool)
    present[1, 2:] = False
    block.requires_grad_(False)
    y_iec = block(x, y_moe, present)
    centres = list(block.dictionary)
    for b in range(BATCH):
        window = [y_moe[b, t] for t in range(FRAMES) if present[b, t]]
        for t in range(FRAMES):
            if not present[b, t]:
                assert (y_iec[b, t] == 0).all()
                continue
            y_m = attention(block.p(x[b, t]), [block.keys_m(m) for m in window], [block.values_m(m) for m in window])
            y_x = attention(block.q(x[b, t]), [block.keys_c(c) for c in centres], [block.values_c(c) for c in centres])
            torch.testing.assert_close(y_iec[b, t], block.ffn(y_m + y_x), atol=1e-5, rtol=1e-4)


def test_eq_4_the_dictionary_is_trained():
    block = ImplicitEnhancedCausal(WIDTH, centres=5, feedforward=8)
    present = torch.ones(BATCH, FRAMES, dtype=torch.bool)
    x = torch.randn(BATCH, FRAMES, WIDTH)
    block(x, x, present).square().mean().backward()
    assert block.dictionary.grad is not None
    assert (block.dictionary.grad != 0).any()
