"""Pictures scaled as detection transformers want them, normalised and padded."""

import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.scenes.nets.padding import pad_pictures, scaled_size


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((1080, 1920), (750, 1333)),
        ((500, 500), (800, 800)),
        ((300, 4000), (100, 1333)),
        ((1, 4000), (1, 1333)),
    ],
)
def test_the_short_side_is_800_unless_the_long_one_passes_1333(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert scaled_size(*size, 800, 1333) == wanted


@pytest.mark.parametrize("size", [(90, 120), (37, 61)])
def test_scaling_is_pillows(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    batch = pad_pictures(torch.from_numpy(picture)[None], 48, 80)
    height, width = batch.pixels.shape[2:]
    resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = (torch.from_numpy(resized.copy()) / 255 - mean) / std
    # Pillow rounds to whole levels after each of its two passes
    torch.testing.assert_close(batch.pixels[0].permute(1, 2, 0), wanted, atol=1.01 / 255 / 0.224, rtol=0.0)


def test_smaller_pictures_are_padded_right_and_below_with_zeros() -> None:
    wide, tall = torch.full((20, 40, 3), 200, dtype=torch.uint8), torch.full((30, 20, 3), 50, dtype=torch.uint8)
    batch = pad_pictures([wide, tall], 20, 100)
    assert batch.pixels.shape == (2, 3, 30, 40)
    assert batch.sizes_px is not None
    assert batch.sizes_px.tolist() == [[20, 40], [30, 20]]
    assert (batch.pixels[0, :, 20:] == 0).all()
    assert (batch.pixels[1, :, :, 20:] == 0).all()
    torch.testing.assert_close(batch.pixels[:1, :, :20], pad_pictures(wide[None], 20, 100).pixels)


def test_one_size_needs_no_padding() -> None:
    frames = torch.zeros(2, 30, 60, 3, dtype=torch.uint8)
    assert pad_pictures(frames, 20, 100).sizes_px is None
    assert pad_pictures([frames[0], torch.zeros(60, 120, 3, dtype=torch.uint8)], 20, 100).sizes_px is None
