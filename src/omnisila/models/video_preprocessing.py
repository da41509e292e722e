"""Frames as CLIP-like towers want them, on torch and without a draw of chance.

The original Video-LLaVA's transform mirrors half of all clips, at use as well as in training; this one never does, as
its transformers port never does.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.config import Config
from omnisila.media.transforms import centre_crop, channels_first, normalise, resize_levels

_FRAMES_AT_ONCE = 32  # 0.8 GB of 1080p in float32


class ClipPreprocessing(Config):
    """Short side to the tower's size by bicubic interpolation, the middle cropped, normalised by CLIP's statistics.

    Pictures are resized in rows, then in columns, and rounded to whole grey levels after each, as Pillow does, on which
    transformers' processor rests: no value is off by more than one level in 255 (``tests/unit/models``).
    """

    size_px: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def sized(self, frames: UInt8[Tensor, "frames height width 3"]) -> UInt8[Tensor, "frames size size 3"]:
        """Frames at the tower's size, in whole grey levels: of such frames ``pixels`` makes what it makes of these."""
        return torch.cat([self._sized(part).to(torch.uint8) for part in frames.split(_FRAMES_AT_ONCE)]).movedim(1, -1)

    def pixels(
        self, frames: UInt8[Tensor, "frames height width 3"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "frames 3 size size"]:
        """All frames on the device they came on; large ones are prepared a few at a time."""
        parts = (self._sized(part) for part in frames.split(_FRAMES_AT_ONCE))
        return torch.cat([normalise(part, _levels(self.mean), _levels(self.std)).to(dtype) for part in parts])

    def _sized(self, frames: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames 3 size size"]:
        images = channels_first(frames)
        height_px, width_px = (self.size_px * side_px // min(frames.shape[1:3]) for side_px in frames.shape[1:3])
        return centre_crop(resize_levels(images, height_px, width_px, "bicubic"), self.size_px, self.size_px)


def _levels(fractions: Sequence[float]) -> tuple[float, ...]:
    return tuple(255 * fraction for fraction in fractions)
