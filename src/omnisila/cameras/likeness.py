"""How unlike a camera's ordinary windows a window is as a whole: a robust diagonal Gaussian over projected features.

Every stream that models read is averaged over a window's frames and entities and projected onto a few fixed random
directions, whatever its width. Of the densities compared on cameras with several calm clips the diagonal one measured
best (decision D152).
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.digests import digest
from omnisila.scenes.windows import Window

DIRECTIONS = 16  # of each stream
KEPT = 32  # windows of a video
_SHRINK = 10.0  # windows that the typical spread of a stream counts for
_MAD = 1.4826  # of a median absolute deviation, to be a standard deviation of Gaussian data


@lru_cache
def _directions(stream: str, width: int) -> Float[Tensor, "width directions"]:
    chosen = torch.Generator().manual_seed(int(digest(stream, str(width))[:15], 16))
    return torch.randn(width, DIRECTIONS, generator=chosen) / width**0.5


def window_vector(window: Window) -> Float[Tensor, "numbers"]:
    """A window's mean features, projected; an absent stream is zero."""
    parts: list[Tensor] = []
    for name, frames in window.streams.items():
        there = frames.values[frames.mask].float()
        mean = there.mean(0) if len(there) else torch.zeros(frames.values.shape[-1])
        parts.append(mean @ _directions(name, len(mean)))
    return torch.cat(parts)


class Ordinary(NamedTuple):
    """The middle and spread of ordinary windows, number by number."""

    middle: Float[Tensor, "numbers"]
    spread: Float[Tensor, "numbers"]

    @classmethod
    def of(cls, windows: Float[Tensor, "windows numbers"]) -> "Ordinary":
        """From at least one window; few are drawn towards the typical spread of their stream."""
        middle = windows.median(0).values
        spread = _MAD * (windows - middle).abs().median(0).values
        typical = spread.reshape(-1, DIRECTIONS).mean(1).repeat_interleave(DIRECTIONS)
        count = len(windows)
        return cls(middle, ((count * spread**2 + _SHRINK * typical**2) / (count + _SHRINK)).sqrt().clamp(min=1e-3))

    def unlikeness(self, windows: Float[Tensor, "windows numbers"]) -> Float[Tensor, "windows"]:
        """Root mean square of the deviations in spreads: about 1 for ordinary windows."""
        return (((windows - self.middle) / self.spread) ** 2).mean(1).sqrt()

    def strangest(self, window: Float[Tensor, "numbers"]) -> int:
        """Which stream deviates most."""
        return int((((window - self.middle) / self.spread) ** 2).reshape(-1, DIRECTIONS).mean(1).argmax())
