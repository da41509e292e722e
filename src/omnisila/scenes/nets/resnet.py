"""ResNet of bottleneck blocks with frozen batch normalisation, under the names of the published ResNet-50 weights.

The stride of a stage stands in the 3 x 3 convolution of its first block, as in those weights.
Source: He et al. 2016; frozen statistics as detection transformers keep them (Carion et al. 2020).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

EXPANSION = 4
RESNET_50 = (3, 4, 6, 3)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics and scales are data: four buffers, no counter of training steps."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * filters
        self.stride = stride
        self.conv1, self.bn1 = nn.Conv2d(channels, filters, 1, bias=False), FrozenBatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.bn2 = FrozenBatchNorm2d(filters)
        self.conv3, self.bn3 = nn.Conv2d(filters, wide, 1, bias=False), FrozenBatchNorm2d(wide)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), FrozenBatchNorm2d(wide))
            if stride > 1 or channels != wide
            else None
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"] | None
    ) -> Float[Tensor, "batch filters rows columns"]:
        y = clear_outside(self.bn1(self.conv1(x)).relu(), sizes)
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """Pictures to the features of the last stage.

    Args:
        filters: of the stem and of the first stage's blocks; 64 in every published ResNet.
    """

    def __init__(self, filters: int = 64, blocks: tuple[int, int, int, int] = RESNET_50) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, filters, 7, 2, 3, bias=False), FrozenBatchNorm2d(filters)
        self.layer1 = _stage(filters, filters, blocks[0], stride=1)
        self.layer2 = _stage(EXPANSION * filters, 2 * filters, blocks[1], stride=2)
        self.layer3 = _stage(2 * EXPANSION * filters, 4 * filters, blocks[2], stride=2)
        self.layer4 = _stage(4 * EXPANSION * filters, 8 * filters, blocks[3], stride=2)
        self.channels = 8 * EXPANSION * filters

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], sizes_px: Int[Tensor, "batch 2"] | None = None
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Features at a thirty-second of the size, rounded up.

        Args:
            sizes_px: height and width of each picture where smaller ones are padded right and below with zeros. Inside
                its size, each picture's features are then those it has alone: what normalisation writes into the
                padding is cleared before a wider convolution could carry it back. None where nothing is padded.
        """
        x = self.bn1(self.conv1(pixels)).relu()
        sizes = None if sizes_px is None else halve_sizes(sizes_px)
        x = F.max_pool2d(clear_outside(x, sizes), 3, 2, 1)
        sizes = None if sizes is None else halve_sizes(sizes)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, sizes)
                sizes = halve_sizes(sizes) if sizes is not None and block.stride == 2 else sizes
        return x


def halve_sizes(sizes: Int[Tensor, "batch 2"]) -> Int[Tensor, "batch 2"]:
    """Sizes after a layer of stride 2."""
    return (sizes + 1) // 2


def inside(sizes: Int[Tensor, "batch 2"], height: int, width: int) -> Tensor:
    """True where a padded picture has cells of its own, (batch, height, width)."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, :, None] & columns[:, None, :]


def clear_outside(
    x: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"] | None
) -> Float[Tensor, "batch channels height width"]:
    """Zeros outside each picture's size."""
    if sizes is None:
        return x
    return x.masked_fill(~inside(sizes, *x.shape[2:])[:, None], 0.0)


def _stage(channels: int, filters: int, blocks: int, stride: int) -> nn.Sequential:
    wide = EXPANSION * filters
    return nn.Sequential(
        Bottleneck(channels, filters, stride), *(Bottleneck(wide, filters, 1) for _ in range(blocks - 1))
    )
