"""Image files by Pillow as frames of 8-bit RGB, with what Pillow's own conversion gets wrong put right."""

from collections.abc import Container
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageCms, ImageOps

PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError)  # what Pillow raises on damaged files
_DEFAULT_DISPLAY_S = 0.1  # browsers take this where an animation states 10 ms or less
_LEAST_DISPLAY_S = 0.011
_PICTURE = b"ANMF"


def frame_of(image: Image.Image) -> VideoFrame:
    """The picture, upright by its EXIF orientation; with alpha where it has some.

    Raises:
        PICTURE_ERRORS: it is damaged.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("F", "I") or upright.mode.startswith("I;16"):
        grey = eight_bits(np.asarray(upright), full_scale=65535 if upright.mode.startswith("I;16") else None)
        return VideoFrame.from_ndarray(np.ascontiguousarray(np.stack([grey] * 3, axis=-1)), format="rgb24")
    if upright.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        upright = ImageCms.profileToProfile(upright, lab, srgb, outputMode="RGB") or upright
    mode, pixel_format = ("RGBA", "rgba") if upright.has_transparency_data else ("RGB", "rgb24")
    return VideoFrame.from_ndarray(np.array(upright.convert(mode)), format=pixel_format)


def eight_bits(
    values: Shaped[np.ndarray, "height width"], full_scale: float | None = None
) -> UInt8[np.ndarray, "height width"]:
    """Grey values of any type as 0..255, black at 0.

    Args:
        full_scale: the value that is white. None: what fits the values, 1 for floating point, 255 or 65535 for whole
            numbers, and beyond these the greatest value.
    """
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if full_scale is None:
        usual = (1.0,) if values.dtype.kind == "f" else (255.0, 65535.0)
        greatest = float(finite.max())
        full_scale = next((white for white in usual if greatest <= white), greatest)
    return (np.clip(finite / full_scale, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


class WebPAnimation(NamedTuple):
    """What is whole of an animated WebP, chunk by chunk.

    Args:
        missing_frac: how much of what the file says that it holds is missing, by bytes.

    Source: RFC 9649 section 2.7.
    """

    head: bytes
    pictures: tuple[bytes, ...]
    missing_frac: float

    @classmethod
    def of(cls, path: Path) -> "WebPAnimation | None":
        """The animation in a file, up to where its chunks are no longer whole; None where it is none."""
        with path.open("rb") as file:
            content = file.read(16)
            if content[:4] != b"RIFF" or content[8:] != b"WEBPVP8X":
                return None
            content += file.read()
        size, at = 8 + int.from_bytes(content[4:8], "little"), 12
        head = b""
        pictures: list[bytes] = []
        while at + 8 <= len(content):
            end = at + 8 + (int.from_bytes(content[at + 4 : at + 8], "little") + 1) // 2 * 2
            kind = content[at : at + 4]
            if end > len(content) or not kind.isascii() or not kind.decode().isprintable():
                break
            if kind == _PICTURE:
                pictures.append(content[at:end])
            elif not pictures:
                head += content[at:end]
            at = end
        return cls(head, tuple(pictures), max(1.0 - at / size, 0.0)) if pictures else None

    def damaged(self) -> set[int]:
        """The numbers of pictures that libwebp cannot make out, and others behind them only without these."""
        with suppress(*PICTURE_ERRORS), self.open() as image:
            if getattr(image, "n_frames", 1) == len(self.pictures):
                return set()
        found: set[int] = set()
        for number in range(len(self.pictures)):
            try:
                self.open(without={*range(len(self.pictures))} - {number}).close()
            except PICTURE_ERRORS:
                found.add(number)
        return found

    def open(self, without: Container[int] = ()) -> Image.Image:
        """The animation of the whole pictures, without some of them.

        Raises:
            PICTURE_ERRORS: those that are left are damaged.
        """
        body = b"".join([self.head, *(chunk for n, chunk in enumerate(self.pictures) if n not in without)])
        return Image.open(BytesIO(b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body), formats=("WEBP",))

    @property
    def displays_s(self) -> tuple[float, ...]:
        """How long each picture is shown."""
        stated = (int.from_bytes(chunk[20:23], "little") / 1000 for chunk in self.pictures)
        return tuple(display_s if display_s >= _LEAST_DISPLAY_S else _DEFAULT_DISPLAY_S for display_s in stated)
