"""The face whose reaction is asked for: found by MTCNN, followed over the clip's frames and cut out.

Where several people are seen, one is followed: who has the largest face in any frame, from there to both ends.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from omnisila.scenes.boxes import areas, overlaps
from omnisila.scenes.crops import frame_pixels, square_crops, squares
from omnisila.scenes.nets.mtcnn import MTCNN, Faces

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
