"""What the face does, where no action units are given: seven expressions and the geometry of five landmarks.

These are no facial action units: a brow or an eyelid is not seen at all. They stand in the modality's place under the
name ``expression_proxy``, so that nobody takes them for such. Action units come from py-feat's tables
(``scenes.reaction.tables``).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.reaction.faces import FaceTrack
from omnisila.scenes.reaction.features import Modality

KIND = "expression_proxy"
GEOMETRY = (
    "roll_sin", "roll_cos", "face_width", "face_height", "mouth_width", "eyes_to_mouth", "nose_along", "nose_down",
    "mouth_tilt", "nose_to_left_corner", "nose_to_right_corner", "face_size_frac", "centre_x_frac", "centre_y_frac",
    "moved_along", "moved_down", "grown",
)  # fmt: skip
COLUMNS = (*EXPRESSIONS, *GEOMETRY)
_LIMIT = 5.0  # eye distances; landmarks of a profile can fall together
_NO_EYES_PX = 1.0


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
