"""Presentation times that always run forward, whatever timestamps a file carries."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from av.video.frame import VideoFrame

FALLBACK_FRAME_S = 0.04  # a picture's display time where nothing in the file says it
_JUMP_S = 1.0  # timestamps that leap farther than this are to be doubted, not merely out of order
_BEYOND_S = 60.0  # past the stated end; headers are wrong by seconds, broken timestamps by hours
_STARTS_OVER = 3  # pictures in a row that jump back


class Picture(NamedTuple):
    """A decoded picture, still in the codec's own format: converting it is expensive and left to who needs it.

    ``end_s`` is where its own display time ends; until the next picture it stays on the screen in any case.
    """

    time_s: float
    end_s: float
    frame: VideoFrame


class Clock:
    """Gives pictures their times, from the container's timestamps as far as these can be believed.

    Args:
        start_s: the container's time that becomes 0; None means the first picture's.
        duration_s: the duration where it is known: timestamps far beyond it are not believed.
        frame_s: nominal display time of a picture, None if unknown.
        note: called with a line for the user for each oddity that moved a time.
    """

    def __init__(
        self, start_s: float | None, duration_s: float | None, frame_s: float | None, note: Callable[[str], None]
    ) -> None:
        self.start_s = start_s
        self._duration_s = duration_s
        self._frame_s = frame_s
        self._note = note
        self._shift_s = 0.0
        self._stale = 0

    def pictures(self, frames: Iterable[VideoFrame]) -> Iterator[Picture]:
        """The frames with times that ascend; frames that contradict what came before them are left out.

        A picture that leaps ahead waits for the next: one that takes the leap back proves its timestamp wrong.
        """
        last: Picture | None = None
        leaping: Picture | None = None
        for frame in frames:
            time_s = self._time_of(frame, last)
            if time_s is None or (last is not None and time_s <= last.time_s):
                continue
            picture = Picture(time_s, time_s + self._display_s(frame, last, time_s), frame)
            if leaping is not None:
                if picture.time_s > leaping.time_s:
                    yield leaping
                    last = leaping
                leaping = None
            if last is not None and picture.time_s > last.end_s + _JUMP_S:
                leaping = picture
            else:
                yield picture
                last = picture
        if leaping is not None:
            yield leaping

    def _time_of(self, frame: VideoFrame, last: Picture | None) -> float | None:
        """Its time, which runs on where timestamps are missing, start over or leave the file.

        None for a stale picture: one or two that jump back are a decoder's leftovers, more are a clock starting over.
        """
        next_s = last.end_s if last else 0.0
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is None or frame.time_base is None:
            return next_s
        stamp_s = float(ticks * frame.time_base)
        if self.start_s is None:
            self.start_s = stamp_s
        time_s = stamp_s - self.start_s + self._shift_s
        if last is None:
            return max(time_s, 0.0)
        if time_s < last.time_s - _JUMP_S:
            self._stale += 1
            if self._stale < _STARTS_OVER:
                return None
            self._note(f"timestamps jump back at {next_s:.1f} s: what follows is counted on from there")
            self._shift_s += next_s - time_s
            return next_s
        self._stale = 0
        if self._duration_s is not None and time_s > max(next_s, self._duration_s) + _BEYOND_S:
            self._note(f"a timestamp at {next_s:.1f} s lies far beyond the file's end and is not believed")
            return next_s
        return time_s

    def _display_s(self, frame: VideoFrame, last: Picture | None, time_s: float) -> float:
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        if self._frame_s:
            return self._frame_s
        return time_s - last.time_s if last else FALLBACK_FRAME_S
