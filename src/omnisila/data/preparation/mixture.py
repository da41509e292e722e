"""Descriptions of several sets in one stream, mixed in balance: no stretch of it belongs to one scene.

Omni-SILA 4.1 takes 200 K frames from two sets and 200 K pictures from two others; a cap a set keeps that balance.
"""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from omnisila.data.annotated import Described


class Mixed(NamedTuple):
    """An item with the name of its set."""

    set_name: str
    item: Described


def mixed(sets: Mapping[str, Sequence[Described]], cap: int | None, seed: int = 0) -> Iterator[Mixed]:
    """The sets' items, each set's spread evenly over the whole stream.

    Items are never repeated: a set smaller than the cap gives all it has. The choice depends on the seed alone.

    Args:
        sets: name -> items.
        cap: how many items a set gives at most; None: as many as the smallest set has, so that all weigh the same.
        seed: of the choice and the order.
    """
    filled = {name: items for name, items in sets.items() if items}
    most = min(map(len, filled.values()), default=0) if cap is None else cap
    streams = [_spread(name, items, most, seed) for name, items in sorted(filled.items())]
    for _, name, index in heapq.merge(*streams):
        yield Mixed(name, filled[name][index])


def _spread(name: str, items: Sequence[Described], most: int, seed: int) -> Iterator[tuple[float, str, int]]:
    """The chosen items' numbers, each with its place in the stream, from 0 to 1."""
    chosen = random.Random(f"{seed}:{name}").sample(range(len(items)), min(most, len(items)))
    return (((place + 0.5) / len(chosen), name, index) for place, index in enumerate(chosen))
