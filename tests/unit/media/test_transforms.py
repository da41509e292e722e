"""Resizing, cropping and normalising, against Pillow and plain arithmetic."""

import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.media.transforms import (
    centre_crop,
    channels_first,
    normalise,
    resize,
    resize_frames,
    resize_levels,
    resize_short_side,
)

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.fixture
def picture():
    return torch.randint(0, 256, (60, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(30, 40), (23, 57), (90, 100)])
def test_antialiased_resize_agrees_with_pillow(picture, interpolation, size):
    smooth = resize(channels_first(picture[None, :8, :10]), 60, 80)[0].movedim(0, -1).round().byte()
    for image, dtype in ((picture, torch.uint8), (smooth, torch.float32)):  # Pillow clips between its two passes
        want = np.asarray(Image.fromarray(image.numpy()).resize(size[::-1], PILLOW[interpolation])).astype(float)
        got = resize(image.movedim(-1, 0)[None].to(dtype), *size, interpolation)
        assert got.dtype == dtype
        assert np.abs(got[0].movedim(0, -1).float().clip(0, 255).numpy() - want).max() <= 1.2


SHAPES = [  # rows and columns before and after
    ((60, 80), (30, 40)), ((90, 64), (42, 42)), ((64, 64), (42, 84)), ((128, 72), (22, 22)), ((40, 30), (90, 70)),
    ((120, 1), (7, 9)), ((33, 150), (50, 20)), ((50, 40), (50, 90)), ((50, 40), (20, 40)),
]  # fmt: skip


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def levels(picture, height, width, interpolation):
    images = channels_first(torch.from_numpy(picture)[None])
    return resize_levels(images, height, width, interpolation)[0].movedim(0, -1).numpy()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("have", "want"), SHAPES)
def test_levels_are_pillows_rows_and_then_its_columns(interpolation, have, want):
    method, picture = PILLOW[interpolation], noise(*have)
    rows = Image.fromarray(picture).resize((want[1], have[0]), method)
    off_by = np.abs(levels(picture, *want, interpolation) - np.asarray(rows.resize(want[::-1], method)))
    assert off_by.max() <= 1
    assert off_by.mean() < 0.05


def may_take_columns_first(have, want):
    """For such shapes some versions of Pillow do."""
    rows_gone, columns_gone = have[0] - want[0], have[1] - want[1]
    return rows_gone > max(0, 2 * columns_gone) and columns_gone != 0


@pytest.mark.parametrize(("have", "want"), [shapes for shapes in SHAPES if not may_take_columns_first(*shapes)])
def test_pillow_does_both_at_once_in_that_order_for_other_shapes(have, want):
    at_once = np.asarray(Image.fromarray(noise(*have)).resize(want[::-1], PILLOW["bicubic"]))
    assert np.abs(levels(noise(*have), *want, "bicubic") - at_once).max() <= 1


def test_frames_are_resized_alike_in_any_number():
    frames = torch.from_numpy(np.stack([noise(24, 20)[::step, ::step] for step in (1, -1)] * 20))
    together = resize_frames(frames, 10, 12)
    assert together.dtype == torch.uint8
    assert torch.equal(together, torch.cat([resize_frames(frame, 10, 12) for frame in frames.split(1)]))
    assert np.array_equal(together[0].numpy(), levels(noise(24, 20), 10, 12, "bicubic"))


def test_plain_bilinear_skips_pixels(picture):
    images = channels_first(picture[None])
    plain = resize(images, 15, 20, antialias=False)
    assert torch.allclose(plain[0, :, 0, 0], images[0, :, 1:3, 1:3].mean((-2, -1)))
    assert not torch.allclose(plain, resize(images, 15, 20))


@pytest.mark.parametrize(("have", "want"), [((60, 80), (30, 40)), ((81, 60), (40, 30)), ((50, 75), (30, 45))])
def test_short_side_is_exact(have, want):
    assert resize_short_side(torch.zeros(1, 3, *have), 30).shape[-2:] == want


def test_centre_crop_takes_the_middle():
    images = torch.arange(5.0).repeat(5, 1)[None, None]
    assert centre_crop(images, 1, 3).flatten().tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="Resize first"):
        centre_crop(images, 6, 3)


def test_normalise_is_per_channel():
    images = torch.tensor([[[[10.0]], [[20.0]], [[30.0]]]])
    assert normalise(images, (0, 10, 20), (10, 5, 2)).flatten().tolist() == [1.0, 2.0, 5.0]


def test_shapes_are_checked_while_testing():
    with pytest.raises(TypeError, match="images"):
        normalise(torch.zeros(3, 3), (0, 0, 0), (1, 1, 1))
