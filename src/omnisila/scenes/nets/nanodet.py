"""NanoDet on a CSPNet-Tiny backbone: COCO-80 objects, one stage, without anchors.

Source: RangiLyu, NanoDet (boxes as distributions of edge distances: Generalized Focal Loss, Li et al. 2020).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from omnisila.scenes.boxes import suppress_overlaps
from omnisila.scenes.nets.graphs import GraphNetwork

INPUT_PX = 416
STRIDES_PX = (8, 16, 32)
DISTANCE_BINS = 11
MAX_OVERLAP = 0.5
MAX_CANDIDATES = 200

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

_BGR_MEAN, _BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


class Detections(NamedTuple):
    """Objects of one picture, best first."""

    boxes_frac: Float[Tensor, "objects 4"]
    scores: Float[Tensor, "objects"]
    classes: Int[Tensor, "objects"]


class Raw(NamedTuple):
    """Class probabilities and edge-distance logits at every cell of all strides."""

    probabilities: Float[Tensor, "batch cells 80"]
    distances: Float[Tensor, "batch cells 44"]


def _conv(channels: int, filters: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))


class CrossStage(nn.Module):
    """A stage whose input joins its output: half of the channels go through pairs of 3 x 3 convolutions."""

    def __init__(self, channels: int, filters: int, repeats: int, stride: int) -> None:
        super().__init__()
        half = filters // 2
        self.entry = _conv(channels, filters, stride)
        self.pairs = nn.ModuleList(
            nn.ModuleList([_conv(filters if i == 0 else 2 * half, half), _conv(half, half)]) for i in range(repeats)
        )
        self.exit = _conv(2 * half, filters)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch doubled rows columns"]:
        entered = self.entry(x)
        y = entered
        for first, second in self.pairs:  # type: ignore[misc]
            a = first(y)
            y = torch.cat([second(a), a], dim=1)
        return torch.cat([self.exit(y), entered], dim=1)


class NanoDet(GraphNetwork):
    """Backbone, path aggregation by addition, one head per stride."""

    name, input_px = "nanodet", INPUT_PX

    centres_px: Tensor
    cell_px: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 2)
        self.stages = nn.ModuleList(
            [CrossStage(32, 32, 1, 1), CrossStage(64, 64, 2, 2), CrossStage(128, 128, 2, 2), CrossStage(256, 256, 3, 2)]
        )
        self.lateral = nn.ModuleList(nn.Conv2d(channels, 128, 1) for channels in (128, 256, 512))
        self.heads = nn.ModuleList(nn.Sequential(_conv(128, 128), nn.Conv2d(128, 124, 1)) for _ in STRIDES_PX)
        steps = [torch.arange(INPUT_PX // stride) * stride + stride / 2 for stride in STRIDES_PX]
        centres = [torch.stack(torch.meshgrid(s, s, indexing="xy"), dim=-1).reshape(-1, 2) for s in steps]
        self.register_buffer("centres_px", torch.cat(centres), persistent=False)
        strides = [torch.full((len(c),), float(stride)) for c, stride in zip(centres, STRIDES_PX, strict=True)]
        self.register_buffer("cell_px", torch.cat(strides), persistent=False)

    def forward(self, images: Float[Tensor, "batch 3 416 416"]) -> Raw:
        """Raw outputs for normalised BGR pictures."""
        x = F.max_pool2d(self.stem(images), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.lateral, levels[1:], strict=True))
        middle = middle + _resize(coarse, middle)
        fine = fine + _resize(middle, fine)
        middle = middle + _resize(fine, middle)
        coarse = coarse + _resize(middle, coarse)
        outputs = [head(level).flatten(2).mT for head, level in zip(self.heads, (fine, middle, coarse), strict=True)]
        joined = torch.cat(outputs, dim=1)
        return Raw(joined[..., :80].sigmoid(), joined[..., 80:])

    def maps(self, x: Tensor) -> Raw:
        return self(x)

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "batch height width 3"], min_score: float = 0.35) -> list[Detections]:
        """Objects of each RGB picture.

        Args:
            images: all of one size.
            min_score: least class probability.
        """
        if len(images) == 0:
            return []
        height, width = images.shape[1:3]
        scale = INPUT_PX / max(height, width)
        raw = Raw(*self.run(images, lambda part: _letterbox(part, scale)))
        scores, classes = raw.probabilities.max(dim=2)
        extent = torch.tensor([width, height, width, height]) * scale
        return [
            self._decode(raw.distances[i], scores[i], classes[i], min_score, extent.to(images.device))
            for i in range(len(images))
        ]

    def _decode(
        self, distances: Tensor, scores: Tensor, classes: Tensor, min_score: float, extent_px: Tensor
    ) -> Detections:
        likely = scores >= min_score
        candidates = torch.nonzero(likely)[:, 0]
        if len(candidates) > MAX_CANDIDATES:
            candidates = candidates[scores[candidates].topk(MAX_CANDIDATES).indices]
        bins = torch.arange(DISTANCE_BINS, device=distances.device, dtype=distances.dtype)
        reach = distances[candidates].reshape(-1, 4, DISTANCE_BINS).softmax(2) @ bins * self.cell_px[candidates, None]
        centres = self.centres_px[candidates]
        boxes = torch.cat([centres - reach[:, :2], centres + reach[:, 2:]], dim=1) / extent_px
        boxes, scores, classes = boxes.clamp(0, 1), scores[candidates], classes[candidates]
        # boxes of different classes are moved apart, so that only those of one class suppress each other
        kept = suppress_overlaps(boxes + 2.0 * classes[:, None], scores, MAX_OVERLAP)
        return Detections(boxes[kept], scores[kept], classes[kept])


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _letterbox(images: UInt8[Tensor, "batch height width 3"], scale: float) -> Float[Tensor, "batch 3 416 416"]:
    """Scaled to fit, normalised, zeros to the right and below."""
    height, width = (max(round(side * scale), 1) for side in images.shape[1:3])
    x = images.permute(0, 3, 1, 2).flip(1).float()  # BGR
    x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=scale < 1)
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (_BGR_MEAN, _BGR_STD))
    x = F.pad((x - mean) / std, (0, INPUT_PX - width, 0, INPUT_PX - height))
    return x.contiguous(memory_format=torch.channels_last)
