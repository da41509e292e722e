"""MTCNN: face boxes and five landmarks by a cascade of three small networks.

Source: Zhang et al. 2016; the detector that Omni-SILA 3.1 names.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from omnisila.scenes.boxes import suppressed
from omnisila.scenes.crops import square_crops, squares
from omnisila.weights.embedded import into

PYRAMID_FACTOR = 0.709
CELL_PX, STRIDE_PX = 12, 2  # what one output of the proposal network sees, and how far apart outputs are
MAX_PROPOSALS = 64  # per picture, after the first stage


class Faces(NamedTuple):
    """Faces of one picture, best first; landmarks are eyes, nose and mouth corners as (x, y)."""

    boxes_frac: Float[Tensor, "faces 4"]
    scores: Float[Tensor, "faces"]
    landmarks_frac: Float[Tensor, "faces 5 2"]


class _Boxes(NamedTuple):
    """Candidates of all pictures in a batch, in pixels."""

    picture: Int[Tensor, "candidates"]
    boxes_px: Float[Tensor, "candidates 4"]
    scores: Float[Tensor, "candidates"]

    def chosen(self, index: Tensor) -> "_Boxes":
        return _Boxes(self.picture[index], self.boxes_px[index], self.scores[index])


class _Stage(nn.Module):
    """Convolutions with PReLU and pooling, then dense layers: proposal (P), refinement (R) or output (O) network."""

    def __init__(self, channels: tuple[int, ...], kernels: tuple[int, ...], pools: tuple[int, ...], dense: int) -> None:
        super().__init__()
        sizes = (3, *channels)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k) for a, b, k in zip(sizes, channels, kernels, strict=False))
        self.rectifiers = nn.ModuleList(nn.PReLU(size) for size in channels)
        self.pools = pools
        self.dense = nn.Linear(dense, 2 * channels[-1]) if dense else None
        self.dense_rectifier = nn.PReLU(2 * channels[-1]) if dense else None

    def forward(self, x: Tensor) -> Tensor:
        for index, (convolution, rectifier) in enumerate(zip(self.convolutions, self.rectifiers, strict=True)):
            x = rectifier(convolution(x))
            if index < len(self.pools):
                x = F.max_pool2d(x, self.pools[index], 2, ceil_mode=True)
        if self.dense is None or self.dense_rectifier is None:
            return x
        # the published weights count columns before rows
        return self.dense_rectifier(self.dense(x.permute(0, 3, 2, 1).flatten(1)))


class MTCNN(nn.Module):
    """The cascade with its thresholds.

    Args:
        min_face_frac: smallest face as a share of the picture's longer side.
        thresholds: least face probability after each stage.
        border_frac: grey border added on every side, so that a face that fills the picture has surroundings.
    """

    def __init__(
        self,
        min_face_frac: float = 0.07,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        border_frac: float = 0.1,
    ) -> None:
        super().__init__()
        self.min_face_frac, self.thresholds, self.border_frac = min_face_frac, thresholds, border_frac
        self.proposal = _Stage((10, 16, 32), (3, 3, 3), (2,), 0)
        self.proposal_face, self.proposal_box = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        self.refinement = _Stage((28, 48, 64), (3, 3, 2), (3, 3), 576)
        self.refinement_face, self.refinement_box = nn.Linear(128, 2), nn.Linear(128, 4)
        self.output = _Stage((32, 64, 64, 128), (3, 3, 3, 2), (3, 3, 2), 1152)
        self.output_face, self.output_box = nn.Linear(256, 2), nn.Linear(256, 4)
        self.output_landmarks = nn.Linear(256, 10)

    @classmethod
    def pretrained(cls) -> Self:
        """With the embedded weights."""
        return into(cls(), "mtcnn")

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "batch height width 3"]) -> list[Faces]:
        """Faces of RGB pictures, all of one size; on the CPU, wherever the network is."""
        batch, height, width = images.shape[:3]
        if batch == 0:
            return []
        border = round(self.border_frac * max(height, width))
        x = (images.to(self.proposal_face.weight.device).permute(0, 3, 1, 2).float() - 127.5) / 128
        x = F.pad(x, (border,) * 4)
        candidates = self._proposals(x, min_face_px=max(self.min_face_frac * max(height, width), CELL_PX))
        candidates = self._refined(x, candidates)
        faces, landmarks = self._output(x, candidates)
        faces, landmarks = _Boxes(*(part.cpu() for part in faces)), landmarks.cpu()
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        results: list[Faces] = []
        for index in range(batch):
            mine = torch.nonzero(faces.picture == index)[:, 0]
            mine = mine[suppressed(faces.boxes_px[mine], faces.scores[mine], 0.7, by_smaller=True)]
            boxes = ((faces.boxes_px[mine] - border) / scale).clamp(0, 1)
            points = (landmarks[mine] - border) / scale[:2]
            seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            results.append(Faces(boxes[seen], faces.scores[mine][seen], points[seen]))
        return results

    def _proposals(self, x: Tensor, min_face_px: float) -> _Boxes:
        # a picture smaller than one cell has no scale to search
        nowhere = torch.zeros(0, dtype=torch.long, device=x.device)
        found = [_Boxes(nowhere, x.new_zeros(0, 4), x.new_zeros(0))]
        scale = CELL_PX / min_face_px
        while min(x.shape[2:]) * scale >= CELL_PX:
            size = [max(round(side * scale), CELL_PX) for side in x.shape[2:]]
            features = self.proposal(F.interpolate(x, size, mode="area"))
            face = self.proposal_face(features).softmax(1)[:, 1]
            offsets = self.proposal_box(features).permute(0, 2, 3, 1)
            picture, row, column = torch.nonzero(face >= self.thresholds[0], as_tuple=True)
            corner = torch.stack([column, row], 1).float() * STRIDE_PX
            boxes = torch.cat([corner + 1, corner + CELL_PX], 1) / scale
            extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            boxes = boxes + offsets[picture, row, column] * extent
            found.append(_kept(_Boxes(picture, boxes, face[picture, row, column]), 0.5))
            scale *= PYRAMID_FACTOR
        joined = _Boxes(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        return _kept(joined, 0.7)

    def _refined(self, x: Tensor, candidates: _Boxes) -> _Boxes:
        features = self.refinement(square_crops(x, candidates.picture, squares(candidates.boxes_px), 24))
        score = self.refinement_face(features).softmax(1)[:, 1]
        boxes = _moved(squares(candidates.boxes_px), self.refinement_box(features))
        likely = score > self.thresholds[1]
        return _kept(_Boxes(candidates.picture, boxes, score).chosen(likely), 0.7)

    def _output(self, x: Tensor, candidates: _Boxes) -> tuple[_Boxes, Float[Tensor, "faces 5 2"]]:
        regions = squares(candidates.boxes_px)
        features = self.output(square_crops(x, candidates.picture, regions, 48))
        score = self.output_face(features).softmax(1)[:, 1]
        boxes = _moved(regions, self.output_box(features))
        points = self.output_landmarks(features).reshape(-1, 2, 5).mT  # all x come before all y
        landmarks = regions[:, None, :2] + points * (regions[:, None, 2:] - regions[:, None, :2])
        likely = score > self.thresholds[2]
        return _Boxes(candidates.picture, boxes, score).chosen(likely), landmarks[likely]


def _kept(candidates: _Boxes, max_overlap: float) -> _Boxes:
    """Suppressed picture by picture, the best MAX_PROPOSALS of each."""
    kept: list[Tensor] = []
    for index in candidates.picture.unique():
        mine = torch.nonzero(candidates.picture == index)[:, 0]
        best = candidates.scores[mine].topk(min(len(mine), 4 * MAX_PROPOSALS)).indices
        mine = mine[best]
        kept.append(mine[suppressed(candidates.boxes_px[mine], candidates.scores[mine], max_overlap)][:MAX_PROPOSALS])
    return candidates.chosen(torch.cat(kept) if kept else torch.zeros(0, dtype=torch.long))


def _moved(boxes: Float[Tensor, "boxes 4"], offsets: Float[Tensor, "boxes 4"]) -> Float[Tensor, "boxes 4"]:
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
