"""How libav's decoded pictures are to be shown: rotation, pixel shape and size, and what is odd about their looks."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from omnisila.media.colour import Colour

_KNOWN_MATRICES = (1, 4, 5, 6, 7, 9)  # AVColorSpace numbers that libswscale converts from
UNSPECIFIED_MATRICES = (0, 2, 3)  # AVCOL_SPC_RGB, _UNSPECIFIED, _RESERVED


def _unknown_type(cls: type[Type], value: object) -> Type:
    """A side-data type that PyAV has no name for: it is carried along, and nobody asks for it.

    libav adds types faster than PyAV names them, and one unknown type hides all side data of its picture.
    """
    unknown = object.__new__(cls)
    unknown._name_, unknown._value_ = f"UNKNOWN_{value}", value
    return unknown


Type._missing_ = classmethod(_unknown_type)  # pyright: ignore[reportAttributeAccessIssue]


class Orientation(NamedTuple):
    """How a stored picture becomes the one to show: transpose first, then mirror. Source: the display matrix."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """From the frame's display matrix, to the nearest quarter turn; upright when it has none."""
        # the frame itself would keep it, which makes a cycle that holds every picture until garbage is collected
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # pyright: ignore[reportCallIssue]
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

    def turn(self, orientation: Orientation) -> "Size":
        return Size(self.height_px, self.width_px) if orientation.transpose else self

    def fit_inside(self, outer: "Size") -> "Size":
        """This size scaled to touch ``outer`` from inside; all of ``outer`` where only rounding keeps it from that."""
        scale = min(outer.width_px / self.width_px, outer.height_px / self.height_px)
        inner = Size(max(1, round(self.width_px * scale)), max(1, round(self.height_px * scale)))
        return outer if max(outer.width_px - inner.width_px, outer.height_px - inner.height_px) <= 1 else inner


def shown_size(frame: VideoFrame) -> Size:
    """The picture's size with square pixels, upright. ``frame.opaque`` holds the pixels' shape, None for squares."""
    aspect = float(frame.opaque) if isinstance(frame.opaque, Fraction) else 1.0
    size = Size(max(1, round(frame.width * aspect)), frame.height)
    return size.turn(Orientation.of(frame))


def look_notes(frame: VideoFrame, before: VideoFrame | None = None, time_s: float = 0.0) -> Iterator[str]:
    """What a user should know of how a picture is shown, where the one before it was not the same."""
    since = "" if before is None else f" from {time_s:.1f} s on"
    size = shown_size(frame)
    if before is not None and shown_size(before) != size:
        yield (
            f"the pictures are {size.width_px}x{size.height_px} px{since}: "
            "they are fitted into the size of the first one, with their proportions"
        )
    colour = Colour.of(frame)
    if not colour.is_sdr and (before is None or Colour.of(before) != colour):
        yield f"the pictures are in {colour}{since}: they are mapped to SDR (BT.709)"
    if not has_known_matrix(frame) and (before is None or has_known_matrix(before)):
        yield f"the colour matrix of the pictures{since} cannot be converted: hues may be wrong"


def has_known_matrix(frame: VideoFrame) -> bool:
    return frame.colorspace in (*_KNOWN_MATRICES, *UNSPECIFIED_MATRICES)
