"""The temporal model: order matters, modalities look at each other, absent and dropped ones are no input."""

import pytest
import torch

from omnisila.models.reaction import EMOTIONS, FRAMES, ReactionBatch
from omnisila.models.temporal_av import TemporalAVConfig, across

TINY = TemporalAVConfig(width=8, heads=2, temporal_layers=1, cross_layers=1)
SMALL = {"visual": 5, "audio": 4, "fau": 3}


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = TINY.build(SMALL).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made


def clips(batch=3):
    random = torch.Generator().manual_seed(1)
    values = {name: torch.randn(batch, FRAMES, width, generator=random) for name, width in SMALL.items()}
    return ReactionBatch(values, {name: torch.ones(batch, FRAMES, dtype=torch.bool) for name in SMALL})


def test_a_token_looks_at_present_tokens_of_other_modalities_and_itself():
    present = torch.tensor([[[True, False], [True, True]]])
    wanted = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 1]], dtype=torch.bool)
    assert torch.equal(across(present)[0], wanted)


@torch.no_grad()
def test_order_in_time_matters(model):
    batch = clips()
    turned = ReactionBatch({name: values.flip(1) for name, values in batch.values.items()}, batch.masks)
    assert (model(batch) - model(turned)).abs().max() > 1e-4


@torch.no_grad()
def test_a_modality_that_is_absent_is_no_input(model):
    batch = clips()
    batch.masks["audio"][0] = False
    batch.masks["visual"][1, 5:] = False
    for mask in batch.masks.values():
        mask[2] = False
    spoilt = {name: values.where(batch.masks[name].unsqueeze(-1), torch.inf) for name, values in batch.values.items()}
    answers = model(ReactionBatch(spoilt, batch.masks))
    assert answers.shape == (3, EMOTIONS)
    assert answers.isfinite().all()
    torch.testing.assert_close(answers, model(batch))


def test_in_training_modalities_are_dropped_but_never_all(model):
    model.train()
    torch.manual_seed(3)
    known = torch.ones(2000, 3, dtype=torch.bool)
    known[:1000, 0] = False
    kept = model._draw_shown(known)
    assert kept.any(1).all()
    assert not (kept & ~known).any()
    # each is dropped with chance 0.2, unless it is the luckiest
    assert 0.17 < 1 - kept[1000:].float().mean() < 0.23
    assert torch.equal(model.eval()._draw_shown(known), known)


def test_features_are_standardised_by_training_clips(model):
    batch = clips()
    batch.values["audio"].mul_(100).add_(7)
    model.fit_standardisation(batch)
    assert (model.encoders["audio"].standardise.deviation > 50).all()
