"""Real video files as frames in time order: probe, read, sample at a rate, all in bounded memory.

For readers of this room:

* ``VideoReader(path)`` is iterable (every frame, full size) and re-iterable. For anything else use
  ``reader.at_rate(rate_hz, long_side_px=...)``: it converts only the frames that are used, straight to the wanted size.
* ``reader.with_luma(rate_hz, luma_per_frame, ...)`` is ``at_rate`` plus the small grey pictures shown between frames,
  from which motion is read.
* Times are seconds from the container's start: its earliest timestamp over all streams is 0, as in players.
* Rotation and mirroring flags, pixel shape and colour are applied, HDR is mapped to SDR; ``VideoInfo`` describes what
  is shown. Pictures of another shape later on are fitted into the first one's.
* ``reader.warnings`` and ``reader.decoded_ratio`` describe the latest pass and are final when it is finished.
* Where nothing was decoded for long, sampled frames leave a hole: the times in it are left out.
* A still picture is a video of one frame shown for one second; an animation (gif, apng, webp, avif) is a video.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from omnisila.digests import file_digest
from omnisila.media.clock import ENDS_EARLY, HOLD_S, Picture
from omnisila.media.container import check_file
from omnisila.media.conversion import PictureConverter
from omnisila.media.decoder import Stretch
from omnisila.media.frames import Frame, Luma, LumaFrame
from omnisila.media.grid import TIME_TOLERANCE_S, on_grid
from omnisila.media.pictures import Size
from omnisila.media.source import STILL_S, DecodeLimits, VideoInfo, open_source

__all__ = ["STILL_S", "DecodeLimits", "VideoInfo", "VideoReader", "probe", "sha256"]

UNDECODED = "could not be decoded"  # in every warning of damage inside a file
_TAIL_TOLERANCE_S = 0.5  # headers round, and a stated duration may include a little more sound than pictures


def sha256(path: str | PathLike[str]) -> str:
    """The file's SHA-256 in hexadecimal.

    Raises:
        MediaError: the file cannot be read.
    """
    check_file(Path(path))
    return file_digest(Path(path))


def probe(path: str | PathLike[str], limits: DecodeLimits | None = None) -> VideoInfo:
    """What a video or still picture holds; its first picture is decoded to be sure that there is one.

    Raises:
        MediaError: it cannot be read as a video; the message says why and what to do.
    """
    return VideoReader(path, limits).info


class VideoReader:
    """A video file as frames in time order.

    Raises:
        MediaError: it cannot be read as a video at all. Damage inside is no error: see ``warnings``.
    """

    def __init__(self, path: str | PathLike[str], limits: DecodeLimits | None = None) -> None:
        self.limits = limits or DecodeLimits()
        self.path = Path(path)
        self._source = open_source(self.path, self.limits)
        self._limit_hit: str | None = None
        self._tail_known = False
        self._end_s = 0.0

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        """Every frame, full size."""
        convert = self._converter(None)
        for picture in self.pictures():
            yield Frame(picture.time_s, convert.rgb(picture.frame))

    def at_rate(
        self, rate_hz: float, *, start_s: float = 0.0, end_s: float | None = None, long_side_px: int | None = None
    ) -> Iterator[Frame]:
        """The frame shown at each ``start_s + k / rate_hz`` before ``end_s``; its ``time_s`` is that time.

        Frames are repeated where the video's own rate is lower. A frame used twice is converted once: treat images as
        read-only.

        Args:
            rate_hz: frames per second, > 0.
            start_s: first time, seconds.
            end_s: end, seconds; None means the end of the video.
            long_side_px: frames are scaled down to this long side while they are converted; never up.
        """
        convert = self._converter(long_side_px)
        last: tuple[Picture, UInt8[Tensor, "height width 3"]] | None = None
        for time_s, picture in self._grid(rate_hz, start_s, end_s):
            if last is None or last[0] is not picture:
                last = (picture, convert.rgb(picture.frame))
            yield Frame(time_s, last[1])

    def with_luma(
        self,
        rate_hz: float,
        luma_per_frame: int,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        long_side_px: int | None = None,
        luma_long_side_px: int = 160,
    ) -> Iterator[LumaFrame]:
        """``at_rate`` with, beside each frame, the small grey pictures shown from it until the next one.

        Grey pictures are taken ``luma_per_frame`` times as often as frames. Each carries its own timestamp, so one that
        is merely held (a slow video) can be told from a new one.
        """
        grid = self._grid(rate_hz * luma_per_frame, start_s, end_s)
        convert, small = self._converter(long_side_px), self._converter(luma_long_side_px)
        return luma_frames(grid, rate_hz, luma_per_frame, convert, small, start_s)

    def shown_at(self, times_s: Sequence[float], *, long_side_px: int | None = None) -> Iterator[Frame]:
        """The frame shown at each of the times, which must ascend; ``time_s`` is the time asked for.

        Starts near the first time by seeking, then decodes on. Times past the end get the last frame.
        """
        convert = self._converter(long_side_px)
        wanted = deque(times_s)
        held: Picture | None = None
        for picture in self.pictures(wanted[0] if wanted else 0.0):
            while held is not None and wanted and wanted[0] < picture.time_s - TIME_TOLERANCE_S:
                yield Frame(wanted.popleft(), convert.rgb(held.frame))
            if not wanted:
                return
            held = picture
        while held is not None and wanted:
            yield Frame(wanted.popleft(), convert.rgb(held.frame))

    def pictures(self, start_s: float = 0.0) -> Iterator[Picture]:
        """Decoded but unconverted pictures, from one at or before ``start_s`` to the end or a limit."""
        self._limit_hit, self._tail_known, self._end_s = None, False, 0.0
        empty_s = 0.0
        for count, picture in enumerate(self._source.pictures(start_s)):
            empty_s += 0.0 if picture.hole_from_s is None else picture.time_s - picture.hole_from_s
            if count >= self.limits.max_frames:
                self._limit_hit = f"{self.limits.max_frames} frames (DecodeLimits.max_frames)"
            elif picture.time_s - empty_s >= self.limits.max_seconds:
                self._limit_hit = f"{self.limits.max_seconds:g} seconds (DecodeLimits.max_seconds)"
            if self._limit_hit:
                break
            self._end_s = picture.end_s
            yield picture
        self._tail_known = True

    @property
    def decoded_ratio(self) -> float:
        """Share that gave intact pictures in the latest pass, 0 to 1, of the time for which the file has pictures."""
        end_s = max(self.info.duration_s, self._source.claimed_s, self._end_s)
        expected_s = end_s - self._empty_s(0.0, end_s)
        cut_s = 1 / (self.info.rate_hz or 25) if ENDS_EARLY in self._source.notes else 0.0  # one picture at least
        lost_s = self._source.account.lost_s + max(self._missing_tail_s(), cut_s)
        return min(max(1.0 - lost_s / expected_s, 0.0), 1.0) if expected_s > 0 else 1.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the latest pass could not read, in plain words; at most a dozen lines however broken the file."""
        account = self._source.account
        lines = [_loss(lost) for lost in account.lost]
        if account.lost_s > sum(lost.lost_s for lost in account.lost) + TIME_TOLERANCE_S:
            lines.append(f"further on more is damaged: {account.lost_s:.1f} s {UNDECODED} in all")
        if self._limit_hit:
            lines.append(f"reading stopped at {self._end_s:.1f} s, at the limit of {self._limit_hit}")
        elif self._missing_tail_s() > 0:
            lines.append(
                f"the pictures end at {self._end_s:.1f} s although the file states {self._source.claimed_s:.1f} s: "
                "it was cut off or is damaged at its end"
            )
        return (*lines, *self._source.notes, *account.notes)

    def _converter(self, long_side_px: int | None) -> PictureConverter:
        return PictureConverter(Size(self.info.width_px, self.info.height_px), long_side_px)

    def _grid(self, rate_hz: float, start_s: float, end_s: float | None) -> Iterator[tuple[float, Picture]]:
        return on_grid(
            self.pictures(start_s), rate_hz, start_s, end_s, self._last_until_s, lambda picture: picture.hole_from_s
        )

    def _empty_s(self, start_s: float, end_s: float) -> float:
        """How much of a stretch the file has no pictures for."""
        return sum(max(min(hole.end_s, end_s) - max(hole.start_s, start_s), 0.0) for hole in self.info.holes)

    def _missing_tail_s(self) -> float:
        """Time at the end that should have pictures and has none."""
        tail_s = self._source.claimed_s - self._end_s
        tail_s -= self._empty_s(self._end_s, self._source.claimed_s)
        tolerance_s = 0.0 if self._limit_hit else _TAIL_TOLERANCE_S
        return tail_s if self._tail_known and tail_s > tolerance_s else 0.0

    def _last_until_s(self) -> float:
        return self._end_s if self._missing_tail_s() > 0 else max(self._end_s, self.info.duration_s)


def luma_frames(
    grid: Iterator[tuple[float, Picture]],
    rate_hz: float,
    luma_per_frame: int,
    convert: PictureConverter,
    small: PictureConverter,
    start_s: float = 0.0,
) -> Iterator[LumaFrame]:
    """Frames with the grey pictures shown from each until the next one, of any source of pictures.

    Args:
        grid: pictures at ``start_s + k / (rate_hz * luma_per_frame)``; holes leave times out.
    """
    last: Picture | None = None
    image: UInt8[Tensor, "height width 3"] | None = None
    frame: Frame | None = None
    lumas: list[Luma] = []
    luma_hz = rate_hz * luma_per_frame
    for time_s, picture in grid:
        if round((time_s - start_s) * luma_hz) % luma_per_frame == 0:
            if frame is not None:
                yield LumaFrame(frame, tuple(lumas))
            image = convert.rgb(picture.frame) if image is None or picture is not last else image
            frame, lumas = Frame(time_s, image), []
            last = picture
        if frame is None or time_s - frame.time_s > 1 / rate_hz - TIME_TOLERANCE_S:
            continue  # after a hole, before the next frame
        if not lumas or lumas[-1].time_s != picture.time_s:
            lumas.append(Luma(picture.time_s, small.luma(picture.frame)))
    if frame is not None:
        yield LumaFrame(frame, tuple(lumas))


def _loss(lost: Stretch) -> str:
    whole = lost.end_s - lost.start_s - lost.lost_s < TIME_TOLERANCE_S
    share = "" if whole else f"{lost.lost_s:.1f} s of "
    span = f"{lost.start_s:.1f}-{lost.end_s:.1f} s"
    if whole and lost.lost_s > HOLD_S:
        return f"{span} {UNDECODED} ({lost.reason}): that time is not judged"
    neighbour = "before" if lost.start_s > 0 else "after it"
    return f"{share}{span} {UNDECODED} ({lost.reason}): the picture {neighbour} is taken for that time"
