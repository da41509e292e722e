"""One decoded frame, the unit that media hands to everything above it."""

from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor


class Frame(NamedTuple):
    """A decoded picture and the container's time for it, in seconds; rotation already applied; RGB."""

    time_s: float
    image: UInt8[Tensor, "height width 3"]
