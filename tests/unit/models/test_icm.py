"""The whole model: absences, ablations, the dictionary and wrong inputs."""

import pytest
import torch

from omnisila.errors import InputError, TrainingError
from omnisila.models.experts import AbsentExpert, ExpertConfig
from omnisila.models.iec import ImplicitEnhancedCausal, NoIntervention, confounder_dictionary
from omnisila.models.layers import Standardise
from omnisila.models.sbm import MeanFusion
from omnisila.scenes.extractor import Entities

FEATURES = {"face": 5, "action": 6, "relation": 7, "background": 8}


def absent(entities: Entities) -> Entities:
    return Entities(torch.zeros_like(entities.values), torch.zeros_like(entities.mask))


def test_a_video_without_faces_routes_nothing_to_the_face_expert(make_tiny, make_windows):
    model, scenes = make_tiny().model, make_windows().scenes
    without = model.perceive(scenes | {"face": absent(scenes["face"])})
    assert (without.probabilities[..., 0] == 0).all()
    assert without.scene_tokens.isfinite().all()
    torch.testing.assert_close(without.probabilities.sum(-1), without.present.float())


def test_a_window_without_any_scene_gives_zero_tokens_and_finite_logits(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows(2)
    nothing = {name: absent(entities) for name, entities in windows.scenes.items()}
    perception = model.perceive(nothing)
    assert (perception.scene_tokens == 0).all()
    assert not perception.present.any()
    made = model.generate(nothing, windows.visual._replace(mask=windows.visual.mask & False), ["Which event?"] * 2, 2)
    assert all(torch.tensor(row).isfinite().all() for row in made.log_probs)


def test_what_is_masked_cannot_be_seen(make_tiny, make_windows):
    model, scenes = make_tiny().model, make_windows().scenes
    shout = torch.tensor(3.0)
    loud = {name: Entities(e.values.where(e.mask.unsqueeze(-1), shout), e.mask) for name, e in scenes.items()}
    torch.testing.assert_close(model.perceive(scenes).scene_tokens, model.perceive(loud).scene_tokens)


def test_windows_of_a_batch_do_not_touch_each_other(make_tiny, make_windows):
    model, scenes = make_tiny().model, make_windows(4).scenes
    alone = {name: Entities(e.values[2:3], e.mask[2:3]) for name, e in scenes.items()}
    torch.testing.assert_close(
        model.perceive(scenes).scene_tokens[2:3], model.perceive(alone).scene_tokens, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("scene", list(FEATURES))
def test_a_scene_left_out_is_not_read(make_tiny, make_windows, scene):
    features = {name: width for name, width in FEATURES.items() if name != scene}
    model, scenes = make_tiny(features=features).model, make_windows().scenes
    assert isinstance(model.experts[scene], AbsentExpert)
    assert model.feature_widths == tuple(features.get(name, 0) for name in FEATURES)
    changed = scenes | {scene: absent(scenes[scene])}
    assert torch.equal(model.perceive(scenes).scene_tokens, model.perceive(changed).scene_tokens)


def test_without_sbm_present_scenes_weigh_the_same(make_tiny, make_windows):
    model = make_tiny(sbm=None).model
    assert isinstance(model.sbm, MeanFusion)
    perception = model.perceive(make_windows().scenes)
    for row in perception.probabilities.flatten(0, 1):
        assert len(row[row > 0].unique()) <= 1


def test_without_iec_the_model_has_no_dictionary(make_tiny, make_windows):
    model = make_tiny(iec=None).model
    assert isinstance(model.iec, NoIntervention)
    assert not any("dictionary" in name for name, _ in model.named_parameters())
    assert model.perceive(make_windows().scenes).scene_tokens.isfinite().all()


def test_query_pooling_ignores_absent_entities(make_tiny, make_windows):
    model = make_tiny(expert=ExpertConfig(width=16, num_layers=1, num_heads=2, pooling="query")).model
    scenes = make_windows().scenes
    values, mask, *_ = scenes["face"]
    loud = scenes | {"face": Entities(values + 3.0 * ~mask.unsqueeze(-1), mask)}
    torch.testing.assert_close(model.perceive(scenes).scene_tokens, model.perceive(loud).scene_tokens)


def test_features_of_another_profile_and_too_many_frames_are_refused(make_tiny, make_windows):
    model, scenes = make_tiny().model, make_windows().scenes
    with pytest.raises(InputError, match="features of width 6, wanted 5"):
        model.experts["face"](scenes["action"])
    with pytest.raises(InputError, match="a window of 9 frames, wanted at most 8"):
        model.perceive(make_windows(1, frames=9).scenes)


def test_standardising_gives_mean_0_and_deviation_1_and_spares_constants():
    samples = torch.cat([torch.randn(4000, 2) * 7 + 3, torch.full((4000, 1), 2.0)], 1)
    standardise = Standardise(3)
    standardise.fit(samples)
    assert float(standardise.deviation[2]) == 1.0
    spread = standardise(samples)
    torch.testing.assert_close(spread.mean(0)[:2], torch.zeros(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(spread.std(0)[:2], torch.ones(2), atol=1e-2, rtol=0)
    assert float(standardise(torch.full((1, 3), 1e9)).max()) == standardise.limit


@pytest.mark.parametrize("samples", [torch.zeros(0, 3), torch.full((2, 3), float("nan"))])
def test_statistics_of_nothing_or_of_no_numbers_are_refused(samples):
    with pytest.raises(TrainingError, match="standardisation"):
        Standardise(3).fit(samples)


def test_the_dictionary_holds_the_centres_of_clusters():
    torch.manual_seed(0)
    places = torch.tensor([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]])
    x = places.repeat_interleave(200, 0) + torch.randn(600, 2) * 0.1
    centres = confounder_dictionary(x, centres=3, seed=0)
    assert centres.dtype == x.dtype
    assert (torch.cdist(places, centres).min(1).values < 0.2).all()
    assert torch.equal(centres, confounder_dictionary(x, centres=3, seed=0))


def test_too_few_samples_and_wrong_shapes_of_a_dictionary_are_named():
    with pytest.raises(TrainingError, match="3 embeddings for 8 centres"):
        confounder_dictionary(torch.randn(3, 2), centres=8)
    with pytest.raises(TrainingError, match=r"shape \(3, 6\), wanted \(4, 6\)"):
        ImplicitEnhancedCausal(6, 4, 8).set_dictionary(torch.zeros(3, 6))


@pytest.mark.parametrize("features", [torch.float32, torch.bfloat16])
def test_a_scene_side_in_pure_bfloat16_gives_nearly_the_same(make_tiny, make_windows, features):
    model, scenes = make_tiny().model, make_windows().scenes
    wanted = model.perceive(scenes).scene_tokens
    given = {name: Entities(e.values.to(features), e.mask) for name, e in scenes.items()}
    found = model.bfloat16().perceive(given).scene_tokens
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.03 * float(wanted.detach().abs().max()), rtol=0.0)
