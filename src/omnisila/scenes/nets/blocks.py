"""Blocks that several embedded networks share; batch normalisation is folded into the convolutions."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: with stride 2 the odd pixel of padding goes right and below."""

    def forward(
        self,
        input: Float[Tensor, "batch channels height width"],  # noqa: A002, the base class's name
    ) -> Float[Tensor, "batch filters rows columns"]:
        pads: list[int] = []
        for size, kernel, stride in zip(
            reversed(input.shape[2:]), self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] and pads[2] == pads[3]:
            return F.conv2d(input, self.weight, self.bias, self.stride, (pads[2], pads[0]), 1, self.groups)
        return F.conv2d(F.pad(input, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; added to its input where the shape allows. Source: MobileNetV2, figure 3."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Conv2d(channels, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, filters, 1)
        self.residual = stride == 1 and channels == filters

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch filters rows cols"]:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y


def inverted_residuals(stages: tuple[tuple[int, int, int, int, int], ...], channels: int) -> list[InvertedResidual]:
    """Blocks of all stages (expansion, filters, repeats, kernel, stride); only a stage's first block has the stride."""
    blocks: list[InvertedResidual] = []
    for expansion, filters, repeats, kernel, stride in stages:
        for index in range(repeats):
            blocks.append(InvertedResidual(channels, filters, kernel, stride if index == 0 else 1, expansion))
            channels = filters
    return blocks
