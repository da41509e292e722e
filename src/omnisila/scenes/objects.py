"""Detected objects and their tracks: what the action, relation and background scenes start from."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import scipy  # whose parts load when they are named
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.boxes import box_record, overlaps
from omnisila.scenes.extractor import Layout, Sampled, SceneStream
from omnisila.scenes.nets.nanodet import COCO_CLASSES, Detections, NanoDet
from omnisila.schema import ObjectEvidence

PERSON = COCO_CLASSES.index("person")

# What the experts tell apart; finer classes are evidence only, for small data cannot teach eighty.
GROUPS: dict[str, tuple[str, ...]] = {
    "person": ("person",),
    "two-wheeler": ("bicycle", "motorcycle"),
    "car": ("car",),
    "large vehicle": ("bus", "truck", "train", "boat", "airplane"),
    "traffic sign": ("traffic light", "stop sign", "fire hydrant", "parking meter"),
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "bag": ("backpack", "handbag", "suitcase", "umbrella"),
    "weapon-like": ("knife", "scissors", "baseball bat"),
    "portable": (
        "bottle", "wine glass", "cup", "fork", "spoon", "bowl", "cell phone", "remote", "book", "laptop", "mouse",
        "teddy bear", "sports ball", "frisbee", "tie", "hair drier", "toothbrush", "tennis racket",
    ),
    "furniture": ("bench", "chair", "couch", "bed", "dining table", "toilet", "potted plant", "refrigerator", "sink"),
    "screen": ("tv", "keyboard", "microwave", "oven", "toaster", "clock", "vase"),
}  # fmt: skip
OTHER = len(GROUPS)
_GROUP_OF = {name: number for number, names in enumerate(GROUPS.values()) for name in names}
GROUP_OF_CLASS = tuple(_GROUP_OF.get(name, OTHER) for name in COCO_CLASSES)

LAYOUT = Layout(
    {"box": 4, "score": 1, "velocity": 2, "group": len(GROUPS) + 1}, {"track": 1, "class": 1}, {"class": COCO_CLASSES}
)
# Evidence of people is their poses, whatever an object detector calls them.
PEOPLE = frozenset({"person", "people", "man", "men", "woman", "boy", "girl", "child", "kid", "guy", "lady"})


class ObjectsConfig(Config):
    """Detection rate and tracking."""

    rate_hz: float = 2.0
    max_objects: int = 12
    min_score: float = 0.35
    min_overlap: float = 0.1  # of a predicted box and a detection, to be one object
    max_misses: int = 2  # detections a track may miss before it ends
    batch_size: int = 8

    def build(self) -> "ObjectDetector":
        return ObjectDetector(self, NanoDet.pretrained())


class Track(NamedTuple):
    """An object as last seen; velocity in frame fractions per second."""

    number: int
    class_index: int
    box: Float[Tensor, "4"]
    velocity: Float[Tensor, "4"]
    score: float
    time_s: float
    misses: int

    def at(self, time_s: float) -> Float[Tensor, "4"]:
        """The box carried on at constant velocity, for half a second at most."""
        return (self.box + self.velocity * min(time_s - self.time_s, 0.5)).clamp(0, 1)


class TrackerState(NamedTuple):
    """Living tracks and the next free number."""

    tracks: tuple[Track, ...] = ()
    next_number: int = 0


class Looked(NamedTuple):
    """Objects of a run of frames; ``relations`` are their triplets, where the same network finds both."""

    seen: list[tuple[Track, ...]]
    objects: Sampled
    relations: Sampled | None
    tracker: TrackerState


@runtime_checkable
class ObjectSource(Protocol):
    """What finds objects and follows them; its ``layout`` is that of an object, with the words of ``class``."""

    layout: Layout
    rate_hz: float

    def look(
        self,
        images: UInt8[Tensor, "distinct height width 3"],
        copy_of: Tensor,
        times_s: list[float],
        tracker: TrackerState,
    ) -> Looked:
        """What consecutive frames show.

        Args:
            copy_of: for each frame the number of its picture.
            tracker: what the frames before these left behind.
        """
        ...


class ObjectDetector(nn.Module):
    """Objects of sampled frames, numbered by track."""

    def __init__(self, config: ObjectsConfig, detector: NanoDet) -> None:
        super().__init__()
        self.config, self.detector = config, detector
        self.layout, self.rate_hz = LAYOUT, config.rate_hz

    @torch.inference_mode()
    def look(
        self,
        images: UInt8[Tensor, "distinct height width 3"],
        copy_of: Tensor,
        times_s: list[float],
        tracker: TrackerState,
    ) -> Looked:
        """As ``ObjectSource``."""
        found: list[Detections] = []
        for batch in images.split(self.config.batch_size):
            found += self.detector.detect(batch, self.config.min_score)
        return follow_objects([found[index] for index in copy_of.tolist()], times_s, tracker, LAYOUT, self.config)


def follow_objects(
    found: Sequence[Detections],
    times_s: Sequence[float],
    tracker: TrackerState,
    layout: Layout,
    config: ObjectsConfig,
    relations: Sampled | None = None,
) -> Looked:
    """What was detected in consecutive frames, numbered by track."""
    seen: list[tuple[Track, ...]] = []
    for detections, time_s in zip(found, times_s, strict=True):
        tracker = follow_tracks(tracker, detections, time_s, config)
        seen.append(current_tracks(tracker, time_s, config.max_objects))
    return Looked(seen, Sampled(*track_vectors(seen, layout, config.max_objects)), relations, tracker)


def current_tracks(state: TrackerState, time_s: float, count: int) -> tuple[Track, ...]:
    """The tracks seen at that very time, likeliest first, at most so many."""
    seen = [track for track in state.tracks if track.time_s == time_s]
    return tuple(sorted(seen, key=lambda track: -track.score)[:count])


def track_vectors(
    seen: list[tuple[Track, ...]], layout: Layout, count: int
) -> tuple[Float[Tensor, "frames objects width"], Bool[Tensor, "frames objects"]]:
    """Tracks as entity vectors, with a mask.

    Args:
        layout: box, score, velocity, track and class; a ``group`` where its classes are COCO's.
        count: of entities per frame; more are left out.
    """
    values = torch.zeros(len(seen), count, layout.width)
    mask = torch.zeros(len(seen), count, dtype=torch.bool)
    for row, tracks in enumerate(seen):
        for slot, track in enumerate(tracks[:count]):
            entity = values[row, slot]
            layout.read(entity, "box").copy_(track.box)
            layout.read(entity, "score").fill_(track.score)
            centre = (track.velocity[:2] + track.velocity[2:]) / 2
            layout.read(entity, "velocity").copy_(centre)
            if "group" in layout.features:
                layout.read(entity, "group")[GROUP_OF_CLASS[track.class_index]] = 1.0
            layout.read(entity, "track").fill_(track.number)
            layout.read(entity, "class").fill_(track.class_index)
            mask[row, slot] = True
    return values, mask


def follow_tracks(state: TrackerState, found: Detections, time_s: float, config: ObjectsConfig) -> TrackerState:
    """Tracks after one more detection frame: matched by overlap with where each was expected, of its own class."""
    tracks, number = list(state.tracks), state.next_number
    updated: list[Track] = []
    matched: dict[int, int] = {}
    if tracks and len(found.scores):
        expected = torch.stack([track.at(time_s) for track in tracks])
        shared = overlaps(expected, found.boxes_frac)
        same = torch.tensor([track.class_index for track in tracks])[:, None] == found.classes[None]
        shared = torch.where(same, shared, torch.zeros_like(shared))
        rows, columns = scipy.optimize.linear_sum_assignment(shared.numpy(), maximize=True)
        matched = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if shared[r, c] >= config.min_overlap}
    for index in range(len(found.scores)):
        box, score = found.boxes_frac[index], float(found.scores[index])
        if index in matched:
            old = tracks[matched[index]]
            velocity = (box - old.box) / max(time_s - old.time_s, 1e-3)
            updated.append(Track(old.number, old.class_index, box, velocity, score, time_s, 0))
        else:
            updated.append(Track(number, int(found.classes[index]), box, torch.zeros(4), score, time_s, 0))
            number += 1
    lost = [track for row, track in enumerate(tracks) if row not in matched.values()]
    kept = [track._replace(misses=track.misses + 1) for track in lost if track.misses < config.max_misses]
    return TrackerState((*updated, *kept), number)


def evidence(stream: SceneStream, layout: Layout = LAYOUT) -> tuple[ObjectEvidence, ...]:
    """The objects of a stretch as records, people apart, in time order."""
    return tuple(
        ObjectEvidence(
            time_s=time_s,
            track=int(layout.read(thing, "track")),
            name=name,
            box=box_record(layout.read(thing, "box")),
            score=float(layout.read(thing, "score").clamp(0, 1)),
        )
        for time_s, thing in stream.entities()
        if (name := layout.words["class"][int(layout.read(thing, "class"))]) not in PEOPLE
    )
