"""Frames on their way from a reader to whoever looks at them: bounded, the oldest give way, and it is said."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from omnisila.media.frames import LumaFrame


class Opened(NamedTuple):
    """A stream begins: frames that follow count their time from here.

    Attributes:
        number: of the connection, from 1.
        utc: the wall clock at time 0.
        width_px: of its pictures.
        height_px: likewise.
    """

    number: int
    utc: datetime
    width_px: int
    height_px: int


class Arrived(NamedTuple):
    """A frame and the monotonic time at which it was there."""

    frame: LumaFrame
    at_s: float


class Dropped(NamedTuple):
    """Frames that were left out because nobody kept up: [start_s, end_s) of the stream's time."""

    start_s: float
    end_s: float
    frames: int


class Closed(NamedTuple):
    """The stream ended, for this reason; the next item is ``Opened`` if it comes back."""

    reason: str


Item = Opened | Arrived | Dropped | Closed


class FrameQueue:
    """One reader puts, one consumer takes.

    Args:
        frames: so many wait at most; when one more comes, the older half is left out as one ``Dropped``, so that what
            stays is whole stretches and not every second frame.
        step_s: from a frame to the next.
        waits: the reader waits instead, as for a file.
    """

    def __init__(self, frames: int, step_s: float, waits: bool = False) -> None:
        self._most, self._step_s, self._waits = frames, step_s, waits
        self._items: deque[Item] = deque()
        self._frames = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Frames that wait."""
        return self._frames

    def put(self, item: Item) -> int:
        """Add one; how many frames were left out for it."""
        with self._changed:
            while self._waits and self._frames >= self._most and not self._closed:
                self._changed.wait()
            dropped = self._shed() if isinstance(item, Arrived) and self._frames >= self._most else 0
            self._items.append(item)
            self._frames += isinstance(item, Arrived)
            self._changed.notify_all()
            return dropped

    def close(self) -> None:
        """Nothing more comes; what waits is still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> Item | None:
        """The oldest, when there is one; None when nothing more will come."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if not self._items:
                return None
            item = self._items.popleft()
            self._frames -= isinstance(item, Arrived)
            self._changed.notify_all()
            return item

    def frames(self, dropped: Callable[[Dropped], None], closed: Callable[[str], None]) -> Iterator[Arrived]:
        """The frames up to the end of the stream."""
        while (item := self.take()) is not None:
            match item:
                case Arrived():
                    yield item
                case Dropped():
                    dropped(item)
                case Closed():
                    closed(item.reason)
                    return
                case Opened():  # never follows a frame without a Closed
                    raise AssertionError(item)

    def _shed(self) -> int:
        """Leave the older half of the frames out, within the newest connection or before it."""
        left, kept = self._frames // 2 + 1, deque[Item]()
        total = left
        while left:
            item = self._items.popleft()
            if not isinstance(item, Arrived):
                kept.append(item)
                continue
            left -= 1
            time_s = item.frame.frame.time_s
            last = kept[-1] if kept else None
            if isinstance(last, Dropped):
                kept[-1] = Dropped(last.start_s, time_s + self._step_s, last.frames + 1)
            else:
                kept.append(Dropped(time_s, time_s + self._step_s, 1))
        self._items.extendleft(reversed(kept))
        self._frames -= total
        return total
