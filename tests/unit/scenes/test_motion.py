"""Optical-flow statistics: known shifts are measured, camera motion is taken off, chunks do not matter."""

import pytest
import torch
from torch.nn import functional as F

from omnisila.media.frames import Luma
from omnisila.scenes.motion import MotionConfig, block_flow


@pytest.fixture
def texture() -> torch.Tensor:
    noise = torch.rand(1, 1, 40, 60, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, (160, 240), mode="bicubic").clamp(0, 1)[0, 0]


def moving(texture: torch.Tensor, shift_px: int, count: int = 6) -> list[Luma]:
    crops = [texture[10 : 10 + 120, 20 + i * shift_px : 20 + i * shift_px + 160] for i in range(count)]
    return [Luma(i / 12, (crop * 255).to(torch.uint8)) for i, crop in enumerate(crops)]


def test_block_flow_measures_a_known_shift(texture: torch.Tensor) -> None:
    pictures = torch.stack([texture[:120, 1:161], texture[:120, :160]])  # the content moves one pixel to the right
    flow = block_flow(pictures, block_px=8, step_px=4)
    assert flow.right_px.median().item() == pytest.approx(1.0, abs=0.2)
    assert flow.down_px.median().item() == pytest.approx(0.0, abs=0.1)


def test_a_pan_is_camera_motion_and_not_scene_speed(texture: torch.Tensor) -> None:
    config = MotionConfig()
    _, pan = config.build().descriptors(moving(texture, shift_px=1))
    median_speed, camera_speed = 0, 10  # places in the first scale's statistics
    assert pan[:, camera_speed].mean() > pan[:, median_speed].mean() + 1


def test_a_still_view_has_no_speed(texture: torch.Tensor) -> None:
    _, still = MotionConfig().build().descriptors(moving(texture, shift_px=0))
    assert still[:, 4].exp().max().item() == pytest.approx(1e-2, abs=1e-4)


def test_chunks_give_the_same_descriptors_as_a_whole_stream(texture: torch.Tensor) -> None:
    pictures = moving(texture, shift_px=2, count=10)
    _, whole = MotionConfig().build().descriptors(pictures)
    chunked = MotionConfig().build()
    parts = [chunked.descriptors(pictures[a:b])[1] for a, b in ((0, 3), (3, 4), (4, 10))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_repeated_pictures_are_compared_once(texture: torch.Tensor) -> None:
    pictures = moving(texture, shift_px=1, count=4)
    held = [picture for picture in pictures for _ in range(2)]
    times, described = MotionConfig().build().descriptors(held)
    assert len(times) == len(described) == 3


def test_one_picture_has_no_descriptor(texture: torch.Tensor) -> None:
    times, described = MotionConfig().build().descriptors(moving(texture, 1, count=1))
    assert times == []
    assert described.shape == (0, MotionConfig().width)
