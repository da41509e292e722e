"""Times on a regular grid, and which of a stream's pictures is shown at each of them."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

TIME_TOLERANCE_S = 6e-4  # containers round times to a tick, often 1 ms: 1/12 s becomes 0.083 or 0.084


@runtime_checkable
class Timed(Protocol):
    """Anything with a presentation time in seconds."""

    @property
    def time_s(self) -> float: ...


Item = TypeVar("Item", bound=Timed)


def on_grid(
    items: Iterable[Item],
    rate_hz: float,
    start_s: float = 0.0,
    end_s: float | None = None,
    last_until_s: Callable[[], float] | None = None,
    hole_from_s: Callable[[Item], float | None] | None = None,
) -> Iterator[tuple[float, Item]]:
    """Each time ``start_s + k / rate_hz`` before ``end_s`` with the item shown then: the last one at or before it.

    Grid times before the first item get the first one, so that a picture track that begins late leaves no hole. An
    item less than 0.6 ms after a grid time counts as shown at it, for containers round times to their tick. Only one
    item is held at a time, and none is taken that is not needed.

    Args:
        items: in time order.
        rate_hz: grid points per second, > 0.
        start_s: the first grid time, seconds.
        end_s: end of the grid, seconds; None means the end of the last item.
        last_until_s: asked when the items are used up, until when the last one is shown. Without it, it is shown for as
            long as the one before it was; a lone item for one grid step.
        hole_from_s: from when on nothing was shown before an item, None where there is no such hole. Grid times in a
            hole are left out.
    """
    step, held, interval_s = 0, None, 1.0 / rate_hz
    for item in items:
        hole_s = hole_from_s(item) if hole_from_s is not None else None
        if held is not None:
            interval_s = item.time_s - held.time_s
            until_s = item.time_s if hole_s is None else hole_s
            while (time_s := start_s + step / rate_hz) < until_s - TIME_TOLERANCE_S:
                if end_s is not None and time_s >= end_s - TIME_TOLERANCE_S:
                    return
                yield time_s, held
                step += 1
        if hole_s is not None:
            step = max(step, math.ceil((item.time_s - TIME_TOLERANCE_S - start_s) * rate_hz))
        held = item
    if held is None:
        return
    stop_s = last_until_s() if last_until_s is not None else held.time_s + interval_s
    if end_s is not None:
        stop_s = min(stop_s, end_s)
    while (time_s := start_s + step / rate_hz) < stop_s - TIME_TOLERANCE_S:
        yield time_s, held
        step += 1
