"""HigherHRNet: the 17 COCO joints of everybody in a picture, bottom up.

The network says at 1/4 and 1/2 of the picture where joints are, and gives every joint a tag that is alike within a
person. Loads the published ``pose_higher_hrnet_w32_512.pth``; with ``width=48, input_px=640`` also the W48 one.
Source: Cheng et al. 2020 (HigherHRNet); the network that Omni-SILA 3.1 and Hawkeye 3.1 name.
"""

import math
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.nets.hrnet import BLOCKS, Basic, HRNet
from omnisila.scenes.nets.pose_grouping import (
    JOINTS,
    Grouped,
    GroupingConfig,
    Peaks,
    group_people,
    peaks,
    places,
    refine_people,
)
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state, without_prefix

MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)  # each joint's other side
GRID = 4
ENCODING = JOINTS * GRID * GRID
STEP_PX = 64  # sides of the network's input are multiples of it

_RGB_MEAN, _RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Heatmaps(NamedTuple):
    """What the network says of normalised pictures, in float32."""

    coarse: Float[Tensor, "batch 17 quarter_rows quarter_columns"]
    tags: Float[Tensor, "batch 17 quarter_rows quarter_columns"]
    fine: Float[Tensor, "batch 17 half_rows half_columns"]


class People(NamedTuple):
    """People of one picture, surest first, on the CPU.

    Attributes:
        joints: x and y in frame fractions (outside 0..1 where a limb leaves the frame), score, tag, and the tag of the
            mirrored picture, or the tag again without the flip test. A joint found by refinement has tags 0.
        score: mean score of the person's 17 joints before refinement.
        encoding: for each joint the strongest heat in the cells of a 4 x 4 grid over the person's joints.
    """

    joints: Float[Tensor, "people 17 5"]
    score: Float[Tensor, "people"]
    encoding: Float[Tensor, "people 272"]


class _Canvas(NamedTuple):
    """Pictures as the network reads them, and where in them the frame lies, in pixels."""

    images: Float[Tensor, "batch 3 height width"]
    left: int
    top: int
    width: int
    height: int


class HigherHRNetConfig(Config):
    """Sizes of the network, how pictures are brought to it, and how its peaks become people."""

    width: int = Field(default=32, ge=1)
    stem: int = Field(default=64, ge=1)
    modules: tuple[int, int, int] = (1, 4, 3)
    input_px: int = Field(default=512, ge=STEP_PX, multiple_of=STEP_PX)  # the frame's shorter side
    max_aspect: float = Field(default=4.0, ge=1.0)  # longer strips are shrunk further, which bounds the memory
    batch_size: int = Field(default=8, ge=1)
    grouping: GroupingConfig = GroupingConfig()

    def build(self) -> "HigherHRNet":
        return HigherHRNet(self)


class HigherHRNet(HRNet):
    """HRNet, heads at 1/4 and, after one transposed convolution, at 1/2; may run in bfloat16."""

    def __init__(self, config: HigherHRNetConfig | None = None) -> None:
        config = config or HigherHRNetConfig()
        super().__init__(config.width, config.stem, config.modules)
        self.config = config
        width, coarse = config.width, 2 * JOINTS
        self.final_layers = nn.ModuleList([nn.Conv2d(width, coarse, 1), nn.Conv2d(width, JOINTS, 1)])
        doubled = nn.Sequential(
            nn.ConvTranspose2d(width + coarse, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        blocks = (nn.Sequential(Basic(width)) for _ in range(BLOCKS))
        self.deconv_layers = nn.ModuleList([nn.Sequential(doubled, *blocks)])

    @classmethod
    def from_official(cls, path: Path, config: HigherHRNetConfig | None = None) -> Self:
        """With a published checkpoint, as it comes or converted to safetensors, ready for inference.

        Raises:
            WeightsError: it cannot be read, or is not of this network at these sizes.
        """
        # files saved in half-precision training count the network as the second of three modules
        state = without_prefix(read_state(path), "1.")
        net = load_into(cls(config), state, path)
        return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Heatmaps:
        """Heatmaps of normalised RGB pictures whose sides are multiples of 64."""
        x = self.features(images)
        coarse = _apply_head(self.final_layers[0], x)
        x = self.deconv_layers[0](torch.cat([x, coarse.to(x.dtype)], dim=1))
        return Heatmaps(coarse[:, :JOINTS], coarse[:, JOINTS:], _apply_head(self.final_layers[1], x))

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "batch height width 3"], flip_test: bool = False) -> list[People]:
        """People of each RGB picture.

        Args:
            images: all of one size.
            flip_test: look at the mirrored pictures too: twice the time, surer joints, and the second tag.
        """
        people: list[People] = []
        for part in images.split(self.config.batch_size):
            canvas = self._canvas(part)
            heat, tags = self._maps(canvas.images, flip_test)
            found = peaks(heat, tags, self.config.grouping)
            on_cpu = Peaks(*(values.cpu() for values in found))
            for index in range(len(part)):
                group = group_people(Peaks(*(values[index] for values in on_cpu)), self.config.grouping)
                people.append(_describe_people(group, heat[index], tags[index], canvas))
        return people

    def _canvas(self, images: UInt8[Tensor, "batch height width 3"]) -> _Canvas:
        """Scaled so that the shorter side is ``input_px``, black on both sides up to multiples of 64, normalised."""
        sides = images.shape[1:3]
        scale = min(self.config.input_px / min(sides), self.config.max_aspect * self.config.input_px / max(sides))
        height, width = (max(round(side * scale), 1) for side in sides)
        rows, columns = (math.ceil(side / STEP_PX) * STEP_PX for side in (height, width))
        top, left = (rows - height) // 2, (columns - width) // 2
        weight = self.conv1.weight
        x = images.to(weight.device).permute(0, 3, 1, 2).float() / 255
        x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)  # trained without antialiasing
        x = F.pad(x, (left, columns - width - left, top, rows - height - top))
        mean, std = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (_RGB_MEAN, _RGB_STD))
        x = ((x - mean) / std).to(weight.dtype, memory_format=torch.channels_last)
        return _Canvas(x, left, top, width, height)

    def _maps(
        self, images: Float[Tensor, "batch 3 height width"], flip_test: bool
    ) -> tuple[Float[Tensor, "batch 17 height width"], Float[Tensor, "batch 17 dims height width"]]:
        """Heat of both resolutions averaged, and tags, at the size of the pictures."""
        heat, tags = _join_maps(self(images))
        looks = [tags]
        if flip_test:
            mirrored, tags = (maps.flip(3)[:, MIRRORED] for maps in _join_maps(self(images.flip(3))))
            heat = (heat + mirrored) / 2
            looks.append(tags)
        size = images.shape[2:]
        return _scale_maps(heat, size), torch.stack([_scale_maps(tags, size) for tags in looks], dim=2)


def _apply_head(head: nn.Module, x: Tensor) -> Tensor:
    """A 1 x 1 convolution in float32: rounded to bfloat16, the top of a hill of heat would be flat."""
    return F.conv2d(x.float(), head.weight.float(), head.bias.float())  # type: ignore[arg-type, operator, union-attr]


def _join_maps(maps: Heatmaps) -> tuple[Tensor, Tensor]:
    """Heat and tags at the finer resolution."""
    size = maps.fine.shape[2:]
    return (_scale_maps(maps.coarse, size) + maps.fine) / 2, _scale_maps(maps.tags, size)


def _scale_maps(maps: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def _describe_people(
    group: Grouped, heat: Float[Tensor, "17 height width"], tags: Float[Tensor, "17 dims height width"], canvas: _Canvas
) -> People:
    """Absent joints filled, places in frame fractions, surest person first."""
    order = group.scores.mean(1).argsort(descending=True, stable=True)
    group = Grouped(*(part[order] for part in group))
    whole = refine_people(group, heat, tags)
    xy = places(whole, heat)
    corner, size = xy.new_tensor([canvas.left, canvas.top]), xy.new_tensor([canvas.width, canvas.height])
    seen = (whole.scores > 0)[..., None]
    both = whole.tags.expand(-1, -1, 2)
    joints = torch.cat([(xy - corner) / size * seen, whole.scores[..., None], both], dim=2)
    return People(joints, group.scores.mean(1), _encode_heat(group, heat).cpu())


def _encode_heat(people: Grouped, heat: Float[Tensor, "17 height width"]) -> Float[Tensor, "people 272"]:
    """The heatmaps over each person's own peaks, pooled by their maxima: how the person stands, and how surely."""
    encodings = [heat.new_zeros(0, ENCODING)]
    for columns, rows, scores in zip(people.columns, people.rows, people.scores, strict=True):
        seen = scores > 0
        left, right = int(columns[seen].min()), int(columns[seen].max()) + 1
        top, bottom = int(rows[seen].min()), int(rows[seen].max()) + 1
        pooled = F.adaptive_max_pool2d(heat[:, top:bottom, left:right], GRID)
        encodings.append(pooled.clamp(min=0).flatten()[None])
    return torch.cat(encodings)
