"""EfficientNet-Lite0 without its classification head: the embedded visual encoder.

Source: Tan and Le 2019 (EfficientNet), the "lite" variant: ReLU6, no squeeze-and-excitation.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from omnisila.scenes.nets.blocks import SameConv2d, inverted_residuals
from omnisila.scenes.nets.graphs import GraphNetwork

FEATURES = 1280
INPUT_PX = 224

_STAGES = (
    (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1),
)  # fmt: skip


class Pooled(NamedTuple):
    """What the feature map says on average, and at its strongest place."""

    mean: Float[Tensor, "batch 1280"]
    max: Float[Tensor, "batch 1280"]


def normalise_pictures(images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 224 224"]:
    """RGB pictures as the network was trained on them: stretched to 224 x 224, (x - 127) / 128."""
    x = images.permute(0, 3, 1, 2).float()
    x = F.interpolate(x, (INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False, antialias=True)
    return ((x - 127) / 128).contiguous(memory_format=torch.channels_last)


class EfficientNetLite0(GraphNetwork):
    """ImageNet features at 1/32 of the input's size."""

    name, input_px = "efficientnet_lite", INPUT_PX

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        self.blocks = nn.Sequential(*inverted_residuals(_STAGES, 32))
        self.head = nn.Conv2d(320, FEATURES, 1)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1280 rows columns"]:
        """The last feature map of normalised pictures whose sides are multiples of 32."""
        x = F.relu6(self.stem(images), inplace=True)
        return F.relu6(self.head(self.blocks(x)), inplace=True)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self(x),)

    @torch.inference_mode()
    def embed(self, images: UInt8[Tensor, "batch height width 3"]) -> Pooled:
        """Pooled features of RGB pictures of any size; an empty batch gives empty features."""
        if len(images) == 0:
            return Pooled(torch.zeros(0, FEATURES), torch.zeros(0, FEATURES))
        (features,) = self.run(images, normalise_pictures)
        return Pooled(features.mean(dim=(2, 3)), features.amax(dim=(2, 3)))
