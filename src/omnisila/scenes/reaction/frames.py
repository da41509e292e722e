"""The frames of a clip that all modalities describe: exactly as many as asked for, equidistant, both ends among them.

Source: emotional-reaction paper 5.1. A modulo rule, as ViPER's code has, gives more or fewer for some lengths.
"""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from omnisila.errors import MediaError
from omnisila.media.frames import Frame
from omnisila.media.sampling import uniform_times
from omnisila.media.video import VideoInfo, VideoReader
from omnisila.schema import Span

_SEEK_GAP_S = 10.0  # skipping less than this, decoding on is cheaper than a seek


class ClipFrames(NamedTuple):
    """Frames of a clip; a picture that is shown at several of the times is kept once.

    ``times_s`` are the video's; ``picture`` says which of the pictures is shown at each.
    """

    times_s: Float[Tensor, "frames"]
    picture: Int[Tensor, "frames"]
    pictures: UInt8[Tensor, "pictures height width 3"]
    span: Span
    info: VideoInfo
    warnings: tuple[str, ...]


def clip_frames(
    path: str | PathLike[str], count: int, span: Span | None = None, long_side_px: int | None = None
) -> ClipFrames:
    """``count`` frames of a clip or of a stretch of it; the first and the last picture are always among them.

    A clip with fewer pictures repeats some, so that a mere 0.3 s give as many rows as a minute.

    Raises:
        MediaError: the file cannot be read, or ends before the stretch.
    """
    reader = VideoReader(path)
    duration_s = reader.info.duration_s
    if span is not None and span.start_s >= duration_s:
        raise MediaError(
            f"{path}: no pictures from {span.start_s:.1f} s on, it lasts {duration_s:.1f} s. Ask within it."
        )
    span = Span(start_s=span.start_s if span else 0.0, end_s=min(span.end_s, duration_s) if span else duration_s)
    times_s = uniform_times(span.start_s, span.end_s, count, ends=True, holes=reader.info.holes)
    warnings: dict[str, None] = {}
    pictures: list[Tensor] = []
    picture: list[int] = []
    for frame in _shown(reader, times_s, long_side_px, warnings):
        if not pictures or not torch.equal(frame.image, pictures[-1]):
            pictures.append(frame.image)
        picture.append(len(pictures) - 1)
    if len(pictures) < count:
        still = "a still picture" if reader.info.still else f"only {len(pictures)} different pictures"
        warnings[f"{still}: {count} frames repeat what there is"] = None
    return ClipFrames(
        torch.tensor(times_s, dtype=torch.float32),
        torch.tensor(picture),
        torch.stack(pictures),
        span,
        reader.info,
        tuple(warnings),
    )


def _shown(
    reader: VideoReader, times_s: Sequence[float], long_side_px: int | None, warnings: dict[str, None]
) -> Iterator[Frame]:
    near = len(times_s) < 2 or times_s[1] - times_s[0] <= _SEEK_GAP_S
    for part in [times_s] if near else [[time_s] for time_s in times_s]:
        yield from reader.shown_at(part, long_side_px=long_side_px)
        warnings.update(dict.fromkeys(reader.warnings))
