"""From libav's decoded pictures to RGB tensors: colour, rotation, pixel shape and size in one conversion."""

import struct
from typing import NamedTuple

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

_UNSPECIFIED_COLORSPACES = (0, 2, 3)  # AVCOL_SPC_RGB, _UNSPECIFIED, _RESERVED
_HD_HEIGHT_PX = 720  # players read untagged pictures from this height on as BT.709, smaller ones as BT.601


class Orientation(NamedTuple):
    """How a stored picture becomes the one to show: transpose first, then mirror. Source: the display matrix."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """From the frame's display matrix, to the nearest quarter turn; upright when it has none."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]
        if abs(a) >= abs(b):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn in degrees: 0, 90, 180 or 270; a mirrored picture counts by its turn alone."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        if self.flip_x:
            pixels = pixels[:, ::-1]
        if self.flip_y:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


class Size(NamedTuple):
    width_px: int
    height_px: int

    def within(self, long_side_px: int | None) -> "Size":
        """This size scaled down, never up, until its long side fits."""
        if long_side_px is None or max(self) <= long_side_px:
            return self
        scale = long_side_px / max(self)
        return Size(max(1, round(self.width_px * scale)), max(1, round(self.height_px * scale)))

    def turned(self, orientation: Orientation) -> "Size":
        return Size(self.height_px, self.width_px) if orientation.transpose else self


def display_size(frame: VideoFrame, sample_aspect: float) -> Size:
    """The stored picture's size with square pixels; the height stays."""
    return Size(max(1, round(frame.width * sample_aspect)), frame.height)


class PictureConverter:
    """Turns decoded pictures into tensors of one size, whatever the stream does in between.

    Args:
        size: of the stored picture with square pixels, before orientation; every picture is scaled to it.
        orientation: applied last, so that only small pictures are turned.
        long_side_px: the long side's limit; None keeps the size.
    """

    def __init__(self, size: Size, orientation: Orientation, long_side_px: int | None = None) -> None:
        self._size = size.within(long_side_px)
        self._orientation = orientation
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> UInt8[Tensor, "height width 3"]:
        """Alpha is ignored; 10-bit, grey and palette pictures become plain 8-bit RGB."""
        return self._convert(frame, "rgb24", Interpolation.BILINEAR)

    def luma(self, frame: VideoFrame) -> UInt8[Tensor, "height width"]:
        """Grey only, for cheap comparison of neighbouring pictures."""
        return self._convert(frame, "gray", Interpolation.BILINEAR)

    def _convert(self, frame: VideoFrame, pixel_format: str, interpolation: Interpolation) -> Tensor:
        matrix = None
        if frame.colorspace in _UNSPECIFIED_COLORSPACES and frame.height >= _HD_HEIGHT_PX and not frame.format.is_rgb:
            matrix = Colorspace.ITU709
        converted = self._reformatter.reformat(
            frame,
            width=self._size.width_px,
            height=self._size.height_px,
            format=pixel_format,
            src_colorspace=matrix,
            interpolation=interpolation,
            threads=1,
        )
        return torch.from_numpy(self._orientation.apply(converted.to_ndarray()))
