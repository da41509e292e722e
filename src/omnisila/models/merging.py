"""Video tokens that hardly differ from those of the same place one step before are one: fewer tokens, the same times.

Source: Efficient Video Sampling (arXiv 2510.14624), which drops them, and DyCoke (Tao et al. 2025), which merges them.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omnisila.models.tokens import Tokens


class Merged(NamedTuple):
    """All video tokens, each that is kept with the mean of what was merged into it, and which are kept."""

    values: Float[Tensor, "batch steps places width"]
    kept: Bool[Tensor, "batch steps places"]


def kept_count(steps: int, places: int, ratio: float) -> int:
    """How many of so many video tokens are kept: the first step's at least."""
    return max(places, math.ceil(ratio * steps * places))


def merge_over_time(video: Float[Tensor, "batch steps places width"], ratio: float, compared: int) -> Merged:
    """Merge the tokens that changed least since the step before into the last one kept at their place.

    Every row keeps the same number. Of equal changes the earlier token is kept, so that the choice is always the same.

    Args:
        ratio: share of the tokens that is kept.
        compared: how many of each token's numbers tell whether it changed.
    """
    batch, steps, places, width = video.shape
    seen = video[..., :compared].float()
    alike = F.cosine_similarity(seen[:, 1:], seen[:, :-1], dim=-1).round(decimals=5)  # equal tokens tie
    none = ~seen.any(-1)  # frames outside the video are zero
    alike = alike.masked_fill(none[:, 1:] & none[:, :-1], 1.0)
    change = torch.cat([alike.new_full((batch, 1, places), torch.inf), 1 - alike], dim=1).flatten(1)
    order = change.argsort(dim=1, descending=True, stable=True)[:, : kept_count(steps, places, ratio)]
    kept = torch.zeros_like(change, dtype=torch.bool).scatter_(1, order, True).view(batch, steps, places)
    # the step of the last token kept at each place, up to each step
    step = torch.arange(steps, device=video.device)[None, :, None]
    owner = torch.where(kept, step, 0).cummax(dim=1).values
    into = owner[..., None].expand(-1, -1, -1, width)
    total = torch.zeros_like(video).scatter_add_(1, into, video)
    count = torch.zeros(batch, steps, places, device=video.device, dtype=video.dtype)
    count.scatter_add_(1, owner, torch.ones_like(count))
    return Merged(torch.where(kept[..., None], total / count.clamp(min=1)[..., None], video), kept)


class VideoGrid(NamedTuple):
    """Where a prompt's video tokens are in time: ``steps`` of ``places`` each; what follows them is no part of it.

    ``compared``: as ``merge_over_time``.
    """

    video_id: int
    steps: int
    places: int
    compared: int


def merge_video(
    embeds: Float[Tensor, "batch tokens width"],
    tokens: Tokens,
    positions: Int[Tensor, "*axes batch tokens"],
    grid: VideoGrid,
    ratio: float,
) -> tuple[Float[Tensor, "batch left width"], Tokens, Int[Tensor, "*axes batch left"]]:
    """What is left of sequences with merged video tokens; all that is left keeps its position."""
    batch, length = tokens.ids.shape
    video = (tokens.ids == grid.video_id).nonzero()[:, 1].view(batch, -1)[:, : grid.steps * grid.places]
    video = video.to(embeds.device)
    rows = torch.arange(batch, device=embeds.device)[:, None]
    merged = merge_over_time(embeds[rows, video].unflatten(1, (grid.steps, grid.places)), ratio, grid.compared)
    left = torch.ones(batch, length, dtype=torch.bool, device=embeds.device)
    left[rows, video] = merged.kept.flatten(1)
    embeds = embeds.index_put((rows, video), merged.values.flatten(1, 2))
    at = left.nonzero()[:, 1].view(batch, -1)
    there = at.to(tokens.ids.device)
    visible = tokens.visible.gather(1, there[..., None].expand(-1, -1, length))
    read = tokens._replace(
        ids=tokens.ids.gather(1, there),
        visible=visible.gather(2, there[:, None].expand(-1, there.shape[1], -1)),
        positions=tokens.positions.gather(1, there),
        prompt_length=tokens.prompt_length - (length - at.shape[1]),
    )
    kept = at.to(positions.device).expand(*positions.shape[:-1], -1)
    return embeds[rows, at], read, positions.gather(-1, kept)
