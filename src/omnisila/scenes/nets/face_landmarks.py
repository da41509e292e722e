"""478 landmarks of a face, and the 52 blendshapes of its expression, which are read from 146 of them.

Blendshapes are named as ARKit names them; most are one side of a facial action unit, such as ``mouthSmileLeft`` of
AU12. Source: MediaPipe's face landmarker; Kartynnik et al. 2019 (the mesh), Tolstikhin et al. 2021 (MLP-Mixer).
"""

from itertools import pairwise
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.weights.embedded import into

INPUT_PX = 256
POINTS = 478
OUTER_EYES = (33, 263)  # the outer corners of the eyes, the one on the picture's left first
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip

_STAGES = (16, 32, 64, 128, 128, 128, 128)  # channels; each stage but the first halves the map
_REPEATS = 4
_TOKENS, _WIDTH, _BLOCKS = 96, 64, 4
READ = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip


class Mesh(NamedTuple):
    """Landmarks as (x, y) in fractions of the crop, and how surely it shows a face."""

    points: Float[Tensor, "faces 478 2"]
    presence: Float[Tensor, "faces"]


class _Bottleneck(nn.Module):
    """Half the width, depthwise, back; added to its input, which is pooled and filled up with zeros where it halves."""

    def __init__(self, channels: int, filters: int, halves: bool) -> None:
        super().__init__()
        hidden, step = filters // 2, 2 if halves else 1
        self.halves, self.added = halves, filters - channels
        self.reduce = nn.Sequential(nn.Conv2d(channels, hidden, step, step), nn.PReLU(hidden))
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.project = nn.Conv2d(hidden, filters, 1)
        self.activation = nn.PReLU(filters)

    def forward(self, x: Float[Tensor, "faces channels rows columns"]) -> Float[Tensor, "faces filters _ _"]:
        y = self.project(self.depthwise(self.reduce(x)))
        if self.halves:
            x = F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, self.added))
        return self.activation(x + y)


class FaceLandmarks(nn.Module):
    """The landmarks of upright faces in square crops whose side is one and a half times the face's."""

    def __init__(self) -> None:
        super().__init__()
        first = _STAGES[0]
        self.stem = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, first, 3, 2), nn.PReLU(first))
        blocks = [_Bottleneck(first, first, False) for _ in range(_REPEATS)]
        for channels, filters in pairwise(_STAGES):
            blocks += [_Bottleneck(channels, filters, True)]
            blocks += [_Bottleneck(filters, filters, False) for _ in range(_REPEATS)]
        self.blocks = nn.Sequential(*blocks)
        self.presence = nn.Conv2d(_STAGES[-1], 1, 2)
        self.points = nn.Conv2d(_STAGES[-1], POINTS * 3, 2)

    @classmethod
    def pretrained(cls) -> Self:
        """With the embedded weights."""
        return into(cls(), "face_landmarks")

    @torch.inference_mode()
    def forward(self, crops: Float[Tensor, "faces 3 256 256"]) -> Mesh:
        """Of RGB crops with values 0..255."""
        x = self.blocks(self.stem((crops / 255).contiguous(memory_format=torch.channels_last)))
        points = self.points(x).view(-1, POINTS, 3)[..., :2]
        return Mesh(points / INPUT_PX, self.presence(x).sigmoid().flatten())


class _Mixer(nn.Module):
    """Mixes tokens, then the numbers of each. Its normalisations have no offset."""

    def __init__(self) -> None:
        super().__init__()
        tokens = _TOKENS + 1
        self.before_tokens = nn.LayerNorm(_WIDTH, 1e-6, bias=False)
        self.tokens = nn.Sequential(nn.Linear(tokens, 384), nn.ReLU(), nn.Linear(384, tokens))
        self.before_channels = nn.LayerNorm(_WIDTH, 1e-6, bias=False)
        self.channels = nn.Sequential(nn.Linear(_WIDTH, 256), nn.ReLU(), nn.Linear(256, _WIDTH))

    def forward(self, x: Float[Tensor, "faces 97 64"]) -> Float[Tensor, "faces 97 64"]:
        x = x + self.tokens(self.before_tokens(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.before_channels(x))


class Blendshapes(nn.Module):
    """``BLENDSHAPES`` of a face, each 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = nn.Linear(len(READ), _TOKENS)
        self.embed = nn.Linear(2, _WIDTH)
        self.answer = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.blocks = nn.Sequential(*(_Mixer() for _ in range(_BLOCKS)))
        self.head = nn.Linear(_WIDTH, len(BLENDSHAPES))

    @classmethod
    def pretrained(cls) -> Self:
        """With the embedded weights."""
        return into(cls(), "face_blendshapes")

    @torch.inference_mode()
    def forward(self, points: Float[Tensor, "faces 478 2"]) -> Float[Tensor, "faces 52"]:
        """Of landmarks in pixels, or in any other unit that is the same across and down."""
        x = points[:, READ]
        x = x - x.mean(1, keepdim=True)
        x = x / x.norm(dim=2, keepdim=True).mean(1, keepdim=True) / 2
        tokens = self.embed(self.gather(x.transpose(1, 2)).transpose(1, 2))
        mixed = self.blocks(torch.cat([self.answer.expand(len(x), -1, -1), tokens], 1))
        return self.head(mixed[:, 0]).sigmoid()
