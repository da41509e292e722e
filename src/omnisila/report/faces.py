"""Where faces are, for hiding them: looks rather too often and too widely than too little.

The analysis looks for faces once a second, at most five, and only readable ones. That is no ground to hide faces on, so
the pictures that are shown are searched again: for faces with low thresholds, and for people. Where a person shows no
face, the upper part of the person's box is taken for the head, whichever way it looks.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.config import Config
from omnisila.media.frames import Frame
from omnisila.media.video import VideoReader
from omnisila.scenes.boxes import areas, box_record, intersections
from omnisila.scenes.nets.mtcnn import MTCNN, CascadeConfig
from omnisila.scenes.nets.nanodet import COCO_CLASSES, NanoDet
from omnisila.schema import Box

_PERSON = COCO_CLASSES.index("person")
_MARGIN_FRAC = 0.1  # of a box, added on each side
_MOST = 0.6  # of a face lies within the box of the person it belongs to
_SAME_REACH = 1.5  # two boxes whose centres are nearer than this many sizes may be one head on its way


class FaceFinderConfig(Config):
    """Thresholds low enough that a missed face is rarer than a blurred wall.

    Attributes:
        rate_hz: how often a moving picture is searched; between two searches the way from face to face is hidden.
        min_face_frac: smallest face as a share of the picture's longer side.
        head_height_frac: height of an upright person's head as a share of the box, at least.
        head_width_ratio: height of the head as a share of the box's width, at least: covers people cut by the frame.
    """

    rate_hz: float = 5.0
    long_side_px: int = 480
    min_face_frac: float = 0.03
    face_thresholds: tuple[float, float, float] = (0.5, 0.6, 0.6)
    min_person_score: float = 0.35
    head_height_frac: float = 0.2
    head_width_ratio: float = 0.5

    def build(self) -> "FaceFinder":
        cascade = CascadeConfig(min_face_frac=self.min_face_frac, thresholds=self.face_thresholds)
        return FaceFinder(self, cascade.build(), NanoDet.pretrained())


class _Search(NamedTuple):
    time_s: float
    boxes: Float[Tensor, "heads 4"]


class FaceFinder:
    """Two detectors over the pictures that will be shown."""

    def __init__(self, config: FaceFinderConfig, faces: MTCNN, objects: NanoDet) -> None:
        self.config, self.faces, self.objects = config, faces, objects

    def at(self, image: UInt8[Tensor, "height width 3"]) -> tuple[Box, ...]:
        """Everything that may be a face in a picture."""
        return tuple(box_record(box) for box in self._heads(image))

    def along(self, frames: Iterable[Frame]) -> Callable[[float], Sequence[Box]]:
        """Search frames in time order; the result says for any time between them what to hide.

        A face that moves from one search to the next is hidden on its whole way.
        """
        searches = [_Search(frame.time_s, self._heads(frame.image)) for frame in frames]

        def at(time_s: float) -> tuple[Box, ...]:
            if not searches:
                return ()
            after = next((i for i, search in enumerate(searches) if search.time_s > time_s), len(searches))
            before = searches[max(after - 1, 0)]
            return tuple(box_record(box) for box in _ways(before.boxes, searches[min(after, len(searches) - 1)].boxes))

        return at

    def over(self, reader: VideoReader, start_s: float, end_s: float) -> Callable[[float], Sequence[Box]]:
        """Search a stretch of a video as often as a moving picture needs; see ``along``."""
        return self.along(
            reader.at_rate(self.config.rate_hz, start_s=start_s, end_s=end_s, long_side_px=self.config.long_side_px)
        )

    @torch.inference_mode()
    def _heads(self, image: UInt8[Tensor, "height width 3"]) -> Float[Tensor, "heads 4"]:
        faces = self.faces.detect(image[None])[0].boxes_frac
        found = self.objects.detect(image[None], self.config.min_person_score)[0]
        height_px, width_px = image.shape[:2]
        people = found.boxes_frac[found.classes == _PERSON]
        faceless = (intersections(people, faces) < _MOST * areas(faces)).all(1)
        return _widen(torch.cat([faces, self._upper(people[faceless], width_px / height_px)]))

    def _upper(self, people: Float[Tensor, "people 4"], aspect: float) -> Float[Tensor, "people 4"]:
        """The part of each person's box that may hold the head; all of it where the person is as wide as high."""
        people = people.clone()
        width, height = people[:, 2] - people[:, 0], people[:, 3] - people[:, 1]
        head = torch.maximum(self.config.head_height_frac * height, self.config.head_width_ratio * aspect * width)
        people[:, 3] = people[:, 1] + torch.minimum(head, height)
        return people


def _widen(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    margin = (boxes[:, 2:] - boxes[:, :2]) * _MARGIN_FRAC
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1).clamp(0, 1)


def _ways(first: Float[Tensor, "n 4"], second: Float[Tensor, "m 4"]) -> Float[Tensor, "boxes 4"]:
    """All boxes of both, and for pairs that may be one head the hull of the two."""
    boxes = [first, second]
    if len(first) and len(second):
        size = ((first[:, 2:] - first[:, :2]).amax(1)[:, None] + (second[:, 2:] - second[:, :2]).amax(1)[None]) / 2
        centres = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
        near = centres.norm(dim=2) <= _SAME_REACH * size
        # each head goes to its nearest successor, and each successor comes from its nearest predecessor
        distance = centres.norm(dim=2).masked_fill(~near, torch.inf)
        pairs = {(i, int(distance[i].argmin())) for i in range(len(first)) if near[i].any()}
        pairs |= {(int(distance[:, j].argmin()), j) for j in range(len(second)) if near[:, j].any()}
        hulls = [
            torch.cat([torch.minimum(first[i, :2], second[j, :2]), torch.maximum(first[i, 2:], second[j, 2:])])
            for i, j in sorted(pairs)
        ]
        boxes += [torch.stack(hulls)] if hulls else []
    return torch.cat(boxes)
