"""MoveNet Lightning: the 17 COCO joints of the person in the middle of a crop.

A MobileNetV2 with a feature pyramid and CenterNet heads: a centre picks the person, offsets regressed at the centre
say where to look for each joint, heatmaps refine it. Source: Google, MoveNet (2021); Zhou et al. 2019 for the heads.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.scenes.nets.blocks import SameConv2d, inverted_residuals
from omnisila.scenes.nets.graphs import GraphNetwork

INPUT_PX = 192
GRID = 48
JOINTS = 17
EMBEDDING = 24  # channels of the pyramid's finest map
_CELL_FRAC = 0.0208282470703125  # the graph's own 1 / GRID, rounded to fp16
_DISTANCE_OFFSET = 1.7998046875  # cells; the graph's own, keeps the weight of near peaks finite

_STAGES = (
    (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 32, 3, 3, 2), (6, 64, 4, 3, 2), (6, 96, 3, 3, 1), (6, 160, 3, 3, 2),
    (6, 320, 1, 3, 1),
)  # fmt: skip
_LATERALS = ((24, 24), (32, 32), (64, 64), (1280, 64))
_TAPS = (2, 5, 9)  # blocks whose outputs feed the pyramid: 48, 24 and 12 cells


class Poses(NamedTuple):
    """Joints as (x, y, score) in crop fractions, and the pyramid's finest features around the joints."""

    joints: Float[Tensor, "batch 17 3"]
    embedding: Float[Tensor, "batch 24"]


class _Separable(nn.Module):
    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(channels, channels, 3, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)), inplace=True)


class _Head(nn.Sequential):
    def __init__(self, outputs: int) -> None:
        super().__init__(_Separable(EMBEDDING, 96), nn.Conv2d(96, outputs, 1))


class MoveNet(GraphNetwork):
    """Single-person pose; give it crops around person boxes."""

    name, input_px = "movenet", INPUT_PX

    centre_weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        self.blocks = nn.ModuleList(inverted_residuals(_STAGES, 32))
        self.top = nn.Conv2d(320, 1280, 1)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, filters, 1) for channels, filters in _LATERALS)
        self.pyramid = nn.ModuleList([_Separable(64, 32), _Separable(32, 24), _Separable(24, 24)])
        self.heatmap, self.regression = _Head(JOINTS), _Head(2 * JOINTS)
        self.centre, self.offset = _Head(1), _Head(2 * JOINTS)
        self.register_buffer("centre_weight", torch.ones(GRID, GRID))

    @torch.inference_mode()
    def forward(self, crops: Float[Tensor, "batch 3 192 192"]) -> Poses:
        """Joints of RGB crops with values 0..255; an empty batch gives empty poses."""
        if len(crops) == 0:
            return Poses(crops.new_zeros(0, JOINTS, 3), crops.new_zeros(0, EMBEDDING))
        features, heat, regression, centre, offset = self.run(crops)
        joints = self._decode(heat, regression, centre, offset)
        focus = heat.amax(dim=1, keepdim=True)
        embedding = (features * focus).sum(dim=(2, 3)) / focus.sum(dim=(2, 3)).clamp(min=1e-6)
        return Poses(joints, embedding)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        features = self._features(x)
        heat = self.heatmap(features).sigmoid()
        return features, heat, self.regression(features), self.centre(features), self.offset(features)

    def _features(self, crops: Tensor) -> Tensor:
        # the graph holds its scale in fp16, a little more than 2 / 255
        x = F.relu6(self.stem((crops * 0.007843017578125 - 1).contiguous(memory_format=torch.channels_last)))
        taps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                taps.append(x)
        fine, middle, coarse = (lateral(tap) for lateral, tap in zip(self.lateral, taps, strict=False))
        y = self.lateral[3](F.relu6(self.top(x), inplace=True))
        for level, smooth in zip((coarse, middle, fine), self.pyramid, strict=True):
            y = smooth(F.interpolate(y, level.shape[2:], mode="bilinear", align_corners=False) + level)
        return y

    def _decode(self, heat: Tensor, regression: Tensor, centre: Tensor, offset: Tensor) -> Tensor:
        batch = len(heat)
        weighted = centre.sigmoid()[:, 0] * self.centre_weight
        person = weighted.flatten(1).argmax(1)
        row, column = person // GRID, person % GRID
        at_person = regression.flatten(2).gather(2, person[:, None, None].expand(-1, 2 * JOINTS, 1))
        expected = at_person.reshape(batch, JOINTS, 2) + torch.stack([row, column], 1)[:, None]
        grid = torch.arange(GRID, device=heat.device, dtype=heat.dtype)
        distance = torch.sqrt(
            (grid[:, None] - expected[..., 0, None, None]) ** 2 + (grid - expected[..., 1, None, None]) ** 2
        )
        peak = (heat / (distance + _DISTANCE_OFFSET)).flatten(2).argmax(2)
        score = heat.flatten(2).gather(2, peak[..., None])
        fine = offset.reshape(batch, JOINTS, 2, -1).gather(3, peak[..., None, None].expand(-1, -1, 2, 1))[..., 0]
        y = (peak // GRID + fine[..., 0]) * _CELL_FRAC
        x = (peak % GRID + fine[..., 1]) * _CELL_FRAC
        return torch.cat([x[..., None], y[..., None], score], dim=2)
