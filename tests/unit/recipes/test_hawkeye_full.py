"""Full-size Hawkeye's patch grid: a detected box masks the patches that show it, whatever the shape of the video."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from omnisila.inference.seeing import window_reader
from omnisila.models.backbones.video_llava import VideoLlava
from omnisila.models.bh_moe import BHMoEConfig
from omnisila.models.checkpoint import Run
from omnisila.models.clip_tower import ClipTower
from omnisila.models.graph_inputs import FrameTokens
from omnisila.models.hawkeye import Hawkeye
from omnisila.models.org import object_aware_masking
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.recipes.rows.hawkeye import FullHawkeye
from omnisila.records import append
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.sem import SEMConfig, embedded_layouts
from omnisila.scenes.windows import WindowConfig
from omnisila.schema import Example
from omnisila.training.answering import Answering, AnsweringConfig
from omnisila.training.clip_source import ClipSource, ExampleFile, prepared_videos

SIDE, PATCH_PX = 16, 14  # of CLIP L/14 at 224 px
SHAPES = ((128, 72), (96, 72), (72, 96))  # width, height: as surveillance, television and telephones have them
STILLS = ((75, 100),)
RECIPE = FullHawkeye(
    width=16, num_heads=2, moe=BHMoEConfig(num_layers=1), pooled=True,
    window=WindowConfig(window_s=1, rate_hz=4, frames=2),
)  # fmt: skip


@pytest.fixture
def backbone(make_llava: Callable[..., Any]) -> TransformersVideoLLM:
    llm = make_llava()
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=SIDE * PATCH_PX, patch_size=PATCH_PX,
    )  # fmt: skip
    llm.backbone = VideoLlava(llm.model, ClipTower(CLIPVisionModel(vision)))
    return llm


@pytest.fixture
def model(backbone: TransformersVideoLLM) -> Hawkeye:
    built = RECIPE.scene_side(embedded_layouts(), backbone).build(backbone)
    assert isinstance(built, Hawkeye)
    return built


def boxes_in(width_px: int, height_px: int, count: int = 40) -> list[tuple[int, int, int, int]]:
    """Random boxes in whole pixels (left, top, right, bottom), of all sizes and also outside the middle."""
    random = np.random.default_rng(0)
    columns, rows = (np.sort(random.integers(0, length + 1, (count, 2))) for length in (width_px, height_px))
    return [(c[0], r[0], c[1], r[1]) for c, r in zip(columns.tolist(), rows.tolist(), strict=True)
            if c[0] < c[1] and r[0] < r[1]]  # fmt: skip


def painted(tower: Any, boxes: Sequence[Sequence[int]], width_px: int, height_px: int) -> Tensor:
    """Which patches show at least half a pixel of each box, painted on black, after the tower's own preparation."""
    frames = torch.zeros(len(boxes), height_px, width_px, 3, dtype=torch.uint8)
    for frame, (left, top, right, bottom) in zip(frames, boxes, strict=True):
        frame[top:bottom, left:right] = 255
    shown = tower.fit_frames(frames)[..., 0] > 127
    return shown.unflatten(1, (SIDE, PATCH_PX)).unflatten(3, (SIDE, PATCH_PX)).any(4).any(2).flatten(1)


def masked(model: Hawkeye, boxes: Sequence[Sequence[int]], area: Tensor, width_px: int, height_px: int) -> Tensor:
    """Which patches Hawkeye keeps for each box, of a window whose visual tokens cover that area."""
    org: Any = model.org
    tokens = SIDE * SIDE + 1
    video = FrameTokens(torch.ones(1, 1, tokens, 1), torch.ones(1, 1, tokens, dtype=torch.bool))
    fractions = torch.tensor(boxes) / torch.tensor([width_px, height_px] * 2)
    located = org.grid.locate_boxes(fractions[None, None], area[None])
    x_m = object_aware_masking(video, located, torch.ones(1, 1, len(boxes), dtype=torch.bool), org.cells)
    assert not x_m.inside[..., 0].any(), "the class token is in nobody's box"
    return x_m.inside[0, 0, :, 1:]


def agreement(model: Hawkeye, tower: Any, area: Tensor, width_px: int, height_px: int) -> float:
    """Mean intersection over union of the patches that Hawkeye keeps for a box and those that show it.

    It is not quite 1: a patch that shows less than half a pixel of a box is kept, too.
    """
    boxes = boxes_in(width_px, height_px)
    kept, shown = masked(model, boxes, area, width_px, height_px), painted(tower, boxes, width_px, height_px)
    either = (kept | shown).sum(1)
    assert (either > 0).sum() > 20
    return float(((kept & shown).sum(1) / either)[either > 0].mean())


def areas_read(model: Hawkeye) -> list[Tensor]:
    """Filled with what the relation graph is told of each window that the model reads."""
    told: list[Tensor] = []

    def note(_: Any, inputs: tuple[Any, ...]) -> None:
        told.extend(inputs[2])

    model.org.register_forward_pre_hook(note)
    return told


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 360), (320, 240), (480, 640), (427, 640), (500, 500)])
def test_a_box_keeps_the_patches_that_show_it(model, backbone, width_px, height_px):
    area = torch.tensor(backbone.backbone.shown_area(height_px, width_px))
    assert agreement(model, backbone.backbone, area, width_px, height_px) > 0.95
    wide = torch.tensor(backbone.backbone.shown_area(360, 640))
    if (width_px, height_px) != (640, 360):
        assert agreement(model, backbone.backbone, wide, width_px, height_px) < 0.8, "the shape matters"


def test_training_and_inference_tell_it_for_each_window(model, backbone, make_video, tmp_path):
    sizes: dict[str, tuple[int, int]] = {}
    for number, (width_px, height_px) in enumerate(SHAPES):
        make_video(f"{number}.mp4", frames=12, width_px=width_px, height_px=height_px)
        sizes[f"{number}.mp4"] = width_px, height_px
    for number, size in enumerate(STILLS):
        Image.new("RGB", size, (90, 90, 90)).save(tmp_path / f"{number}.png")
        sizes[f"{number}.png"] = size
    append(tmp_path / "examples.jsonl", [
        Example(id=video, video=video, split="train", group=video, start_s=0, end_s=0.04, task="describe",
                labels="relation", instruction="What is there?", answer="A man.")
        for video in sizes
    ])  # fmt: skip
    sem, cache = SEMConfig().build(), FeatureCache(tmp_path / "cache")
    extracted = prepared_videos(list(sizes), tmp_path, sem, cache).extracted
    tower, videos = backbone.backbone, list(sizes)
    examples = ExampleFile(tmp_path / "examples.jsonl", lambda _: True)
    source = ClipSource(examples, tmp_path, extracted, cache, RECIPE.window, tower.fit_frames)
    losses = Answering(model, source, AnsweringConfig(batch_size=len(sizes), epochs=1, workers=0))

    told = areas_read(model)
    assert all(loss.isfinite() for loss in losses(0, torch.Generator()))
    trained = dict(zip((videos[place] for place in losses.order[0][0]), told, strict=True))
    run = Run(model.eval(), RECIPE.record(embedded_layouts(), backbone, {}), None)
    for place, (video, (width_px, height_px)) in enumerate(sizes.items()):
        batch = window_reader(run, tmp_path / video)([source.window(place)])
        del told[:]
        with torch.inference_mode():
            model.perceive(batch.scenes, batch.visual)
        assert torch.equal(told[0], trained[video])
        assert agreement(model, tower, told[0], width_px, height_px) > 0.95
