"""Summaries of a window: what its scenes look like, and how they change from one frame to the next.

A place's look tells data sets and cameras apart; how it changes carries over to cameras that were never seen (decision
D140). Everything here is read off the features that the embedded extractors give, so nothing is extracted again.
"""

import math
from collections.abc import Collection

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnisila.scenes import action, face, relation
from omnisila.scenes.extractor import Entities, SceneInputs
from omnisila.scenes.motion import LOG_FLOOR
from omnisila.scenes.nets.efficientnet_lite import FEATURES
from omnisila.scenes.visual import MIDDLE, WHOLE

_POSE_FEATURES = ("dynamics", "neighbour", "hands", "box", "score")
_PEOPLE_COLUMNS = torch.cat([torch.arange(action.LAYOUT.width)[action.LAYOUT.slice(name)] for name in _POSE_FEATURES])
_MOTION, _POSE, _VELOCITY = (action.LAYOUT.slice(name) for name in ("motion", "pose", "velocity"))

_FACE_FEATURES = ("expressions", "embedding", "appearance")
_FACE_COLUMNS = torch.cat([torch.arange(face.LAYOUT.width)[face.LAYOUT.slice(name)] for name in _FACE_FEATURES])

# Summary -> width. The first are looks, which a picture shows; the others need more than one frame to say anything.
LOOKS = dict.fromkeys(("level", "peak", "middle", "middle_peak"), FEATURES) | {"face": len(_FACE_COLUMNS)}
SUMMARIES = {
    **LOOKS,
    "spread": FEATURES,
    "jerk": 2 * FEATURES,
    "motion": 3 * (_MOTION.stop - _MOTION.start),
    "people": 3 * len(_PEOPLE_COLUMNS) + 2,
    "pose": 2 * (_POSE.stop - _POSE.start),
    "limbs": 3 * (_VELOCITY.stop - _VELOCITY.start),
    "relation": 2 * relation.LAYOUT.feature_width,
}


def summaries(
    scenes: SceneInputs, visual: Entities, names: Collection[str] = tuple(SUMMARIES)
) -> dict[str, Float[Tensor, "batch _"]]:
    """The named summaries of each window.

    ``level`` and ``peak``: the visual features averaged and maximised over the frame, meaned over the window's frames;
    ``middle`` and ``middle_peak``: those of its middle, or of the whole where no frame has it, as when frames far
    apart show a long stretch.
    ``face``: what the faces of all frames express, their mean. ``spread``: deviation of ``level``'s over the frames;
    ``jerk``: mean and maximum of |their second difference|. ``motion``, ``people``, ``limbs``: mean, maximum and
    deviation of the view's motion, of what people do to each other, to things and by themselves, and of their joints'
    speeds; ``pose``: mean and deviation of their joints. ``relation``: mean, weighted by how often there is one, and
    maximum of the triplets. What is absent is 0, but motion, whose numbers are logarithms, is at its floor.
    """
    views = {
        "level": lambda: _level(visual, WHOLE, slice(0, FEATURES)),
        "peak": lambda: _level(visual, WHOLE, slice(FEATURES, 2 * FEATURES)),
        "middle": lambda: _level(visual, MIDDLE, slice(0, FEATURES)),
        "middle_peak": lambda: _level(visual, MIDDLE, slice(FEATURES, 2 * FEATURES)),
        "face": lambda: _face(scenes["face"]),
        "spread": lambda: _statistics(visual.values[:, :, WHOLE, :FEATURES], visual.mask[:, :, WHOLE])[2],
        "jerk": lambda: _jerk(visual),
        "motion": lambda: _motion(scenes["action"]),
        "people": lambda: _people(scenes["action"]),
        "pose": lambda: _pose(scenes["action"]),
        "limbs": lambda: _limbs(scenes["action"]),
        "relation": lambda: _relation(scenes["relation"]),
    }
    return {name: views[name]() for name in names}


def _level(visual: Entities, view: int, part: slice) -> Tensor:
    seen = visual.mask[:, :, view]
    level = _statistics(visual.values[:, :, view, part], seen)[0]
    return level if view == WHOLE else torch.where(seen.any(1, keepdim=True), level, _level(visual, WHOLE, part))


def _face(scene: Entities) -> Tensor:
    return _statistics(scene.values.flatten(1, 2)[..., _FACE_COLUMNS], scene.mask.flatten(1))[0]


def _jerk(visual: Entities) -> Tensor:
    values, mask = visual.values[:, :, WHOLE, :FEATURES], visual.mask[:, :, WHOLE]
    second = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    mean, most, _ = _statistics(second.abs(), mask[:, 2:] & mask[:, 1:-1] & mask[:, :-2])
    return torch.cat([mean, most], 1)


def _motion(scene: Entities) -> Tensor:
    moving = scene.mask[:, :, action.VIEW]
    statistics = torch.cat(_statistics(scene.values[:, :, action.VIEW, _MOTION], moving), 1)
    width = _MOTION.stop - _MOTION.start
    still = torch.cat([torch.full((2 * width,), math.log(LOG_FLOOR)), torch.zeros(width)]).to(statistics)
    return torch.where(moving.any(1, keepdim=True), statistics, still)


def _people(scene: Entities) -> Tensor:
    values, mask = _persons(scene)
    count = scene.mask[:, :, : action.VIEW].sum(2).to(values)
    return torch.cat([*_statistics(values[..., _PEOPLE_COLUMNS], mask), count.mean(1, True), count.amax(1, True)], 1)


def _pose(scene: Entities) -> Tensor:
    values, mask = _persons(scene)
    mean, _, deviation = _statistics(values[..., _POSE], mask)
    return torch.cat([mean, deviation], 1)


def _limbs(scene: Entities) -> Tensor:
    values, mask = _persons(scene)
    return torch.cat(_statistics(values[..., _VELOCITY].abs(), mask), 1)


def _relation(scene: Entities) -> Tensor:
    mask = scene.mask.flatten(1)
    mean, most, _ = _statistics(scene.values.flatten(1, 2), mask)
    return torch.cat([mean * mask.to(mean).mean(1, keepdim=True), most], 1)


def _persons(scene: Entities) -> tuple[Float[Tensor, "batch persons width"], Bool[Tensor, "batch persons"]]:
    """The people of all frames side by side, without the view."""
    return scene.values[:, :, : action.VIEW].flatten(1, 2), scene.mask[:, :, : action.VIEW].flatten(1)


def _statistics(
    values: Float[Tensor, "batch items width"], mask: Bool[Tensor, "batch items"]
) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch width"], Float[Tensor, "batch width"]]:
    """Mean, maximum and deviation over the items that are present; zeros where none is."""
    values, there = values.float(), mask.unsqueeze(-1)
    count = there.sum(1).clamp(min=1)
    mean = (values * there).sum(1) / count
    variance = ((values - mean.unsqueeze(1)).square() * there).sum(1) / count
    most = values.masked_fill(~there, -torch.inf).amax(1)
    return mean, torch.where(there.any(1), most, 0.0), variance.sqrt()
