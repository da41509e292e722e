"""Decoded pictures, the units that media hands to everything above it."""

from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor


class Frame(NamedTuple):
    """A decoded picture and the container's time for it, in seconds; rotation already applied; RGB."""

    time_s: float
    image: UInt8[Tensor, "height width 3"]


class Luma(NamedTuple):
    """A small grey picture with its own timestamp in seconds."""

    time_s: float
    image: UInt8[Tensor, "height width"]


class LumaFrame(NamedTuple):
    """A sampled frame with the grey pictures shown from it until the next sample, in time order."""

    frame: Frame
    lumas: tuple[Luma, ...]
