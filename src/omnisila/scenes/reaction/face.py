"""The face whose reaction is asked for: found by MTCNN, followed over the clip's frames, cut out, and what it does.

Where several people are seen, one is followed: who has the largest face in any frame, from there to both ends.

Where no action units are given, seven expressions and the geometry of five landmarks say what it does. These are no
facial action units: a brow or an eyelid is not seen at all. They stand in the modality's place under the name
``expression_proxy``, so that nobody takes them for such. Action units come from py-feat's tables
(``scenes.reaction.tables``).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from omnisila.scenes.boxes import areas, overlaps
from omnisila.scenes.crops import frame_pixels, square_crops, squares
from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.nets.mtcnn import MTCNN, Faces
from omnisila.scenes.reaction.clip import Modality

KIND = "expression_proxy"
GEOMETRY = (
    "roll_sin", "roll_cos", "face_width", "face_height", "mouth_width", "eyes_to_mouth", "nose_along", "nose_down",
    "mouth_tilt", "nose_to_left_corner", "nose_to_right_corner", "face_size_frac", "centre_x_frac", "centre_y_frac",
    "moved_along", "moved_down", "grown",
)  # fmt: skip
COLUMNS = (*EXPRESSIONS, *GEOMETRY)
_LIMIT = 5.0  # eye distances; landmarks of a profile can fall together
_NO_EYES_PX = 1.0
_SAME_FACE = 0.2  # least overlap with the face followed so far
_BATCH = 16


class FaceTrack(NamedTuple):
    """One face a picture; zero where the mask is false. Landmarks are eyes, nose and mouth corners as (x, y)."""

    boxes_frac: Float[Tensor, "pictures 4"]
    landmarks_frac: Float[Tensor, "pictures 5 2"]
    scores: Float[Tensor, "pictures"]
    mask: Bool[Tensor, "pictures"]
    faces: Int[Tensor, "pictures"]

    def at(self, picture: Int[Tensor, "frames"]) -> "FaceTrack":
        """The same for frames that show these pictures."""
        return FaceTrack(*(part[picture] for part in self))


def follow_face(detector: MTCNN, pictures: UInt8[Tensor, "pictures height width 3"]) -> FaceTrack:
    """The face to look at in each picture of a clip, in time order; none is a false mask."""
    found = [faces for part in pictures.split(_BATCH) for faces in detector.detect(part)]
    chosen = _choose_faces(found)
    track = FaceTrack(
        torch.zeros(len(found), 4),
        torch.zeros(len(found), 5, 2),
        torch.zeros(len(found)),
        torch.tensor([index is not None for index in chosen]),
        torch.tensor([len(faces.scores) for faces in found]),
    )
    for place, (faces, index) in enumerate(zip(found, chosen, strict=True)):
        if index is not None:
            track.boxes_frac[place] = faces.boxes_frac[index]
            track.landmarks_frac[place] = faces.landmarks_frac[index]
            track.scores[place] = faces.scores[index]
    return track


def crops(
    pictures: UInt8[Tensor, "pictures height width 3"], track: FaceTrack, size_px: int, margin: float = 1.0
) -> Float[Tensor, "faces 3 size size"]:
    """The followed face of each picture that has one, as a square with values 0..255."""
    seen = torch.nonzero(track.mask)[:, 0]
    where = squares(frame_pixels(track.boxes_frac[seen], pictures.shape[1], pictures.shape[2]), margin)
    return square_crops(pictures.permute(0, 3, 1, 2), seen, where, size_px)


def face_warnings(track: FaceTrack) -> Iterator[str]:
    """What to know of a track with one entry a frame."""
    frames, without = len(track.mask), int((~track.mask).sum())
    several = int((track.faces > 1).sum())
    if without == frames:
        yield "no face was found"
    elif without:
        yield f"no face in {without} of {frames} frames"
    if several:
        yield f"several faces in {several} of {frames} frames: the largest one is followed"


def _choose_faces(found: list[Faces]) -> list[int | None]:
    """Which face of each picture is followed, from the largest of all outwards."""
    chosen: list[int | None] = [None] * len(found)
    largest = [float(areas(faces.boxes_frac).amax()) if len(faces.scores) else 0.0 for faces in found]
    anchor = max(range(len(found)), key=largest.__getitem__, default=0)
    if not any(largest):
        return chosen
    for order in (range(anchor, len(found)), range(anchor, -1, -1)):
        last: Tensor | None = None
        for place in order:
            boxes = found[place].boxes_frac
            if len(boxes) == 0:
                continue
            shared = overlaps(last[None], boxes)[0] if last is not None else torch.zeros(len(boxes))
            index = int(shared.argmax() if shared.amax() >= _SAME_FACE else areas(boxes).argmax())
            chosen[place], last = index, boxes[index]
    return chosen


def expression_proxy(
    expressions: Float[Tensor, "frames 7"], track: FaceTrack, width_px: int, height_px: int
) -> Modality:
    """``COLUMNS`` of each frame's face; lengths in eye distances, motion since the frame before."""
    return Modality.where(torch.cat([expressions, _geometry(track, width_px, height_px)], 1), track.mask)


def _geometry(track: FaceTrack, width_px: int, height_px: int) -> Float[Tensor, "frames 17"]:
    size = torch.tensor([width_px, height_px], dtype=torch.float32)
    left_eye, right_eye, nose, left_corner, right_corner = (track.landmarks_frac * size).unbind(1)
    across = right_eye - left_eye
    unit_px = across.norm(dim=1).clamp(min=_NO_EYES_PX)
    along = across / unit_px[:, None]
    down = torch.stack([-along[:, 1], along[:, 0]], 1)
    eyes, mouth = (left_eye + right_eye) / 2, (left_corner + right_corner) / 2
    box = track.boxes_frac.reshape(-1, 2, 2) * size
    extent, centre = box[:, 1] - box[:, 0], box.mean(1)

    def lengths(vector: Tensor) -> Tensor:
        return vector.norm(dim=1) / unit_px

    def part(vector: Tensor, direction: Tensor) -> Tensor:
        return (vector * direction).sum(1) / unit_px

    moved = F.pad(centre[1:] - centre[:-1], (0, 0, 1, 0))
    grown = F.pad((unit_px[1:] / unit_px[:-1]).log(), (1, 0))
    follows = F.pad(track.mask[1:] & track.mask[:-1], (1, 0))  # without a face before, nothing has moved
    relative = torch.stack(
        [
            along[:, 1],
            along[:, 0],
            extent[:, 0] / unit_px,
            extent[:, 1] / unit_px,
            lengths(right_corner - left_corner),
            lengths(mouth - eyes),
            part(nose - eyes, along),
            part(nose - eyes, down),
            part(right_corner - left_corner, down),
            lengths(left_corner - nose),
            lengths(right_corner - nose),
            (extent.prod(1) / size.prod()).sqrt(),
            *(centre / size).unbind(1),
            part(moved, along) * follows,
            part(moved, down) * follows,
            grown * follows,
        ],
        dim=1,
    )
    return relative.clamp(-_LIMIT, _LIMIT)
