"""Clips and pictures of a video: H.264 that any browser plays, JPEG key frames, faces blurred if asked."""

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from os import PathLike
from typing import NamedTuple

import av
import torch.nn.functional as F
from av.video.frame import VideoFrame
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from omnisila.errors import MediaError
from omnisila.media.frames import Frame
from omnisila.media.video import VideoReader
from omnisila.schema import Box

_BLUR_CELLS = 4  # a blurred box keeps this many samples a side: too few to tell one face from another
_BLUR_MARGIN_FRAC = 0.15  # of the box, on each side: detectors cut foreheads and chins
_MAX_BIT_RATE = 1_000_000_000  # libav holds rates in 32 bits; no picture needs as much
_BUDGET_SHARE = 0.85  # of the bytes, for the pictures; the rest is headers and the rate control's slack


class Quality(NamedTuple):
    """How a clip is coded: its long side and rate at most, and x264's constant rate factor."""

    long_side_px: int
    rate_hz: float
    crf: int


PREVIEW = (Quality(480, 25.0, 26), Quality(480, 12.0, 32), Quality(320, 8.0, 36), Quality(240, 4.0, 40))
AS_FILMED = (Quality(4096, 60.0, 18), Quality(1920, 30.0, 23), Quality(960, 25.0, 28))


def cut(
    path: str | PathLike[str],
    start_s: float,
    end_s: float,
    max_bytes: int,
    *,
    ladder: Sequence[Quality] = PREVIEW,
    blur_at: Callable[[float], Sequence[Box]] | None = None,
) -> bytes:
    """The stretch [start_s, end_s) as an mp4 file: H.264, yuv420p, even sizes, no sound, index first.

    Quality goes down step by step until the budget is met: first the bit rate, then size and frame rate.

    Args:
        start_s: seconds, as all times of this room.
        end_s: seconds; what lies past the video's end is left out.
        max_bytes: the file's size at most.
        ladder: the qualities to try, best first.
        blur_at: the boxes to blur at a time of the source video, asked for each frame.

    Raises:
        MediaError: nothing can be read there, or even the lowest quality exceeds ``max_bytes``.
    """
    reader = VideoReader(path)
    for quality in ladder:
        rate_hz = min(reader.info.rate_hz or quality.rate_hz, quality.rate_hz)
        frames = reader.at_rate(rate_hz, start_s=start_s, end_s=end_s, long_side_px=quality.long_side_px)
        if blur_at is not None:
            frames = (Frame(frame.time_s, blur_boxes(frame.image, blur_at(frame.time_s))) for frame in frames)
        data = _encode(frames, rate_hz, quality.crf, _BUDGET_SHARE * max_bytes * 8 / (end_s - start_s))
        if data is None:
            raise MediaError(f"{path}: no pictures between {start_s:.1f} and {end_s:.1f} s. Ask for a time inside it.")
        if len(data) <= max_bytes:
            return data
    raise MediaError(
        f"{path}: {start_s:.1f}-{end_s:.1f} s cannot be shown in {max_bytes} bytes. Allow more or cut a shorter piece."
    )


def jpeg(
    image: UInt8[Tensor, "height width 3"],
    *,
    long_side_px: int | None = None,
    quality: int = 82,
    blur: Sequence[Box] = (),
) -> bytes:
    """A frame as a JPEG file, scaled down to a long side if given."""
    picture = Image.fromarray(blur_boxes(image, blur).numpy())
    if long_side_px is not None:
        picture.thumbnail((long_side_px, long_side_px), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def blur_boxes(image: UInt8[Tensor, "height width 3"], boxes: Sequence[Box]) -> UInt8[Tensor, "height width 3"]:
    """A copy in which the boxes, with a margin, are smeared beyond recognition; without boxes the image itself."""
    if not boxes:
        return image
    image = image.clone()
    height_px, width_px = image.shape[:2]
    for box in boxes:
        margin_x = (box.right_frac - box.left_frac) * _BLUR_MARGIN_FRAC
        margin_y = (box.bottom_frac - box.top_frac) * _BLUR_MARGIN_FRAC
        left = max(int((box.left_frac - margin_x) * width_px), 0)
        top = max(int((box.top_frac - margin_y) * height_px), 0)
        right = min(int((box.right_frac + margin_x) * width_px) + 1, width_px)
        bottom = min(int((box.bottom_frac + margin_y) * height_px) + 1, height_px)
        if right <= left or bottom <= top:
            continue
        patch = image[top:bottom, left:right].movedim(-1, 0)[None].float()
        cells = F.adaptive_avg_pool2d(patch, (min(_BLUR_CELLS, bottom - top), min(_BLUR_CELLS, right - left)))
        smear = F.interpolate(cells, (bottom - top, right - left), mode="bilinear", align_corners=False)
        image[top:bottom, left:right] = smear[0].movedim(0, -1).round().to(image.dtype)
    return image


def _encode(frames: Iterable[Frame], rate_hz: float, crf: int, max_bit_rate: float) -> bytes | None:
    """An mp4 file of the frames, or None when there are none."""
    rate = Fraction(rate_hz).limit_denominator(1001)
    bits = str(min(max(int(max_bit_rate), 1000), _MAX_BIT_RATE))
    options = {"crf": str(crf), "preset": "veryfast", "maxrate": bits, "bufsize": bits}
    written, stream = io.BytesIO(), None

    def read_back(*_: object) -> io.BytesIO:
        return io.BytesIO(written.getvalue())  # libav does so to move the index to the front

    with av.open(written, "w", "mp4", options={"movflags": "+faststart"}, io_open=read_back) as container:
        for index, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options=options)
                height_px, width_px = frame.image.shape[:2]
                stream.width, stream.height = max(width_px // 2 * 2, 2), max(height_px // 2 * 2, 2)
                stream.pix_fmt = "yuv420p"
            picture = VideoFrame.from_ndarray(frame.image.numpy(), "rgb24")
            picture = picture.reformat(stream.width, stream.height, "yuv420p")
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode())
    return written.getvalue() if stream is not None else None
