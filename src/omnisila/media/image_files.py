"""Image files by Pillow as frames of 8-bit RGB, with what Pillow's own conversion gets wrong put right."""

from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageCms, ImageOps

PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError)  # what Pillow raises on damaged files
_DEFAULT_DISPLAY_S = 0.1  # browsers take this where an animation states 10 ms or less
_LEAST_DISPLAY_S = 0.011


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


def webp_displays_s(path: Path) -> tuple[float, ...]:
    """How long each picture of an animated WebP is shown, from the file's chunk headers alone.

    Source: RFC 9649 section 2.7.1.1.
    """
    found: list[float] = []
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            start = file.tell()
            if header[:4] == b"ANMF":
                display_s = int.from_bytes(file.read(16)[12:15], "little") / 1000
                found.append(display_s if display_s >= _LEAST_DISPLAY_S else _DEFAULT_DISPLAY_S)
            file.seek(start + length + length % 2)
    return tuple(found)
