"""How long work takes: the pace of a long piece in words, and the seconds of its stages; pauses."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]  # is told, a line at a time, what long work is at


class Pace:
    """The pace since the first report, so that what was done before and the start of processes do not count."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._first: tuple[int, float] | None = None
        self._told_s = float("-inf")

    def due(self, done: int, every_s: float = 10.0) -> bool:
        """Whether it is time for another line: the first, the last, and one in so many seconds."""
        now_s = time.monotonic()
        if done < self._total and now_s - self._told_s < every_s:
            return False
        self._told_s = now_s
        return True

    def report(self, done: int) -> str:
        """``340 of 1200, 3.2 a second, 4 min left``; a first report knows no pace yet."""
        now_s = time.monotonic()
        first, began_s = self._first = self._first or (done, now_s)
        text = f"{done} of {self._total}"
        if done == first or now_s == began_s or done == self._total:
            return text
        rate_hz = (done - first) / (now_s - began_s)
        rate = f"{rate_hz:.1f} a second" if rate_hz >= 1 else f"{rate_hz * 60:.1f} a minute"
        return f"{text}, {rate}, {_rest((self._total - done) / rate_hz)} left"


@contextmanager
def time_stage(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time spent inside to a stage's seconds."""
    began = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began


class Backoff:
    """Pauses between tries: each twice the one before, and shortened at random, so that what failed together does not
    come back together."""

    def __init__(self) -> None:
        self._pause_s = 0.0

    def next_s(self, first_s: float, most_s: float) -> float:
        """How long to wait now; ``first_s`` after a ``reset``, ``most_s`` at most."""
        self._pause_s = min(max(2 * self._pause_s, first_s), most_s)
        return self._pause_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._pause_s = 0.0


def _rest(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
