"""Which times of a video are looked at, and the frames shown then."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike

from omnisila.media.frames import Frame
from omnisila.media.grid import TIME_TOLERANCE_S, on_grid
from omnisila.media.video import DecodeLimits, VideoReader
from omnisila.schema import Span

_SEEK_GAP_S = 10.0  # skipping less than this, decoding on is cheaper than a seek


def at_rate(frames: Iterable[Frame], rate_hz: float, end_s: float | None = None) -> Iterator[Frame]:
    """The frame shown at each ``k / rate_hz``: the last one at or before it; ``time_s`` becomes that grid time.

    For frames that exist already. From a file, ``VideoReader.at_rate`` does the same and converts only frames in use.

    Args:
        frames: in time order, starting near 0.
        rate_hz: frames per second, > 0.
        end_s: until when the last frame is shown, seconds; by default as long as the one before it.
    """
    last_until_s = None if end_s is None else lambda: end_s
    for time_s, frame in on_grid(frames, rate_hz, end_s=end_s, last_until_s=last_until_s):
        yield Frame(time_s, frame.image)


def uniform_times(
    start_s: float, end_s: float, count: int, ends: bool = False, holes: Sequence[Span] = ()
) -> tuple[float, ...]:
    """Exactly ``count`` times spread evenly over [start_s, end_s).

    Without ``ends`` they are the centres of ``count`` equal parts (the 8 frames of a clip). With ``ends`` the first is
    ``start_s`` and the last ``end_s`` itself, where ``frames_at`` gives the last frame: emotional reaction's 32.
    A lone time with ``ends`` is the middle. Time in ``holes``, which ascend, is left out: none falls into it.
    """
    inside = [hole for hole in holes if start_s < hole.end_s and hole.start_s < end_s]
    length_s = end_s - start_s - sum(min(hole.end_s, end_s) - max(hole.start_s, start_s) for hole in inside)
    shares = [(i + 0.5) / count if count == 1 or not ends else i / (count - 1) for i in range(count)]
    times_s = [start_s + length_s * share for share in shares]
    for hole in inside:
        begin_s = max(hole.start_s, start_s)
        times_s = [time_s + min(hole.end_s, end_s) - begin_s if time_s >= begin_s else time_s for time_s in times_s]
    return tuple(times_s)


def window_starts(start_s: float, end_s: float, window_s: float, step_s: float | None = None) -> tuple[float, ...]:
    """Where windows of ``window_s`` begin so that together they cover [start_s, end_s); the last may pass the end.

    Args:
        step_s: from one start to the next; by default windows touch without overlap.
    """
    step_s = window_s if step_s is None else step_s
    starts = [start_s]
    while starts[-1] + window_s < end_s - TIME_TOLERANCE_S:
        starts.append(start_s + len(starts) * step_s)
    return tuple(starts)


def frames_at(
    path: str | PathLike[str],
    times_s: Sequence[float],
    *,
    long_side_px: int | None = None,
    limits: DecodeLimits | None = None,
) -> tuple[Frame, ...]:
    """The frame shown at each of the times, in the order asked, one for each; ``time_s`` is the time asked for.

    Times before the first frame get the first, times at or after the end the last. Far-apart times are reached by
    seeking.

    Raises:
        MediaError: the file cannot be read.
    """
    found = {frame.time_s: frame for frame in each_at(path, times_s, long_side_px=long_side_px, limits=limits)}
    return tuple(found[time_s] for time_s in times_s)


def each_at(
    path: str | PathLike[str],
    times_s: Iterable[float],
    *,
    long_side_px: int | None = None,
    limits: DecodeLimits | None = None,
) -> Iterator[Frame]:
    """``frames_at`` one by one, in order of time and each time once: whoever shrinks them holds one at full size.

    Raises:
        MediaError: the file cannot be read.
    """
    reader = VideoReader(path, limits)
    wanted = sorted(set(times_s))
    while wanted:
        near = [wanted[0]]
        for time_s in wanted[1:]:
            if time_s - near[-1] > _SEEK_GAP_S:
                break
            near.append(time_s)
        yield from reader.shown_at(near, long_side_px=long_side_px)
        wanted = wanted[len(near) :]
