"""Square crops around boxes, for networks with a fixed input size."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def squares(boxes: Float[Tensor, "boxes 4"], margin: float = 1.0) -> Float[Tensor, "boxes 4"]:
    """The square around each box's centre, its side the box's longer one times ``margin``."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) * margin / 2
    return torch.cat([centre - half, centre + half], 1)


def square_crops(
    pictures: Shaped[Tensor, "batch channels height width"],
    picture: Int[Tensor, "crops"],
    squares_px: Float[Tensor, "crops 4"],
    size_px: int,
) -> Float[Tensor, "crops channels size size"]:
    """Crops resized to ``size_px``; what lies outside the picture is zero.

    Args:
        squares_px: where, in pixels; may reach over the picture's edges.
    """
    crops = torch.zeros(len(picture), pictures.shape[1], size_px, size_px, device=pictures.device)
    height, width = pictures.shape[2:]
    edges = squares_px.round().long().tolist()
    for index, (source, (left, top, right, bottom)) in enumerate(zip(picture.tolist(), edges, strict=True)):
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        inside = pictures[source, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if inside.numel() == 0:
            continue
        pads = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        crop = F.pad(inside.float(), pads)[None]
        crops[index] = F.interpolate(crop, (size_px, size_px), mode="bilinear", antialias=True, align_corners=False)[0]
    return crops


def frame_pixels(boxes_frac: Float[Tensor, "boxes 4"], height: int, width: int) -> Float[Tensor, "boxes 4"]:
    """Boxes in pixels of a picture."""
    return boxes_frac * torch.tensor([width, height, width, height], dtype=torch.float32)
