"""LLaVA-OneVision: pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.models.backbone import preprocess


def rows_then_columns(picture: Image.Image, side_px: int) -> Image.Image:
    """Newer versions of Pillow begin with columns where that is less work: say the order."""
    rows = picture.resize((side_px, picture.height), Image.Resampling.BICUBIC)
    return rows.resize((side_px, side_px), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("height", "width"), [(30, 50), (90, 64), (360, 640)])
def test_llavas_pixels_are_pillows(height, width, make_llm, make_natural):
    settings = make_llm("llava_onevision").backbone.settings
    frames = make_natural(height, width)
    ours = preprocess(torch.from_numpy(frames)[None], (42, 42), settings)
    pillow = [np.asarray(rows_then_columns(Image.fromarray(frame), 42)) for frame in frames]
    wanted = torch.from_numpy((np.stack(pillow) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).float()
    assert (ours - wanted).abs().max() < 1.01 / 255 / 0.5  # one grey level
    assert (ours - wanted).abs().mean() < 0.02 / 255 / 0.5
