"""Geometry of boxes (left, top, right, bottom), in pixels or frame fractions alike."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from omnisila.schema import Box

Area = tuple[float, float, float, float]  # a part of a frame: left, top, right, bottom in frame fractions

WHOLE_FRAME: Area = (0.0, 0.0, 1.0, 1.0)


def areas(boxes: Float[Tensor, "*boxes 4"]) -> Float[Tensor, "*boxes"]:
    """Width times height; inverted boxes have none."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def intersections(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Shared area of every pair."""
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    return (bottom_right - top_left).clamp(min=0).prod(dim=2)


def overlaps(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union of every pair; empty boxes overlap nothing."""
    shared = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None] - shared
    return torch.where(union > 0, shared / union.clamp(min=1e-12), torch.zeros_like(shared))


def suppress_overlaps(
    boxes: Float[Tensor, "n 4"], scores: Float[Tensor, "n"], max_overlap: float, *, by_smaller: bool = False
) -> Int[Tensor, "kept"]:
    """Greedy non-maximum suppression: indices that stay, best first; ties stay in input order.

    Args:
        by_smaller: measure overlap against the smaller box instead of the union, which also drops boxes in boxes.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    ranked = boxes[order]
    shared = intersections(ranked, ranked)
    size = areas(ranked)
    base = torch.minimum(size[:, None], size[None]) if by_smaller else size[:, None] + size[None] - shared
    covers = (shared > max_overlap * base).cpu().numpy()
    left = np.ones(len(order), bool)
    kept: list[int] = []
    for candidate in range(len(order)):
        if left[candidate]:
            kept.append(candidate)
            left &= ~covers[candidate]
    return order[torch.tensor(kept, dtype=torch.long)]


def box_record(box: Float[Tensor, "4"]) -> Box:
    """A box as a record, inside the frame."""
    left, top, right, bottom = box.float().clamp(0, 1).tolist()
    return Box(left_frac=left, top_frac=top, right_frac=right, bottom_frac=bottom)
