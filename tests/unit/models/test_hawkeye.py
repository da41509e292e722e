"""The whole Hawkeye on features of the embedded extractors: absences, ablations, wrong inputs, both kinds of frames."""

from typing import Any, NamedTuple

import pytest
import torch
from pydantic import ValidationError

from omnisila.errors import InputError, TrainingError
from omnisila.labels import IMPLICIT
from omnisila.models.asg import NoActionGraph
from omnisila.models.bh_moe import BHMoEConfig, NoConstraint, NoMixture
from omnisila.models.checkpoint import RunRecord, load_run, save_run
from omnisila.models.compact import CompactConfig
from omnisila.models.graph_inputs import JointReading, PatchGrid, TripletReading
from omnisila.models.hawkeye import Hawkeye, HawkeyeConfig
from omnisila.models.hawkeye_release import ProbabilityReading
from omnisila.models.likelihood import answer_likelihood, label_loss
from omnisila.models.org import NoRelationGraph
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes import action, relation
from omnisila.scenes.extractor import Entities, Layout, SceneInputs

VISUAL, FRAMES = 10, 4
ACTION, RELATION = action.LAYOUT.feature_width, relation.LAYOUT.feature_width


class Windows(NamedTuple):
    scenes: SceneInputs
    visual: Entities


def config(**changes: Any) -> HawkeyeConfig:
    given = {
        "visual_features": VISUAL,
        "grid": PatchGrid(),
        "joints": JointReading.of(action.LAYOUT),
        "triplets": TripletReading.of(relation.LAYOUT),
        "width": 16,
        "num_heads": 2,
        "feedforward_ratio": 2,
        "moe": BHMoEConfig(num_layers=2),
    }
    return HawkeyeConfig.model_validate(given | changes)


def built(**changes: Any) -> Hawkeye:
    torch.manual_seed(0)
    compact = CompactConfig(visual_features=VISUAL, width=24, num_layers=2, num_heads=2, feedforward=32)
    model = config(**changes).build(compact.build(train_tokenizer([*IMPLICIT.labels, IMPLICIT.identify], 300))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def windows(batch: int = 3, patches: int = 1, people: int = 6, seed: int = 1) -> Windows:
    """Windows as the embedded extractors give them: people with joints, the view, triplets of classes and boxes."""
    random = torch.Generator().manual_seed(seed)

    def entities(count: int, width: int, present: float) -> Entities:
        mask = torch.rand(batch, FRAMES, count, generator=random) < present
        return Entities(torch.rand(batch, FRAMES, count, width, generator=random) * mask.unsqueeze(-1), mask)

    poses, triplets = entities(people, ACTION, 0.7), entities(5, RELATION, 0.6)
    for name in ("subject", "object", "predicate"):
        one = relation.LAYOUT.read(triplets.values, name)
        one.copy_(torch.nn.functional.one_hot(one.argmax(-1), one.shape[-1]))
    for name in ("subject_box", "object_box"):
        relation.LAYOUT.read(triplets.values, name)[..., 2:] += 0.3
    scenes = {"face": entities(2, 5, 0.5), "action": poses, "relation": triplets, "background": entities(1, 8, 1.1)}
    return Windows(scenes, entities(patches, VISUAL, 1.1))


def absent(entities: Entities) -> Entities:
    return Entities(torch.zeros_like(entities.values), torch.zeros_like(entities.mask))


def test_the_mixture_stands_where_the_video_was():
    model, (scenes, visual) = built(), windows()
    (prompt, *_) = model.prompts(["Which event?"] * 3, scenes, visual)
    llm: Any = model.video_llm
    assert prompt.count(llm.video_id) == 0
    assert prompt.count(llm.scene_id) == model.perceive(scenes, visual).scene_tokens.shape[1] == FRAMES * (1 + 15)
    pooled = built(pooled=True)
    assert pooled.prompts(["Which event?"], scenes, visual)[0].count(llm.scene_id) == FRAMES
    assert pooled.perceive(scenes, visual).scene_tokens.shape[1] == FRAMES


def test_answers_are_scored_trained_and_generated_like_any_scene_model_s():
    model, (scenes, visual) = built(pooled=True).train(), windows()
    likelihood = answer_likelihood(model, scenes, visual, ["Which event?"] * 3, ["Fighting", "Normal"])
    loss = model.total_loss(label_loss(likelihood.log_probs, torch.tensor([0, 1, 1])), likelihood.perception)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters()), "nothing is held for nothing"
    assert not any(name.startswith("video_llm.projector") for name in model.state_dict())  # there are no visual tokens
    assert len(model.generate(scenes, visual, ["Which event?"] * 3, 4).texts) == 3


def test_weights_stand_in_the_columns_of_action_and_relation():
    model, (scenes, visual) = built(), windows()
    shares = model.perceive(scenes, visual).probabilities
    assert (shares[..., [0, 3]] == 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, FRAMES))


@pytest.mark.parametrize("missing", [("action",), ("relation",), ("action", "relation")])
def test_a_missing_modality_is_no_number_of_its_own(missing):
    model, (scenes, visual) = built(), windows()
    without = scenes | {name: absent(scenes[name]) for name in missing}
    perception = model.perceive(without, visual)
    assert perception.scene_tokens.isfinite().all()
    if "relation" in missing:
        assert not perception.present[:, ~perception.is_action].any()
        assert (perception.scene_tokens.unflatten(1, (FRAMES, -1))[:, :, 1:] == 0).all()
    loud = {name: Entities(e.values + 9.0 * ~e.mask.unsqueeze(-1), e.mask) for name, e in without.items()}
    torch.testing.assert_close(model.perceive(loud, visual).scene_tokens, perception.scene_tokens)


def test_a_window_outside_the_video_gives_zeros_and_finite_answers():
    model, (scenes, visual) = built(), windows(2)
    nothing = {name: absent(entities) for name, entities in scenes.items()}
    perception = model.perceive(nothing, absent(visual))
    assert (perception.scene_tokens == 0).all()
    assert (perception.probabilities == 0).all()
    assert model.total_loss(torch.tensor(1.0), perception).item() == 1.0
    made = model.generate(nothing, absent(visual), ["Which event?"] * 2, 2)
    assert all(torch.tensor(row).isfinite().all() for row in made.log_probs)


def test_windows_of_a_batch_do_not_touch_each_other():
    model, (scenes, visual) = built(), windows(4)
    alone = {name: Entities(e.values[2:3], e.mask[2:3]) for name, e in scenes.items()}
    together = model.perceive(scenes, visual).scene_tokens[2:3]
    by_itself = model.perceive(alone, Entities(visual.values[2:3], visual.mask[2:3])).scene_tokens
    torch.testing.assert_close(together, by_itself, atol=1e-5, rtol=1e-4)


def test_of_fifty_people_the_five_best_seen_count():
    model, (scenes, visual) = built(), windows(people=50)
    joints = action.LAYOUT.read(scenes["action"].values, "joints").unflatten(-1, (17, 3))
    joints[..., 2] *= 0.5
    best = torch.tensor([3, 14, 15, 33, 49])
    scenes["action"].mask[:, :, best] = True
    joints[:, :, best, :, 2] = 0.9
    only = Entities(scenes["action"].values[:, :, best], scenes["action"].mask[:, :, best])
    everyone = model.perceive(scenes, visual).scene_tokens
    torch.testing.assert_close(model.perceive(scenes | {"action": only}, visual).scene_tokens, everyone)
    assert not torch.equal(model.perceive(scenes | {"action": absent(only)}, visual).scene_tokens, everyone)


def test_one_visible_joint_is_a_person_and_none_is_nobody():
    model, (scenes, visual) = built(), windows()
    joints = action.LAYOUT.read(scenes["action"].values, "joints").unflatten(-1, (17, 3))
    joints[..., 2] = 0.0
    nobody = model.perceive(scenes | {"action": absent(scenes["action"])}, visual).scene_tokens
    assert torch.equal(model.perceive(scenes, visual).scene_tokens, nobody)
    joints[..., 9, 2] = 0.8
    one = model.perceive(scenes, visual).scene_tokens
    assert one.isfinite().all()
    assert not torch.equal(one, nobody)
    joints[..., :9, :2] = 7.0  # what is not visible must not matter
    torch.testing.assert_close(model.perceive(scenes, visual).scene_tokens, one)


def test_a_triplet_of_one_object_twice_is_that_object_and_its_predicate():
    model, (scenes, visual) = built(), windows()
    own = {name: relation.LAYOUT.read(scenes["relation"].values, name) for name in ("subject", "subject_box")}
    for name, other in (("object", "subject"), ("object_box", "subject_box")):
        relation.LAYOUT.read(scenes["relation"].values, name).copy_(own[other])
    scenes["relation"].mask[:, :, 0], scenes["relation"].mask[:, :, 1:] = True, False
    perception = model.perceive(scenes, visual)
    assert perception.scene_tokens.isfinite().all()
    per_frame = (perception.present & ~perception.is_action).unflatten(1, (FRAMES, -1)).sum(-1)
    assert (per_frame == 2).all(), "one object and one predicate"


def test_patches_of_a_large_encoder_are_masked_by_boxes():
    grid = PatchGrid(rows=2, columns=2, class_tokens=1)
    model, (scenes, visual) = built(grid=grid), windows(patches=5)
    assert model.perceive(scenes, visual).scene_tokens.shape[1] == FRAMES * (5 + 15)
    relation.LAYOUT.read(scenes["relation"].values, "subject_box").copy_(torch.tensor([0.0, 0.0, 0.4, 0.4]))
    relation.LAYOUT.read(scenes["relation"].values, "object_box").copy_(torch.tensor([0.1, 0.0, 0.5, 0.5]))
    seen = model.org(scenes["relation"], model.video(visual)).values
    visual.values[:, :, 4] += 3.0  # the bottom right patch is in nobody's box
    assert torch.equal(model.org(scenes["relation"], model.video(visual)).values, seen)
    visual.values[:, :, 1] += 3.0
    assert not torch.equal(model.org(scenes["relation"], model.video(visual)).values, seen)


def test_tokens_behind_the_patches_are_not_read():
    model, (scenes, visual) = built(grid=PatchGrid(unread=1)), windows(patches=2)
    read = model.perceive(scenes, visual).scene_tokens
    visual.values[:, :, 1], visual.mask[:, :, 1] = 9.0, False
    assert torch.equal(model.perceive(scenes, visual).scene_tokens, read)
    with pytest.raises(InputError, match=r"1 visual tokens each, wanted at most \d with 2"):
        model.perceive(scenes, windows(patches=1)[1])


@pytest.mark.parametrize(
    ("changes", "part", "kind"),
    [
        ({"asg": None}, "asg", NoActionGraph),
        ({"org": None}, "org", NoRelationGraph),
        ({"moe": None}, "moe", NoMixture),
        ({"constraint": None}, "constraint", NoConstraint),
    ],
)
def test_an_ablation_leaves_a_part_out(changes, part, kind):
    model, (scenes, visual) = built(**changes), windows()
    assert isinstance(getattr(model, part), kind)
    perception = model.perceive(scenes, visual)
    assert perception.scene_tokens.isfinite().all()
    torch.testing.assert_close(perception.probabilities.sum(-1), torch.ones(3, FRAMES))
    unread = {"asg": "action", "org": "relation"}.get(part)
    if unread:
        other = scenes | {unread: absent(scenes[unread])}
        assert torch.equal(model.perceive(other, visual).scene_tokens, perception.scene_tokens)
    assert config(**changes) == HawkeyeConfig.model_validate_json(config(**changes).model_dump_json())


def test_without_l_bc_nothing_is_added():
    (scenes, visual), loss = windows(), torch.tensor(2.0)
    left_out = built(constraint=None)
    assert left_out.total_loss(loss, left_out.perceive(scenes, visual)).item() == 2.0
    model = built()
    assert model.total_loss(loss, model.perceive(scenes, visual)).item() > 2.0


def test_standardisation_is_taken_from_people_who_are_seen():
    model, (scenes, visual) = built(), windows()
    model.fit_standardisation(scenes, visual)
    mean = model.asg.persons.standardise.mean  # type: ignore[union-attr]
    torch.testing.assert_close(mean, torch.full_like(mean, 0.5), atol=0.2, rtol=0)
    visual.values[0, 0, 0, 0] = torch.nan
    with pytest.raises(TrainingError, match="not finite"):
        model.fit_standardisation(scenes, visual)


def test_features_of_another_profile_and_other_frames_are_refused():
    model, (scenes, visual) = built(), windows()
    with pytest.raises(InputError, match=f"action: features of width 5, wanted {ACTION}"):
        model.perceive(scenes | {"action": scenes["face"]}, visual)
    with pytest.raises(InputError, match=f"relation: features of width 5, wanted {RELATION}"):
        model.perceive(scenes | {"relation": scenes["face"]}, visual)
    with pytest.raises(InputError, match="visual: features of width 5, wanted 10"):
        model.perceive(scenes, scenes["face"])
    with pytest.raises(InputError, match="4 frames with 5 visual tokens each, wanted at most 8 with 1"):
        model.perceive(scenes, windows(patches=5).visual)


def test_a_run_folder_gives_back_the_model(tmp_path):
    compact = CompactConfig(visual_features=VISUAL, width=24, num_layers=2, num_heads=2, feedforward=32)
    model, given = built(), windows()
    model.fit_standardisation(given.scenes, given.visual)
    record = RunRecord(name="hawkeye", hawkeye=config(), video_llm=compact, labels={"implicit": ("Fighting",)})
    save_run(tmp_path, model, record, half=False)
    loaded = load_run(tmp_path).model
    assert isinstance(loaded, Hawkeye)
    assert torch.equal(loaded.perceive(*given).scene_tokens, model.perceive(*given).scene_tokens)


def test_a_run_has_one_scene_side():
    with pytest.raises(ValidationError, match="wanted one scene side"):
        RunRecord(name="neither", video_llm=CompactConfig(), labels={})


def test_training_lowers_the_loss_in_bfloat16_too():
    model, (scenes, visual) = built(pooled=True).train(), windows(4)
    model.fit_standardisation(scenes, visual)
    optimizer, truth = torch.optim.AdamW(model.parameters(), 3e-3), torch.tensor([0, 1, 1, 0])
    losses: list[float] = []
    for _ in range(12):
        with torch.autocast("cpu", torch.bfloat16):
            likelihood = answer_likelihood(model, scenes, visual, ["Which event?"] * 4, ["Fighting", "Normal"])
            loss = model.total_loss(label_loss(likelihood.log_probs, truth), likelihood.perception)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_before_video_llava_patches_and_nodes_stand_where_the_video_was(make_llava):
    torch.manual_seed(0)
    llm = make_llava()
    grid = PatchGrid(rows=2, columns=2, class_tokens=1)
    model = config(visual_features=16, grid=grid).build(llm).eval()
    scenes, visual = (
        windows().scenes,
        Entities(torch.randn(3, FRAMES, 5, 16), torch.ones(3, FRAMES, 5, dtype=torch.bool)),
    )
    for prompt in model.prompts(["Which event?"] * 3, scenes, visual):
        assert prompt.count(llm.scene_id) == FRAMES * (5 + 15)
        assert prompt.count(llm.video_id) == 0
    answers = answer_likelihood(model, scenes, visual, ["Which event?"] * 3, ["Fighting", "Normal"])
    assert answers.log_probs.isfinite().all()


def test_the_release_of_a_layout_reads_its_columns():
    full = Layout({"score": 1, "predicate": 51, "subject": 151, "object": 151, "states": 4})
    assert ProbabilityReading.of(full) == ProbabilityReading(features=358, predicate=1, subject=52, object=203)
    tagged = Layout({"box": 4, "joints": 51, "tags": 34})
    people = Entities(torch.arange(89.0).view(1, 1, 1, 89), torch.ones(1, 1, 1, dtype=torch.bool))
    second = JointReading.of(tagged, "joints", "tags").read(people)[0, 0, 0, 1]
    assert second.tolist() == [7.0, 8.0, 9.0, 57.0, 58.0]


@pytest.mark.parametrize("features", [torch.float32, torch.bfloat16])
def test_a_scene_side_in_pure_bfloat16_gives_nearly_the_same(features):
    model, (scenes, visual) = built(), windows()
    wanted = model.perceive(scenes, visual).scene_tokens
    given = {name: Entities(e.values.to(features), e.mask) for name, e in scenes.items()}
    found = model.bfloat16().perceive(given, Entities(visual.values.to(features), visual.mask)).scene_tokens
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.03 * float(wanted.detach().abs().max()), rtol=0.0)
