"""Frames as CLIP-like towers want them, on torch and without a draw of chance.

The original Video-LLaVA's transform mirrors half of all clips, at use as well as in training; this one never does, as
its transformers port never does.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.config import Config
from omnisila.media.transforms import centre_crop, channels_first, normalise, resize_frames
from omnisila.scenes.boxes import Area


class ClipPreprocessing(Config):
    """Short side to the tower's size by bicubic interpolation, the middle cropped, normalised by CLIP's statistics.

    Its numbers are those of transformers' processor but for a grey level here and there (``tests/unit/models``);
    ``resize_levels`` says for which shapes newer versions of Pillow, on which that processor may rest, differ.
    """

    size_px: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def sized(self, frames: UInt8[Tensor, "frames height width 3"]) -> UInt8[Tensor, "frames size size 3"]:
        """Frames at the tower's size, in whole grey levels: of such frames ``pixels`` makes what it makes of these."""
        height_px, width_px = frames.shape[1:3]
        resized = resize_frames(frames, *self._resized(height_px, width_px)).movedim(-1, 1)
        return centre_crop(resized, self.size_px, self.size_px).movedim(1, -1)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """The part of a frame of that shape that ``sized`` keeps, to the pixel."""
        height_px, width_px = self._resized(height_px, width_px)
        top_px, left_px = (height_px - self.size_px) // 2, (width_px - self.size_px) // 2
        right_px, bottom_px = left_px + self.size_px, top_px + self.size_px
        return left_px / width_px, top_px / height_px, right_px / width_px, bottom_px / height_px

    def pixels(
        self, frames: UInt8[Tensor, "frames height width 3"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "frames 3 size size"]:
        """All frames as the tower reads them, on the device they came on."""
        images = channels_first(self.sized(frames))
        return normalise(images, _levels(self.mean), _levels(self.std)).to(dtype)

    def _resized(self, height_px: int, width_px: int) -> tuple[int, int]:
        shorter_px = min(height_px, width_px)
        return self.size_px * height_px // shorter_px, self.size_px * width_px // shorter_px


def _levels(fractions: Sequence[float]) -> tuple[float, ...]:
    return tuple(255 * fraction for fraction in fractions)
