"""Scene experts: what is masked has no influence, and what is absent stays absent."""

import pytest
import torch

from omnisila.errors import InputError, TrainingError
from omnisila.models.experts import AbsentExpert, ExpertConfig, SceneExpert
from omnisila.models.layers import QueryPooling, Standardise, masked_mean
from omnisila.scenes.extractor import Entities

TINY = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)


def expert(pooling: str = "mean") -> SceneExpert:
    torch.manual_seed(0)
    return TINY.replace(pooling=pooling).build(5).eval()


def entities(batch: int = 3, frames: int = 4) -> Entities:
    torch.manual_seed(1)
    mask = torch.rand(batch, frames, 2) < 0.8
    mask[0, 1] = False
    mask[-1] = False
    return Entities(torch.randn(batch, frames, 2, 5) * mask.unsqueeze(-1), mask)


@pytest.mark.parametrize("pooling", ["mean", "query"])
def test_masked_entities_have_no_influence(pooling: str) -> None:
    values, mask, *_ = entities()
    state = expert(pooling)(Entities(values, mask))
    noisy = values + 100 * torch.randn_like(values) * ~mask.unsqueeze(-1)
    assert torch.allclose(expert(pooling)(Entities(noisy, mask)).hidden, state.hidden, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "query"])
def test_entities_have_no_order_but_frames_do(pooling: str) -> None:
    values, mask, *_ = entities()
    state = expert(pooling)(Entities(values, mask))
    swapped = expert(pooling)(Entities(values.flip(2), mask.flip(2)))
    assert torch.allclose(swapped.hidden, state.hidden, atol=1e-5)
    reversed_ = expert(pooling)(Entities(values.flip(1), mask.flip(1)))
    assert not torch.allclose(reversed_.hidden.flip(1), state.hidden, atol=1e-2)


def test_absent_frames_and_windows_are_zero_and_do_not_touch_the_others() -> None:
    values, mask, *_ = entities()
    hidden, present = expert()(Entities(values, mask))
    assert torch.equal(present, mask.any(-1))
    assert (hidden[~present] == 0).all()
    assert (hidden[present].abs().sum(-1) > 0).all()
    alone = expert()(Entities(values[:1], mask[:1]))
    assert torch.allclose(alone.hidden, hidden[:1], atol=1e-5)


def test_a_batch_without_the_scene_runs_and_trains() -> None:
    module = expert().train()
    hidden, present = module(Entities(torch.zeros(2, 4, 2, 5), torch.zeros(2, 4, 2, dtype=torch.bool)))
    assert not present.any()
    hidden.sum().backward()


def test_a_left_out_scene_is_never_present() -> None:
    hidden, present = AbsentExpert(16)(entities())
    assert not present.any()
    assert hidden.shape == (3, 4, 16)
    assert (hidden == 0).all()


def test_wrong_features_or_too_many_frames_are_named() -> None:
    with pytest.raises(InputError, match="width 6, wanted 5"):
        expert()(Entities(torch.zeros(1, 4, 2, 6), torch.ones(1, 4, 2, dtype=torch.bool)))
    with pytest.raises(InputError, match="9 frames, wanted at most 8"):
        expert()(Entities(torch.zeros(1, 9, 2, 5), torch.ones(1, 9, 2, dtype=torch.bool)))


def test_dense_features_get_mean_0_and_deviation_1() -> None:
    samples = torch.randn(500, 3) * torch.tensor([0.1, 5.0, 1000.0]) + torch.tensor([3.0, -2.0, 5000.0])
    standardise = Standardise(3)
    standardise.fit(samples)
    scaled = standardise(samples)
    assert torch.allclose(scaled.mean(0), torch.zeros(3), atol=1e-2)
    assert torch.allclose(scaled.std(0), torch.ones(3), atol=1e-2)


def test_features_of_one_kind_of_entity_are_measured_on_that_kind() -> None:
    """Nine people have no view motion; its spread among views must not drown in their zeros."""
    motion = torch.zeros(1000)
    motion[::10] = 100 + torch.randn(100)
    flag = (motion > 0).float()
    standardise = Standardise(3)
    standardise.fit(torch.stack([motion, flag, torch.full_like(flag, 7.0)], 1))
    scaled = standardise(torch.tensor([[99.0, 1.0, 7.0], [101.0, 0.0, 7.0], [0.0, 0.0, 7.0]]))
    assert scaled[1, 0] - scaled[0, 0] > 1.5
    assert scaled[0, 1] == pytest.approx(0.9 / 0.3, rel=1e-2)
    assert (scaled[2] == 0).all()  # a person has no view motion: that is no extreme value
    assert (scaled[:, 2] == 0).all()


def test_standardisation_clips_and_refuses_what_is_not_finite() -> None:
    assert Standardise(1)(torch.tensor([[50.0]])).item() == 6.0
    for samples in (torch.zeros(0, 1), torch.tensor([[float("nan")]])):
        with pytest.raises(TrainingError, match="standardisation"):
            Standardise(1).fit(samples)


def test_pooling_nothing_gives_zeros() -> None:
    none = torch.zeros(2, 3, dtype=torch.bool)
    assert (masked_mean(torch.randn(2, 3, 4), none) == 0).all()
    assert (QueryPooling(4, 2)(torch.randn(2, 3, 4), none) == 0).all()
