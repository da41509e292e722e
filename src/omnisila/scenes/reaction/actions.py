"""What the followed face does: blendshapes of MediaPipe's face landmarker beside seven expressions.

They stand where no table of action units is given. Blendshapes are intensities of one side of an action unit each, by
another network and in another scale than py-feat's, so they keep a name of their own.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.nets.face_landmarks import BLENDSHAPES, INPUT_PX, OUTER_EYES, Blendshapes, FaceLandmarks
from omnisila.scenes.reaction.face import FaceTrack

KIND = "blendshapes"
COLUMNS = (*EXPRESSIONS, *BLENDSHAPES[1:], "presence")  # without the neutral one, which MediaPipe says to ignore

_MARGIN = 1.5  # a crop's side in sides of the face; MediaPipe's
_LEAST_PRESENCE = 0.5  # MediaPipe's; below, landmarks say nothing of where the face is
_LEAST_PX = 1.0
_BATCH = 16


class _Regions(NamedTuple):
    """Squares that are turned as the heads in them; lengths in pixels."""

    centre: Float[Tensor, "faces 2"]
    side: Float[Tensor, "faces"]
    along: Float[Tensor, "faces 2"]  # from eye to eye, length 1

    @classmethod
    def around(
        cls,
        top_left: Float[Tensor, "faces 2"],
        bottom_right: Float[Tensor, "faces 2"],
        across: Float[Tensor, "faces 2"],
    ) -> Self:
        """Around boxes whose faces' eyes lie that far apart."""
        level = torch.tensor([1.0, 0.0]).expand_as(across)
        apart = across.norm(dim=1, keepdim=True)
        along = torch.where(apart >= _LEAST_PX, across / apart.clamp(min=_LEAST_PX), level)
        side = (bottom_right - top_left).amax(1).clamp(min=_LEAST_PX) * _MARGIN
        return cls((top_left + bottom_right) / 2, side, along)

    def pixels(self, places: Float[Tensor, "faces points 2"]) -> Float[Tensor, "faces points 2"]:
        """Where in the picture fractions of the squares are."""
        down = torch.stack([-self.along[:, 1], self.along[:, 0]], 1)
        axes = torch.stack([self.along, down], 1) * self.side[:, None, None]
        return self.centre[:, None] + (places - 0.5) @ axes


class ActionReader:
    """Landmarks first in the square that the detector gives, then in their own, as MediaPipe follows a face."""

    def __init__(self, landmarks: FaceLandmarks, blendshapes: Blendshapes) -> None:
        self.landmarks, self.blendshapes = landmarks, blendshapes

    @classmethod
    def pretrained(cls) -> Self:
        """With the embedded weights."""
        return cls(FaceLandmarks.pretrained(), Blendshapes.pretrained())

    @torch.inference_mode()
    def read(
        self, pictures: UInt8[Tensor, "pictures height width 3"], track: FaceTrack
    ) -> Float[Tensor, "faces columns"]:
        """Blendshapes and presence of the followed face of each picture that has one."""
        found = [torch.zeros(0, len(COLUMNS) - len(EXPRESSIONS))]
        size = torch.tensor([pictures.shape[2], pictures.shape[1]])
        for seen in torch.nonzero(track.mask)[:, 0].split(_BATCH):
            box = track.boxes_frac[seen].view(-1, 2, 2) * size
            eyes = track.landmarks_frac[seen, :2] * size
            first = _Regions.around(box[:, 0], box[:, 1], eyes[:, 1] - eyes[:, 0])
            points, presence = self._mesh(pictures, seen, first)
            left, right = OUTER_EYES
            own = _Regions.around(points.amin(1), points.amax(1), points[:, right] - points[:, left])
            sure = presence >= _LEAST_PRESENCE
            again = _Regions(
                *(torch.where(sure.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(own, first, strict=True))
            )
            points, presence = self._mesh(pictures, seen, again)
            found.append(torch.cat([self.blendshapes(points)[:, 1:], presence[:, None]], 1))
        return torch.cat(found)

    def _mesh(
        self, pictures: UInt8[Tensor, "pictures height width 3"], seen: Int[Tensor, "faces"], regions: _Regions
    ) -> tuple[Float[Tensor, "faces 478 2"], Float[Tensor, "faces"]]:
        """Landmarks in pixels of the pictures, and presence."""
        said = self.landmarks(turned_crops(pictures, seen, regions))
        return regions.pixels(said.points), said.presence


def turned_crops(
    pictures: UInt8[Tensor, "pictures height width 3"], seen: Int[Tensor, "faces"], regions: _Regions
) -> Float[Tensor, "faces 3 256 256"]:
    """Bilinear as MediaPipe's; what lies outside a picture repeats its edge."""
    middles = (torch.arange(INPUT_PX) + 0.5) / INPUT_PX
    places = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), 2).view(1, -1, 2)
    size = torch.tensor([pictures.shape[2], pictures.shape[1]])
    grid = regions.pixels(places.expand(len(seen), -1, -1)) / size * 2 - 1
    planar = pictures[seen].permute(0, 3, 1, 2).float()
    return F.grid_sample(
        planar, grid.view(-1, INPUT_PX, INPUT_PX, 2), "bilinear", padding_mode="border", align_corners=False
    )
