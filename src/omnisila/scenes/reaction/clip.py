"""A clip: what is given of it, the frames that all modalities describe, and what they say of each.

The frames are exactly as many as asked for, equidistant, both ends among them. Source: ViPER's per-frame tokens,
emotional-reaction paper 4.3 and 5.1. A modulo rule, as ViPER's code has, gives more or fewer for some lengths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from omnisila.digests import digest, file_digest
from omnisila.errors import MediaError, RecordError
from omnisila.media.frames import Frame
from omnisila.media.sampling import uniform_times
from omnisila.media.video import VideoInfo, VideoReader
from omnisila.schema import Span

FRAMES = 32  # emotional-reaction paper 5.1
_SEEK_GAP_S = 10.0  # skipping less than this, decoding on is cheaper than a seek


@dataclass(frozen=True)
class Clip:
    """A clip to extract features of.

    Args:
        span: a stretch of the file; the whole file where it is not given.
        description: what a Video-LLM wrote of the clip, or of each of its frames.
        tables: modality -> CSV file with features that another program measured (``scenes.reaction.tables``).
    """

    path: Path
    span: Span | None = None
    description: str | tuple[str, ...] | None = None
    tables: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, given: "Clip | str | PathLike[str]") -> "Clip":
        """A clip as it is; of a path, the whole file with nothing beside it."""
        return given if isinstance(given, Clip) else cls(Path(given))

    def only(self, tables: Mapping[str, int], described: bool) -> Self:
        """Without what an extractor does not read, so that this does not make other features of it."""
        kept = {name: path for name, path in self.tables.items() if name in tables}
        return type(self)(self.path, self.span, self.description if described else None, kept)

    @property
    def digest(self) -> str:
        """SHA-256 over everything but the video itself.

        Raises:
            RecordError: a table cannot be read.
        """
        parts = {
            "span": [self.span.start_s, self.span.end_s] if self.span else None,
            "description": self.description,
            "tables": {name: _table_digest(path) for name, path in sorted(self.tables.items())},
        }
        return digest(json.dumps(parts, sort_keys=True))


@dataclass(frozen=True)
class Modality:
    """What one modality says of each frame; zero where the mask is false."""

    values: Float[Tensor, "frames width"]
    mask: Bool[Tensor, "frames"]

    @classmethod
    def absent(cls, frames: int, width: int) -> "Modality":
        """Of a clip that has none: no track, no face, no text."""
        return cls(torch.zeros(frames, width), torch.zeros(frames, dtype=torch.bool))

    @classmethod
    def of_clip(cls, vector: Float[Tensor, "width"]) -> "Modality":
        """A vector that stands for the whole clip: a single frame, which is always there."""
        return cls(vector.unsqueeze(0), torch.ones(1, dtype=torch.bool))

    @classmethod
    def where(cls, values: Float[Tensor, "frames width"], mask: Bool[Tensor, "frames"]) -> "Modality":
        """Values that count where the mask is true, and zero elsewhere."""
        return cls(torch.where(mask[:, None], values, torch.zeros(())), mask)

    @property
    def present(self) -> bool:
        return bool(self.mask.any())

    @property
    def stored(self) -> "Modality":
        """The same in what half precision can tell, as it is kept: fresh and cached features are equal."""
        return Modality(self.values.half().float(), self.mask)


@dataclass(frozen=True)
class ReactionFeatures:
    """One clip.

    Args:
        modalities: all of ``MODALITIES``; one that is missing is all masked.
        kinds: modality -> what its numbers are, such as ``blendshapes``, which stand where facial action units
            would and is none.
        times_s: when the frames are shown, from the clip's start.
        seconds: stage -> seconds it took; empty for features from the cache.
    """

    modalities: dict[str, Modality]
    kinds: dict[str, str]
    times_s: Float[Tensor, "frames"]
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """Modalities that no frame has."""
        return tuple(name for name, modality in self.modalities.items() if not modality.present)


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
    for frame in _read_frames(reader, times_s, long_side_px, warnings):
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


def _read_frames(
    reader: VideoReader, times_s: Sequence[float], long_side_px: int | None, warnings: dict[str, None]
) -> Iterator[Frame]:
    near = len(times_s) < 2 or times_s[1] - times_s[0] <= _SEEK_GAP_S
    for part in [times_s] if near else [[time_s] for time_s in times_s]:
        yield from reader.shown_at(part, long_side_px=long_side_px)
        warnings.update(dict.fromkeys(reader.warnings))


def _table_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Give a CSV file that exists.") from None
