"""HRNet: branches at 1/4, 1/8, 1/16 and 1/32 of the picture side by side, which exchange what they see.

Modules bear the names of the published checkpoints; where a checkpoint has no layer, an identity keeps the count.
Source: Sun et al. 2019 (High-Resolution Representation Learning), figure 1.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EXPANSION = 4  # a bottleneck's output, in its own widths
BLOCKS = 4  # residual blocks of the first layer and of each branch of each module


class Basic(nn.Module):
    """Two 3 x 3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels rows columns"]:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(x + self.bn2(self.conv2(y)), inplace=True)


class Bottleneck(nn.Module):
    """Narrow, convolve, widen; added to its input, which a 1 x 1 convolution widens where it must."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widened = EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, widened, 1, bias=False), nn.BatchNorm2d(widened)
        self.downsample = (
            nn.Identity()
            if channels == widened
            else nn.Sequential(nn.Conv2d(channels, widened, 1, bias=False), nn.BatchNorm2d(widened))
        )

    def forward(self, x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch widened rows columns"]:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.downsample(x) + self.bn3(self.conv3(y)), inplace=True)


class Exchange(nn.Module):
    """Residual blocks on every branch, then each branch becomes the sum of all, brought to its size.

    Args:
        widths: channels of the branches, the finest first; each is half as large as the one before.
        outputs: how many of the branches, from the finest, are needed afterwards.
    """

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(Basic(width) for _ in range(BLOCKS))) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resize_branch(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        seen = [blocks(x) for blocks, x in zip(self.branches, branches, strict=True)]
        fused: list[Tensor] = []
        for layers in self.fuse_layers:
            parts = [layer(x) for layer, x in zip(layers, seen, strict=True)]  # type: ignore[call-overload]
            fused.append(F.relu(sum(parts[1:], parts[0])))
        return fused


class HRNet(nn.Module):
    """The backbone up to its finest branch.

    Args:
        width: channels of the finest branch; each coarser one has twice as many. 32 for W32, 48 for W48.
        stem: channels of the first two convolutions.
    """

    def __init__(self, width: int = 32, stem: int = 64, modules: tuple[int, int, int] = (1, 4, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, stem, 2), nn.BatchNorm2d(stem)
        self.conv2, self.bn2 = _conv(stem, stem, 2), nn.BatchNorm2d(stem)
        wide = EXPANSION * stem
        self.layer1 = nn.Sequential(Bottleneck(stem, stem), *(Bottleneck(wide, stem) for _ in range(BLOCKS - 1)))
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.transition1 = nn.ModuleList([_step(wide, width, 1), nn.Sequential(_step(wide, widths[1], 2))])
        self.transition2 = _open_branch(widths[:3])
        self.transition3 = _open_branch(widths)
        self.stage2 = _stage(widths[:2], modules[0], 2)
        self.stage3 = _stage(widths[:3], modules[1], 3)
        self.stage4 = _stage(widths, modules[2], 1)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels rows columns"]:
        """The finest branch at 1/4 of normalised pictures whose sides are multiples of 32."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.layer1(x)
        branches = self._exchange(self.stage2, [transition(x) for transition in self.transition1])
        for transitions, stage in ((self.transition2, self.stage3), (self.transition3, self.stage4)):
            opened = [*branches, branches[-1]]  # the new branch is made from the coarsest
            branches = [transition(x) for transition, x in zip(transitions, opened, strict=True)]
            branches = self._exchange(stage, branches)
        return branches[0]

    @staticmethod
    def _exchange(stage: nn.Sequential, branches: list[Tensor]) -> list[Tensor]:
        for exchange in stage:
            branches = exchange(branches)
        return branches


def _conv(channels: int, filters: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, 3, stride, 1, bias=False)


def _step(channels: int, filters: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, filters, stride), nn.BatchNorm2d(filters), nn.ReLU(inplace=True))


def _open_branch(widths: tuple[int, ...]) -> nn.ModuleList:
    """One more branch than before, at half the size of the coarsest."""
    kept = [nn.Identity() for _ in widths[:-1]]
    return nn.ModuleList([*kept, nn.Sequential(_step(widths[-2], widths[-1], 2))])


def _stage(widths: tuple[int, ...], modules: int, last_outputs: int) -> nn.Sequential:
    outputs = [len(widths)] * (modules - 1) + [last_outputs]
    return nn.Sequential(*(Exchange(widths, count) for count in outputs))


def _resize_branch(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """From one branch's size and width to another's."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.BatchNorm2d(widths[target]),
            nn.Upsample(scale_factor=float(2 ** (source - target)), mode="nearest"),
        )
    halvings = [_step(widths[source], widths[source], 2) for _ in range(target - source - 1)]
    last = nn.Sequential(_conv(widths[source], widths[target], 2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*halvings, last)
