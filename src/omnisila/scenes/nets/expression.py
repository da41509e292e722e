"""A small facial-expression network: four densely added stages of separable convolutions.

Calls downcast faces sad and knows no contempt; a low-confidence source beside the appearance of the face.
Source: face-api, face_expression_model.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.scenes.nets.blocks import SameConv2d
from omnisila.scenes.nets.graphs import GraphNetwork

INPUT_PX = 112
EMBEDDING = 256
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

_RGB_MEAN = (122.782, 117.001, 104.298)


class Expressions(NamedTuple):
    """Probabilities of EXPRESSIONS, and the activations before the last layer."""

    probabilities: Float[Tensor, "faces 7"]
    embedding: Float[Tensor, "faces 256"]


class _Separable(nn.Sequential):
    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__(
            SameConv2d(channels, channels, 3, stride, groups=channels, bias=False), nn.Conv2d(channels, filters, 1)
        )


class _Stage(nn.Module):
    """Four convolutions; each reads the rectified sum of all before it."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        first = SameConv2d(channels, filters, 3, 2) if channels == 3 else _Separable(channels, filters, 2)
        self.convolutions = nn.ModuleList([first, *(_Separable(filters, filters) for _ in range(3))])

    def forward(self, x: Float[Tensor, "faces channels height width"]) -> Float[Tensor, "faces filters rows columns"]:
        first, *rest = self.convolutions
        total = F.relu(first(x))
        rectified = total
        for convolution in rest:
            total = total + convolution(rectified)
            rectified = F.relu(total)
        return rectified


class ExpressionNet(GraphNetwork):
    """Seven expressions of a face crop."""

    name, input_px = "expression", INPUT_PX
    width = EMBEDDING

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(_Stage(3, 32), _Stage(32, 64), _Stage(64, 128), _Stage(128, EMBEDDING))
        self.classifier = nn.Linear(EMBEDDING, len(EXPRESSIONS))

    @torch.inference_mode()
    def forward(self, crops: Float[Tensor, "faces 3 112 112"]) -> Expressions:
        """Expressions of RGB crops with values 0..255; no faces give empty outputs."""
        if len(crops) == 0:
            return Expressions(crops.new_zeros(0, len(EXPRESSIONS)), crops.new_zeros(0, EMBEDDING))
        return Expressions(*self.run(crops))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        mean = torch.tensor(_RGB_MEAN, device=x.device).view(1, 3, 1, 1)
        embedding = self.stages(((x - mean) / 255).contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))
        return self.classifier(embedding).softmax(1), embedding
