"""Hawkeye in front of any transformers Video-LLM: the mixture's tokens where the video's were."""

from typing import Any, cast

import torch

from omnisila.models.bh_moe import BHMoEConfig
from omnisila.models.graph_inputs import JointReading, PatchGrid, TripletReading
from omnisila.models.hawkeye import HawkeyeConfig
from omnisila.models.likelihood import answer_likelihood
from omnisila.recipes.rows.hawkeye import patch_grid
from omnisila.scenes import action, relation
from omnisila.scenes.extractor import Entities

FRAMES = 8
QUESTION = "Which event?"


def test_hawkeye_replaces_the_video_of_every_family(llm: Any, make_frames):
    torch.manual_seed(0)
    config = HawkeyeConfig(
        visual_features=llm.backbone.features,
        grid=PatchGrid(rows=1, columns=llm.backbone.patches),
        joints=JointReading.of(action.LAYOUT),
        triplets=TripletReading.of(relation.LAYOUT),
        width=16,
        num_heads=2,
        moe=BHMoEConfig(num_layers=1),
        pooled=True,
    )
    model = config.build(llm)

    def entities(width: int) -> Entities:
        return Entities(torch.rand(2, FRAMES, 3, width), torch.rand(2, FRAMES, 3) < 0.7)

    scenes = {
        "action": entities(action.LAYOUT.feature_width), "relation": entities(relation.LAYOUT.feature_width),
    }  # fmt: skip
    visual = llm.backbone.encode(make_frames(2))
    for prompt in model.prompts([QUESTION] * 2, scenes, visual):
        assert prompt.count(llm.scene_id) == FRAMES
        assert prompt.count(llm.video_id) == 0
    likelihood = answer_likelihood(model, scenes, visual, [QUESTION] * 2, ["Fire", "Normal"])
    model.total_loss(-likelihood.log_probs.mean(), cast("Any", likelihood.perception)).backward()
    assert model.asg.persons.attention.w.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert len(model.generate(scenes, visual, [QUESTION] * 2, 2).texts) == 2


def test_the_grid_is_that_of_the_familys_frames(llm: Any):
    grid = patch_grid(llm)
    height_px, width_px = llm.backbone.size_px
    assert grid.patches == llm.backbone.patches
    assert grid.rows / grid.columns == height_px / width_px
    assert llm.backbone.shown_area(360, 640) == llm.backbone.shown_area(640, 480) == (0.0, 0.0, 1.0, 1.0)
