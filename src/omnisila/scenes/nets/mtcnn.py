"""MTCNN: face boxes and five landmarks by a cascade of three small networks.

The geometry is facenet-pytorch's, whose networks these are: boxes that count both edge pixels, floored cells, area
resampling, regions cut off at the picture's edges. Source: Zhang et al. 2016; the detector that Omni-SILA 3.1 names.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.boxes import suppress_overlaps
from omnisila.scenes.crops import frame_pixels, squares
from omnisila.weights.embedded import into

PYRAMID_FACTOR = 0.709
CELL_PX, STRIDE_PX = 12, 2  # what one output of the proposal network sees, and how far apart outputs are
ALIGNED_PX = 160  # side of facenet-pytorch's face


class CascadeConfig(Config):
    """Where faces are looked for and which are kept.

    Attributes:
        min_face_frac: smallest face as a share of the picture's longer side.
        min_face_px: smallest face in pixels; the larger of the two counts.
        thresholds: least face probability after each stage.
        border_frac: grey border added on every side, so that a face that fills the picture has surroundings.
        max_proposals: per picture, after the first stage; None keeps all.
    """

    min_face_frac: float = 0.07
    min_face_px: float = CELL_PX
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)
    border_frac: float = 0.1
    max_proposals: int | None = 64

    def build(self) -> "MTCNN":
        """With the embedded weights."""
        return MTCNN.pretrained(self)


FACENET = CascadeConfig(  # facenet-pytorch 2.6.0's defaults
    min_face_frac=0.0, min_face_px=20.0, thresholds=(0.6, 0.7, 0.7), border_frac=0.0, max_proposals=None
)


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

    def choose(self, index: Tensor) -> "_Boxes":
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
                x = _halve(x) if self.pools[index] == 2 else F.max_pool2d(x, self.pools[index], 2, ceil_mode=True)
        if self.dense is None or self.dense_rectifier is None:
            return x
        # the published weights count columns before rows
        return self.dense_rectifier(self.dense(x.permute(0, 3, 2, 1).flatten(1)))


class MTCNN(nn.Module):
    """The cascade."""

    def __init__(self, config: CascadeConfig | None = None) -> None:
        super().__init__()
        self.config = config or CascadeConfig()
        self.proposal = _Stage((10, 16, 32), (3, 3, 3), (2,), 0)
        self.proposal_face, self.proposal_box = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        self.refinement = _Stage((28, 48, 64), (3, 3, 2), (3, 3), 576)
        self.refinement_face, self.refinement_box = nn.Linear(128, 2), nn.Linear(128, 4)
        self.output = _Stage((32, 64, 64, 128), (3, 3, 3, 2), (3, 3, 2), 1152)
        self.output_face, self.output_box = nn.Linear(256, 2), nn.Linear(256, 4)
        self.output_landmarks = nn.Linear(256, 10)

    @classmethod
    def pretrained(cls, config: CascadeConfig | None = None) -> Self:
        """With the embedded weights."""
        return into(cls(config), "mtcnn")

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "batch height width 3"]) -> list[Faces]:
        """Faces of RGB pictures, all of one size; on the CPU, wherever the network is."""
        batch, height, width = images.shape[:3]
        if batch == 0:
            return []
        config, longest = self.config, max(height, width)
        border = round(config.border_frac * longest)
        x = (images.to(self.proposal_face.weight.device).permute(0, 3, 1, 2).float() - 127.5) / 128
        x = F.pad(x, (border,) * 4)
        min_face_px = max(config.min_face_frac * longest, config.min_face_px, CELL_PX)
        faces, landmarks = self._output(x, self._refine(x, self._proposals(x, min_face_px)))
        faces, landmarks = _Boxes(*(part.cpu() for part in faces)), landmarks.cpu()
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        results: list[Faces] = []
        for index in range(batch):
            mine = torch.nonzero(faces.picture == index)[:, 0].flip(0)  # of equal ones NumPy's order keeps the last
            filled = faces.boxes_px[mine] + torch.tensor([0.0, 0.0, 1.0, 1.0])  # the last pixel belongs to a box
            mine = mine[suppress_overlaps(filled, faces.scores[mine], 0.7, by_smaller=True)]
            boxes = ((faces.boxes_px[mine] - border) / scale).clamp(0, 1)
            points = (landmarks[mine] - border) / scale[:2]
            seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            results.append(Faces(boxes[seen], faces.scores[mine][seen], points[seen]))
        return results

    def _proposals(self, x: Tensor, min_face_px: float) -> _Boxes:
        # a picture smaller than one cell has no scale to search
        nowhere = torch.zeros(0, dtype=torch.long, device=x.device)
        found, moves = [_Boxes(nowhere, x.new_zeros(0, 4), x.new_zeros(0))], [x.new_zeros(0, 4)]
        scale = CELL_PX / min_face_px
        while min(x.shape[2:]) * scale >= CELL_PX:
            size = [int(side * scale + 1) for side in x.shape[2:]]
            features = self.proposal(F.interpolate(x, size, mode="area"))
            face = self.proposal_face(features).softmax(1)[:, 1]
            offsets = self.proposal_box(features).permute(0, 2, 3, 1)
            picture, row, column = torch.nonzero(face >= self.config.thresholds[0], as_tuple=True)
            corner = torch.stack([column, row], 1).float() * STRIDE_PX
            boxes = (torch.cat([corner + 1, corner + CELL_PX], 1) / scale).floor()
            cells = _Boxes(picture, boxes, face[picture, row, column])
            kept = self._best(cells, 0.5)
            found.append(cells.choose(kept))
            moves.append(offsets[picture[kept], row[kept], column[kept]])
            scale *= PYRAMID_FACTOR
        joined = _Boxes(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        kept = self._best(joined, 0.7)
        chosen = joined.choose(kept)
        return chosen._replace(boxes_px=squares(_move_edges(chosen.boxes_px, torch.cat(moves)[kept], 0)))

    def _best(self, candidates: _Boxes, max_overlap: float) -> Int[Tensor, "kept"]:
        """What suppression leaves in each picture, best first and no more than wanted."""
        most, kept = self.config.max_proposals, [candidates.picture[:0]]
        for index in candidates.picture.unique():
            mine = torch.nonzero(candidates.picture == index)[:, 0]
            if most is not None:  # what is far behind cannot come back, and suppression is quadratic
                mine = mine[candidates.scores[mine].topk(min(len(mine), 4 * most)).indices]
            kept.append(mine[suppress_overlaps(candidates.boxes_px[mine], candidates.scores[mine], max_overlap)][:most])
        return torch.cat(kept)

    def _refine(self, x: Tensor, candidates: _Boxes) -> _Boxes:
        crops, candidates = _crops(x, candidates, 24)
        features = self.refinement(crops)
        scored = candidates._replace(scores=self.refinement_face(features).softmax(1)[:, 1])
        likely = torch.nonzero(scored.scores > self.config.thresholds[1])[:, 0]
        kept = likely[self._best(scored.choose(likely), 0.7)]
        chosen = scored.choose(kept)
        return chosen._replace(boxes_px=squares(_move_edges(chosen.boxes_px, self.refinement_box(features[kept]), 1)))

    def _output(self, x: Tensor, candidates: _Boxes) -> tuple[_Boxes, Float[Tensor, "faces 5 2"]]:
        crops, candidates = _crops(x, candidates, 48)
        features = self.output(crops)
        scored = candidates._replace(scores=self.output_face(features).softmax(1)[:, 1])
        likely = scored.scores > self.config.thresholds[2]
        chosen, features = scored.choose(likely), features[likely]
        regions = chosen.boxes_px
        points = self.output_landmarks(features).reshape(-1, 2, 5).mT  # all x come before all y
        landmarks = regions[:, None, :2] - 1 + points * (regions[:, None, 2:] - regions[:, None, :2] + 1)
        return chosen._replace(boxes_px=_move_edges(regions, self.output_box(features), 1)), landmarks


def aligned_faces(
    image: UInt8[Tensor, "height width 3"], boxes_frac: Float[Tensor, "faces 4"], size_px: int = ALIGNED_PX
) -> UInt8[Tensor, "faces size size 3"]:
    """Faces as facenet-pytorch hands them to a network: the box alone, stretched to a square by Pillow.

    A box of less than a pixel gives a black face.
    """
    picture = Image.fromarray(image.numpy())
    faces = np.zeros((len(boxes_frac), size_px, size_px, 3), np.uint8)
    for index, box in enumerate(frame_pixels(boxes_frac, *image.shape[:2]).tolist()):
        left, top, right, bottom = (int(edge) for edge in box)
        if right > left and bottom > top:
            face = picture.crop((left, top, right, bottom)).resize((size_px, size_px), Image.Resampling.BILINEAR)
            faces[index] = np.asarray(face)
    return torch.from_numpy(faces)


def _halve(x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels half_rows half_columns"]:
    """Max pooling of 2 x 2 cells, the odd rest alone: on the CPU a third of ``max_pool2d``'s time."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
    x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(x[..., ::2], x[..., 1::2])


def _crops(x: Tensor, candidates: _Boxes, size_px: int) -> tuple[Float[Tensor, "crops 3 size size"], _Boxes]:
    """What each candidate covers of its picture, by area, and the candidates that cover anything."""
    crops, inside = [x.new_zeros(0, x.shape[1], size_px, size_px)], list[int]()
    edges = candidates.boxes_px.trunc().long().tolist()
    for index, (picture, (left, top, right, bottom)) in enumerate(zip(candidates.picture.tolist(), edges, strict=True)):
        # the first pixel's number is 1
        rows, columns = slice(max(top, 1) - 1, max(bottom, 0)), slice(max(left, 1) - 1, max(right, 0))
        region = x[picture, None, :, rows, columns]
        if region.numel():
            crops.append(F.interpolate(region, (size_px, size_px), mode="area"))
            inside.append(index)
    return torch.cat(crops), candidates.choose(torch.tensor(inside, dtype=torch.long, device=x.device))


def _move_edges(
    boxes: Float[Tensor, "boxes 4"], offsets: Float[Tensor, "boxes 4"], last_px: int
) -> Float[Tensor, "boxes 4"]:
    """Edges moved by shares of width and height, which count the last pixel or do not."""
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2] + last_px).repeat(1, 2)
