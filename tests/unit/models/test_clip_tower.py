"""The port's tower: transformers' own numbers, and pictures prepared as documented."""

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, VideoLlavaImageProcessor

from omnisila.models.clip_tower import ClipPreprocessing, ClipTower

FRAMES = 8


def sizes(**changes):
    return CLIPVisionConfig(
        **{
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14,
        }
        | changes
    )  # fmt: skip


def pictures(batch=2, frames=FRAMES, height_px=40, width_px=30):
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, frames, height_px, width_px, 3), dtype=torch.uint8, generator=random)


def stirred(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


@pytest.mark.parametrize("layer", [-2, -1, 1])
def test_the_hidden_state_is_the_one_that_transformers_counts(layer):
    model = stirred(CLIPVisionModel(sizes()))
    tower = ClipTower(model, layer)
    visual = tower.encode(pictures())
    assert visual.values.shape == (2, FRAMES, tower.patches, tower.features) == (2, FRAMES, 5, 16)
    assert visual.mask.all()
    assert not visual.values.requires_grad
    pixels = tower.preprocessing.pixels(pictures().flatten(0, 1))
    with torch.no_grad():
        theirs = model(pixels, output_hidden_states=True).hidden_states[layer]
    assert torch.equal(visual.values.flatten(0, 1), theirs)


def test_patches_alone_are_all_but_the_first():
    tower = ClipTower(stirred(CLIPVisionModel(sizes())), frames=FRAMES)
    alone = tower.without_class_token()
    assert (tower.patches, alone.patches, alone.frames) == (5, 4, FRAMES)
    assert torch.equal(alone.encode(pictures()).values, tower.encode(pictures()).values[:, :, 1:])


@pytest.mark.parametrize(("height_px", "width_px"), [(480, 640), (361, 203), (224, 224), (120, 90), (1080, 1920)])
@pytest.mark.parametrize("smooth", [True, False])
def test_pictures_are_prepared_as_the_documented_processor_does(height_px, width_px, smooth):
    random = np.random.default_rng(0)
    if smooth:
        rows, columns = np.mgrid[0:height_px, 0:width_px]
        picture = np.stack([np.sin(rows / 17), np.cos(columns / 11), np.sin((rows + columns) / 23)], -1) * 127 + 128
    else:
        picture = random.integers(0, 256, (height_px, width_px, 3))
    picture = picture.astype(np.uint8)
    theirs = VideoLlavaImageProcessor().preprocess(picture, return_legacy_image_output=False, return_tensors="pt")
    ours = ClipPreprocessing().pixels(torch.from_numpy(picture).unsqueeze(0))
    off_by = (ours - theirs["pixel_values"]).abs() * torch.tensor(ClipPreprocessing().std).view(1, 3, 1, 1) * 255
    assert float(off_by.mean()) < 1e-3
    assert float(off_by.max()) < 1.01


def test_preparing_is_the_same_every_time_and_in_any_batch():
    frames = pictures(5, 8).flatten(0, 1)
    together = ClipPreprocessing().pixels(frames)
    assert torch.equal(together, torch.cat([ClipPreprocessing().pixels(frame) for frame in frames.split(1)]))
    assert ClipPreprocessing().pixels(frames, torch.bfloat16).dtype == torch.bfloat16
