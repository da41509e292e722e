"""Peaks of joint heatmaps to people: every joint goes to the person whose tag is nearest.

Joints are visited from the head to the feet. The peaks of one joint and the people so far are matched all at once
(Hungarian), so that two near people do not take each other's; a peak that no tag is near to begins a new person.
Source: Newell et al. 2017 (Associative Embedding) 3.2; refinement as HigherHRNet is evaluated (Cheng et al. 2020).
"""

from typing import NamedTuple

import numpy as np
import scipy  # whose parts load when they are named
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omnisila.config import Config

JOINTS = 17
MAPS_AT_ONCE = 8  # that refinement searches together, which bounds its memory
ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)  # head and trunk, whose peaks are surest, first


class GroupingConfig(Config):
    """What counts as a joint and as the same person; the values with which W32 at 512 is evaluated on COCO."""

    peak_window: int = 5  # cells; a peak is the largest in it
    max_people: int = 30  # peaks kept of each joint, and people that a joint is offered to
    min_score: float = 0.1
    max_tag_distance: float = 1.0


class Peaks(NamedTuple):
    """The best local maxima of each joint, best first."""

    columns: Int[Tensor, "*batch 17 peaks"]
    rows: Int[Tensor, "*batch 17 peaks"]
    scores: Float[Tensor, "*batch 17 peaks"]
    tags: Float[Tensor, "*batch 17 peaks dims"]


class Grouped(NamedTuple):
    """People of one picture, in cells of its heatmaps; a joint with score 0 is absent."""

    columns: Int[Tensor, "people 17"]
    rows: Int[Tensor, "people 17"]
    scores: Float[Tensor, "people 17"]
    tags: Float[Tensor, "people 17 dims"]


def peaks(
    heat: Float[Tensor, "batch 17 rows columns"],
    tags: Float[Tensor, "batch 17 dims rows columns"],
    config: GroupingConfig,
) -> Peaks:
    """Local maxima of the heatmaps and the tags there, for a whole batch on its device."""
    window, (height, width) = config.peak_window, heat.shape[2:]
    # by place, not by value: of equal neighbours only the first is a peak, or one flat hill would begin many people
    highest = F.max_pool2d(heat, window, 1, window // 2, return_indices=True)[1].flatten(2)
    top = highest == torch.arange(height * width, device=heat.device)
    scores, cells = (heat.flatten(2) * top).topk(min(config.max_people, height * width), dim=2)
    at = cells[:, :, None].expand(-1, -1, tags.shape[2], -1)
    return Peaks(cells % width, cells // width, scores, tags.flatten(3).gather(3, at).transpose(2, 3))


class _Person:
    """A person under construction: for each joint the rank of its peak."""

    def __init__(self) -> None:
        self.peaks = np.full(JOINTS, -1)
        self.tags: list[np.ndarray] = []

    def take(self, joint: int, peak: int, tag: np.ndarray) -> None:
        self.peaks[joint] = peak
        self.tags.append(tag)


def group_people(found: Peaks, config: GroupingConfig) -> Grouped:
    """People of one picture from its peaks, in the order in which they were begun."""
    scores, tags = found.scores.float().numpy(), found.tags.float().numpy()
    # a picture of noise can overflow half precision; what is no number has no distance
    likely = (scores > config.min_score) & np.isfinite(scores) & np.isfinite(tags).all(axis=2)
    people: list[_Person] = []
    for joint in ORDER:
        candidates = np.flatnonzero(likely[joint])
        owners = _owners(tags[joint][candidates], scores[joint][candidates], people[: config.max_people], config)
        for peak, owner in zip(candidates, owners, strict=True):
            if owner is None:
                owner = _Person()
                people.append(owner)
            owner.take(joint, int(peak), tags[joint, peak])
    return _gather_people(found, people)


def _owners(
    tags: np.ndarray, scores: np.ndarray, people: list[_Person], config: GroupingConfig
) -> list[_Person | None]:
    """Whom each candidate belongs to, None for nobody yet."""
    owners: list[_Person | None] = [None] * len(tags)
    if not people or not len(tags):
        return owners
    means = np.stack([np.mean(person.tags, axis=0) for person in people])
    distances = np.linalg.norm(tags[:, None] - means[None], axis=2)
    # whole steps of distance come first, between equals the surer peak. In float32, as the published evaluation
    # computes it: its rounding decides most of the ties; the rest go by order, as there, and no term is added for them
    costs = np.round(distances) * 100 - scores[:, None]
    for candidate, person in zip(*scipy.optimize.linear_sum_assignment(costs), strict=True):
        if distances[candidate, person] < config.max_tag_distance:
            owners[candidate] = people[person]
    return owners


def _gather_people(found: Peaks, people: list[_Person]) -> Grouped:
    ranks = torch.from_numpy(np.stack([person.peaks for person in people]) if people else np.zeros((0, JOINTS), int))
    joints, at, absent = torch.arange(JOINTS), ranks.clamp(min=0), ranks < 0
    return Grouped(
        found.columns[joints, at].masked_fill(absent, 0),
        found.rows[joints, at].masked_fill(absent, 0),
        found.scores[joints, at].masked_fill(absent, 0.0),
        found.tags[joints, at].masked_fill(absent[..., None], 0.0),
    )


def refine_people(
    people: Grouped, heat: Float[Tensor, "17 rows columns"], tags: Float[Tensor, "17 dims rows columns"]
) -> Grouped:
    """Each person's absent joints, taken where heat minus whole steps of distance to the person's mean tag is largest.

    A filled joint has no tag of its own.

    Args:
        people: on the CPU; maps may lie on any device.
    """
    person, joint = torch.nonzero(people.scores <= 0, as_tuple=True)
    present = people.scores > 0
    means = (people.tags * present[..., None]).sum(1) / present.sum(1, keepdim=True)
    cells, scores = [joint.new_zeros(0)], [people.scores.new_zeros(0)]
    for some in torch.arange(len(person)).split(MAPS_AT_ONCE):
        maps, mean = joint[some].to(heat.device), means[person[some]].to(heat.device)
        distance = (tags[maps] - mean[..., None, None]).norm(dim=1)
        best = (heat[maps] - distance.round()).flatten(1).argmax(1)
        scores.append(heat.flatten(1)[maps, best].clamp(min=0))
        cells.append(best)
    cell = torch.cat([part.cpu() for part in cells])
    filled = Grouped(*(part.clone() for part in people))
    filled.columns[person, joint], filled.rows[person, joint] = cell % heat.shape[2], cell // heat.shape[2]
    filled.scores[person, joint] = torch.cat([part.cpu() for part in scores])
    return filled


def places(people: Grouped, heat: Float[Tensor, "17 rows columns"]) -> Float[Tensor, "people 17 2"]:
    """Joints as (x, y) in cells from the top left corner: a cell's middle, a quarter towards its larger neighbour.

    Args:
        people: on the CPU, where the places come too; the heatmaps may lie on any device.
    """
    joints = torch.arange(JOINTS, device=heat.device)
    columns, rows = people.columns.to(heat.device), people.rows.to(heat.device)

    def larger(down: int, right: int) -> Bool[Tensor, "people 17"]:
        ahead = heat[joints, (rows + down).clamp(max=heat.shape[1] - 1), (columns + right).clamp(max=heat.shape[2] - 1)]
        behind = heat[joints, (rows - down).clamp(min=0), (columns - right).clamp(min=0)]
        return ahead > behind

    quarter = torch.stack([larger(0, 1), larger(1, 0)], dim=2).float() * 0.5 - 0.25
    return (torch.stack([columns, rows], dim=2).float() + 0.5 + quarter).cpu()
