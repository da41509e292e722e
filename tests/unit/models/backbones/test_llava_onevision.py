"""LLaVA-OneVision: pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.models.backbone import preprocess


@pytest.mark.parametrize(("height", "width"), [(30, 50), (90, 64), (360, 640)])
def test_llavas_pixels_are_pillows(height, width, make_llm, make_natural):
    settings = make_llm("llava_onevision").backbone.settings
    frames = make_natural(height, width)
    ours = preprocess(torch.from_numpy(frames)[None], (42, 42), settings)
    pillow = [np.asarray(Image.fromarray(frame).resize((42, 42), Image.Resampling.BICUBIC)) for frame in frames]
    wanted = torch.from_numpy((np.stack(pillow) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).float()
    assert (ours - wanted).abs().max() < 1.01 / 255 / 0.5  # one grey level
    assert (ours - wanted).abs().mean() < 0.25 / 255 / 0.5
