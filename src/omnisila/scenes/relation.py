"""Object relation modelling: geometric predicates over tracked objects, in RelTR's subject-predicate-object form.

Source: Omni-SILA 3.1 (x_o); the embedded profile has its own vocabulary and width, since no packaged network predicts
relations.
"""

from itertools import permutations
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnisila.config import Config
from omnisila.scenes.boxes import areas, box_record, intersections
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled, SceneStream
from omnisila.scenes.nets.nanodet import COCO_CLASSES
from omnisila.scenes.objects import GROUP_OF_CLASS, GROUPS, PERSON, Track
from omnisila.schema import TripletEvidence

# In the order of what says most about an event; a pair gets the first that holds.
PREDICATES = ("holding", "riding", "touching", "on", "moving towards", "moving away from", "within reach of", "near")
_PORTABLE = {list(GROUPS).index(name) for name in ("bag", "weapon-like", "portable")}
_RIDEABLE = {list(GROUPS).index("two-wheeler")}
_SEAT = {list(GROUPS).index("furniture")}

LAYOUT = Layout(
    {
        "subject": len(GROUPS) + 1,
        "predicate": len(PREDICATES),
        "object": len(GROUPS) + 1,
        "subject_box": 4,
        "object_box": 4,
        "gap": 1,  # between the boxes, in mean heights
        "closing": 1,  # speed of approach, mean heights per second
        "overlap": 2,  # intersection as a share of the subject, and of the object
        "score": 1,
    },
    {"classes": 2, "tracks": 2},
    {"classes": COCO_CLASSES, "predicate": PREDICATES},
)


class RelationConfig(Config):
    """Thresholds of the predicates; lengths in mean heights of the two boxes."""

    rate_hz: float = 2.0
    max_triplets: int = 5
    max_objects: int = 8  # the likeliest objects are paired
    reach: float = 0.35
    near: float = 0.8
    min_closing_speed: float = 0.5  # per second
    touching_share: float = 0.08

    def build(self) -> "RelationExtractor":
        return RelationExtractor(self)


class Pair(NamedTuple):
    """Geometry of one ordered pair."""

    subject: Track
    object: Track
    gap: float
    closing: float
    subject_share: float
    object_share: float


class RelationExtractor(SceneExtractor):
    """Entities: up to five triplets, the most telling predicates first."""

    layout = LAYOUT

    def __init__(self, config: RelationConfig) -> None:
        self.config = config
        self.rate_hz = config.rate_hz

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "RelationExtractor":
        return profile.relation.build()

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        return Sampled(*self(chunk.seen)), state

    def __call__(
        self, objects: list[tuple[Track, ...]]
    ) -> tuple[Float[Tensor, "frames triplets width"], Bool[Tensor, "frames triplets"]]:
        """Triplets of each frame's tracks."""
        values = torch.zeros(len(objects), self.config.max_triplets, LAYOUT.width)
        mask = torch.zeros(len(objects), self.config.max_triplets, dtype=torch.bool)
        for frame, tracks in enumerate(objects):
            found = [(p, pair) for pair in self._pairs(tracks) if (p := predicate(pair, self.config)) is not None]
            found.sort(key=lambda item: (item[0], -min(item[1].subject.score, item[1].object.score)))
            for slot, (number, pair) in enumerate(found[: self.config.max_triplets]):
                values[frame, slot] = _row(number, pair)
                mask[frame, slot] = True
        return values, mask

    def _pairs(self, tracks: tuple[Track, ...]) -> list[Pair]:
        tracks = tracks[: self.config.max_objects]
        if len(tracks) < 2:
            return []
        boxes = torch.stack([track.box for track in tracks])
        speeds = torch.stack([(track.velocity[:2] + track.velocity[2:]) / 2 for track in tracks])
        heights = (boxes[:, 3] - boxes[:, 1]).clamp(min=1e-3)
        length = (heights[:, None] + heights[None]) / 2
        corners = torch.maximum(boxes[:, None, :2], boxes[None, :, :2]) - torch.minimum(
            boxes[:, None, 2:], boxes[None, :, 2:]
        )
        gaps = (corners.clamp(min=0).norm(dim=2) / length).tolist()
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        away = centres[None] - centres[:, None]
        direction = away / away.norm(dim=2, keepdim=True).clamp(min=1e-3)
        closing = (((speeds[:, None] - speeds[None]) * direction).sum(2) / length).tolist()
        shared, size = intersections(boxes, boxes), areas(boxes).clamp(min=1e-9)
        of_subject, of_object = (shared / size[:, None]).tolist(), (shared / size[None]).tolist()
        return [
            Pair(tracks[i], tracks[j], gaps[i][j], closing[i][j], of_subject[i][j], of_object[i][j])
            for i, j in permutations(range(len(tracks)), 2)
        ]


def predicate(pair: Pair, config: RelationConfig) -> int | None:
    """The most telling predicate that holds of an ordered pair, or none."""
    subject, thing = GROUP_OF_CLASS[pair.subject.class_index], GROUP_OF_CLASS[pair.object.class_index]
    person = pair.subject.class_index == PERSON
    # symmetric predicates are stated once: people first, then the older track
    leads = (not person, pair.subject.number) < (pair.object.class_index != PERSON, pair.object.number)
    touches = max(pair.subject_share, pair.object_share) >= config.touching_share
    holds = {
        "holding": person and thing in _PORTABLE and pair.object_share > 0.5,
        "riding": person and thing in _RIDEABLE and pair.object_share > 0.3,
        "touching": leads and touches and thing not in _SEAT,
        "on": person and thing in _SEAT and pair.subject_share > 0.2,
        "moving towards": pair.closing > config.min_closing_speed and pair.gap <= 3 * config.near,
        "moving away from": -pair.closing > config.min_closing_speed and pair.gap <= 3 * config.near,
        "within reach of": leads and person and pair.gap <= config.reach,
        "near": leads and subject != len(GROUPS) and pair.gap <= config.near,
    }
    return next((number for number, name in enumerate(PREDICATES) if holds[name]), None)


def _row(number: int, pair: Pair) -> Float[Tensor, "width"]:
    row = torch.zeros(LAYOUT.width)
    LAYOUT.read(row, "subject")[GROUP_OF_CLASS[pair.subject.class_index]] = 1.0
    LAYOUT.read(row, "predicate")[number] = 1.0
    LAYOUT.read(row, "object")[GROUP_OF_CLASS[pair.object.class_index]] = 1.0
    LAYOUT.read(row, "subject_box").copy_(pair.subject.box)
    LAYOUT.read(row, "object_box").copy_(pair.object.box)
    LAYOUT.read(row, "gap").fill_(min(pair.gap, 5.0))
    LAYOUT.read(row, "closing").fill_(max(min(pair.closing, 5.0), -5.0))
    LAYOUT.read(row, "overlap").copy_(torch.tensor([pair.subject_share, pair.object_share]))
    LAYOUT.read(row, "score").fill_(min(pair.subject.score, pair.object.score))
    LAYOUT.read(row, "classes").copy_(torch.tensor([pair.subject.class_index, pair.object.class_index]))
    LAYOUT.read(row, "tracks").copy_(torch.tensor([pair.subject.number, pair.object.number]))
    return row


def evidence(stream: SceneStream, layout: Layout = LAYOUT) -> tuple[TripletEvidence, ...]:
    """The triplets of a stretch as records, in time order."""
    things, predicates = layout.words["classes"], layout.words["predicate"]
    return tuple(
        TripletEvidence(
            time_s=time_s,
            subject=things[int(layout.read(triplet, "classes")[0])],
            predicate=predicates[int(layout.read(triplet, "predicate").argmax())],
            object=things[int(layout.read(triplet, "classes")[1])],
            score=float(layout.read(triplet, "score").clamp(0, 1)),
            subject_box=box_record(layout.read(triplet, "subject_box")),
            object_box=box_record(layout.read(triplet, "object_box")),
        )
        for time_s, triplet in stream.entities()
    )
