"""Resizing, cropping and normalising pictures on torch, for networks that expect one exact preparation.

All take and give channels-first batches. ``uint8`` stays ``uint8`` (rounded and clipped, as image libraries do),
floating point stays floating point in whatever range it came.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

Interpolation = Literal["nearest", "bilinear", "bicubic"]
_FRAMES_AT_ONCE = 32  # 0.8 GB of 1080p in float32


def channels_first(images: UInt8[Tensor, "*batch height width 3"]) -> Float[Tensor, "*batch 3 height width"]:
    """Frames as networks want them: float32 in 0..255, channels before rows."""
    return images.movedim(-1, -3).to(torch.float32)


def resize(
    images: Shaped[Tensor, "batch channels height width"],
    height_px: int,
    width_px: int,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Shaped[Tensor, "batch channels new_height new_width"]:
    """Scale to exactly this size; proportions may change.

    Args:
        antialias: average what one output pixel covers when shrinking, as Pillow does. Off is what OpenCV's and
            TensorFlow's plain bilinear do, which networks trained that way need.
    """
    if images.shape[-2:] == (height_px, width_px):
        return images
    if interpolation == "nearest":
        return F.interpolate(images, (height_px, width_px), mode="nearest-exact")
    return F.interpolate(images, (height_px, width_px), mode=interpolation, align_corners=False, antialias=antialias)


def resize_levels(
    images: Float[Tensor, "batch channels height width"],
    height_px: int,
    width_px: int,
    interpolation: Interpolation = "bilinear",
) -> Float[Tensor, "batch channels new_height new_width"]:
    """``resize`` of values 0..255 within rows, then within columns, rounded to whole levels after each.

    So did Pillow up to 12.1 for every shape, the versions that published networks were trained with, and so does torch
    on bytes: values agree but for one level here and there, two in one of 700,000 (``tests/unit/media``). Later Pillow
    takes columns first for some shapes: 12.2 and 12.3 where rows go from a picture over 100 times as high as wide, 13.0
    where more than twice as many rows as columns go (1280 x 720 upright to a square; of pictures that keep their
    proportions only those over twice as high as wide). There bicubic values differ by up to 31 levels on black and
    white noise and by 2 on smooth pictures, as measured. What a network reads must not depend on which Pillow is
    installed.
    """
    rows = _whole_levels(resize(images, images.shape[-2], width_px, interpolation))
    return _whole_levels(resize(rows, height_px, width_px, interpolation))


def resize_frames(
    frames: UInt8[Tensor, "frames height width 3"],
    height_px: int,
    width_px: int,
    interpolation: Interpolation = "bicubic",
) -> UInt8[Tensor, "frames new_height new_width 3"]:
    """``resize_levels`` of frames, on the device they came on; a few at a time, since large ones take much memory."""
    parts = (
        resize_levels(channels_first(part), height_px, width_px, interpolation)
        for part in frames.split(_FRAMES_AT_ONCE)
    )
    return torch.cat([part.to(torch.uint8).movedim(1, -1) for part in parts])


def _whole_levels(images: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return (images + 0.5).floor().clamp(0, 255)  # Pillow rounds halves up, torch to even numbers


def resize_short_side(
    images: Shaped[Tensor, "batch channels height width"],
    short_side_px: int,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Shaped[Tensor, "batch channels new_height new_width"]:
    """Scale, up or down, to exactly this short side; the long side is rounded down, as CLIP's processor does."""
    height_px, width_px = images.shape[-2:]
    if height_px <= width_px:
        return resize(images, short_side_px, short_side_px * width_px // height_px, interpolation, antialias)
    return resize(images, short_side_px * height_px // width_px, short_side_px, interpolation, antialias)


def centre_crop(
    images: Shaped[Tensor, "batch channels height width"], height_px: int, width_px: int
) -> Shaped[Tensor, "batch channels new_height new_width"]:
    """The middle of each picture, as a view.

    Raises:
        ValueError: the pictures are smaller than the crop; resize them first.
    """
    have_height_px, have_width_px = images.shape[-2:]
    if have_height_px < height_px or have_width_px < width_px:
        raise ValueError(
            f"cannot crop {width_px}x{height_px} px out of {have_width_px}x{have_height_px} px. Resize first."
        )
    top_px, left_px = (have_height_px - height_px) // 2, (have_width_px - width_px) // 2
    return images[..., top_px : top_px + height_px, left_px : left_px + width_px]


def normalise(
    images: Float[Tensor, "batch channels height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch channels height width"]:
    """``(images - mean) / std`` per channel; mean and std in the images' own range (0..255 or 0..1)."""
    shape = (1, -1, 1, 1)
    return (images - images.new_tensor(mean).view(shape)) / images.new_tensor(std).view(shape)
