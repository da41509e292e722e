"""Pictures of any size as one normalised batch: short side to a fixed length, padded right and below.

Source: the input of detection transformers (Carion et al. 2020), ImageNet statistics.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Padded(NamedTuple):
    """A batch in float32; ``sizes_px`` are height and width of each picture in it, None where nothing is padded."""

    pixels: Float[Tensor, "batch 3 height width"]
    sizes_px: Int[Tensor, "batch 2"] | None


def scaled_size(height_px: int, width_px: int, short_side_px: int, max_side_px: int) -> tuple[int, int]:
    """Height and width with that short side, or a smaller one where the long side would pass its limit."""
    short, long = sorted((height_px, width_px))
    target = short_side_px
    if long * target > max_side_px * short:
        target = max(round(max_side_px * short / long), 1)
    # beside a short side of one rounded pixel, a long side in proportion could pass the limit again
    other = min(target * long // short, max_side_px)
    return (target, other) if height_px <= width_px else (other, target)


def pad_pictures(
    images: Sequence[UInt8[Tensor, "_ _ 3"]] | UInt8[Tensor, "batch _ _ 3"],
    short_side_px: int,
    max_side_px: int,
    device: torch.device | None = None,
) -> Padded:
    """RGB pictures scaled, normalised and padded with zeros; at least one picture.

    Args:
        device: where the work is done and the batch lies; by default where the pictures lie.
    """
    groups = [images] if isinstance(images, Tensor) else [image[None] for image in images]
    if not isinstance(images, Tensor) and len({image.shape for image in images}) == 1:
        groups = [torch.stack(list(images))]
    scaled = [_scale(group.to(device or group.device), short_side_px, max_side_px) for group in groups]
    sizes = [x.shape[2:] for x in scaled]
    if len(set(sizes)) == 1:
        return Padded(torch.cat(scaled), None)
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    pixels = torch.cat([F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2])) for x in scaled])
    return Padded(pixels, torch.tensor([list(size) for size in sizes], device=pixels.device))


def _scale(images: Tensor, short_side_px: int, max_side_px: int) -> Float[Tensor, "batch 3 height width"]:
    size = scaled_size(images.shape[1], images.shape[2], short_side_px, max_side_px)
    x = images.permute(0, 3, 1, 2).float() / 255
    x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std
