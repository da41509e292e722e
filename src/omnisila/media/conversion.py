"""From libav's decoded pictures to RGB tensors."""

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from omnisila.media.colour import Colour
from omnisila.media.pictures import UNSPECIFIED_MATRICES, Orientation, Size, has_known_matrix, shown_size

_HD_HEIGHT_PX = 720  # players read untagged pictures from this height on as BT.709, smaller ones as BT.601
_BT601_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # libswscale's, from RGB to grey
_WHITE = 255  # what shows through a transparent picture, as in browsers


class PictureConverter:
    """Turns decoded pictures into tensors of one size, whatever the stream does in between.

    Pictures of another shape keep their proportions, in the middle of a black ground.

    Args:
        size: of the first picture as it is shown.
        long_side_px: the long side's limit; None keeps the size.
    """

    def __init__(self, size: Size, long_side_px: int | None = None) -> None:
        self._size = size.within(long_side_px)
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> UInt8[Tensor, "height width 3"]:
        """Plain 8-bit RGB as an ordinary screen shows it, whatever the depth, range and gamut of the picture."""
        return self._convert(frame, grey=False)

    def luma(self, frame: VideoFrame) -> UInt8[Tensor, "height width"]:
        """Grey only, for cheap comparison of neighbouring pictures."""
        return self._convert(frame, grey=True)

    def _convert(self, frame: VideoFrame, grey: bool) -> Tensor:
        orientation = Orientation.of(frame)
        inner = shown_size(frame).fit_inside(self._size)
        pixels = orientation.apply(self._pixels(frame, inner.turn(orientation), grey))
        if inner != self._size:
            left_px, top_px = (self._size.width_px - inner.width_px) // 2, (self._size.height_px - inner.height_px) // 2
            whole = np.zeros((self._size.height_px, self._size.width_px, *pixels.shape[2:]), np.uint8)
            whole[top_px : top_px + inner.height_px, left_px : left_px + inner.width_px] = pixels
            pixels = whole
        return torch.from_numpy(pixels)

    def _pixels(self, frame: VideoFrame, size: Size, grey: bool) -> np.ndarray:
        colour = Colour.of(frame)
        if not colour.is_sdr:
            rgb = colour.to_sdr(self._reformat(frame, size, "rgb48le"))
        elif any(component.is_alpha for component in frame.format.components):
            rgb = _on_white(self._reformat(frame, size, "rgba"))
        else:
            return self._reformat(frame, size, "gray" if grey else "rgb24")
        return (rgb @ _BT601_LUMA + 0.5).astype(np.uint8) if grey else rgb

    def _reformat(self, frame: VideoFrame, size: Size, pixel_format: str) -> np.ndarray:
        matrix = shown_as = None
        if not has_known_matrix(frame):
            wide = frame.color_primaries == ColorPrimaries.BT2020
            matrix = shown_as = Colorspace.BT2020 if wide else Colorspace.ITU709
        elif frame.colorspace in UNSPECIFIED_MATRICES and frame.height >= _HD_HEIGHT_PX and not frame.format.is_rgb:
            matrix = Colorspace.ITU709
        converted = self._reformatter.reformat(
            frame, width=size.width_px, height=size.height_px, format=pixel_format, src_colorspace=matrix,
            dst_colorspace=shown_as, interpolation=Interpolation.BILINEAR, threads=1,
        )  # fmt: skip
        return converted.to_ndarray()


def _on_white(rgba: UInt8[np.ndarray, "height width 4"]) -> UInt8[np.ndarray, "height width 3"]:
    alpha_frac = rgba[..., 3:] * np.float32(1 / 255)
    return (rgba[..., :3] * alpha_frac + _WHITE * (1 - alpha_frac) + 0.5).astype(np.uint8)
