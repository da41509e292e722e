"""Pixel augmentation: copies of a clip or still as another camera might have seen it.

A copy is decided by the file's path, the copy's number and a seed, and by nothing else, so that a copy extracted twice
is the same copy. Copy 0 is the footage as it is. Framing, mirroring and exposure hold for a whole copy; shake and noise
change from frame to frame. Stills become short clips under a hand-held, slowly zooming camera.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.config import Config
from omnisila.media.frames import Frame


class AugmentConfig(Config):
    """How far copies may differ from the footage. Ranges are drawn evenly, ratios evenly in their logarithm."""

    seed: int = 0
    min_area_frac: float = 0.55  # of the frame that a random crop keeps
    max_stretch: float = 1.2  # of width against height
    brightness: float = 0.2  # of full scale, added
    contrast: float = 1.3  # largest ratio, about the mean
    gamma: float = 1.4
    saturation: float = 1.5
    shake_frac: float = 0.006  # of the frame, standard deviation of the camera's place
    noise: float = 5.0  # of 255, standard deviation
    max_speed: float = 1.25
    still_s: float = 2.0
    still_rate_hz: float = 12.0
    still_zoom: float = 1.06  # over the length of the clip, in or out

    def build(self) -> "Augmenter":
        return Augmenter(self)


class _View(NamedTuple):
    """What one copy does to its footage."""

    speed: float
    flip: bool
    centre_frac: tuple[float, float]
    extent_frac: tuple[float, float]
    brightness: float
    contrast: float
    gamma: float
    saturation: float
    shake_frac: float
    noise: float
    zoom: float


class Augmenter:
    """Copies of clips and stills, frame by frame, in bounded memory."""

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config

    def clip(self, frames: Iterable[Frame], name: str, copy: int) -> Iterator[Frame]:
        """A copy of moving footage: the same pictures seen otherwise, at times divided by the copy's speed.

        Args:
            frames: in time order from near 0, all of one size.
            copy: 0 gives the frames unchanged.
        """
        if copy == 0:
            yield from frames
            return
        random = _random(name, copy, self.config.seed)
        view = self._view(random, is_still=False)
        camera = _camera_path(random, view)
        for frame in frames:
            yield Frame(frame.time_s / view.speed, _apply_view(frame.image, view, next(camera), 0.0, random))

    def still(self, image: UInt8[Tensor, "height width 3"], name: str, copy: int) -> Iterator[Frame]:
        """A still as one second of itself (copy 0) or as a short clip of a hand-held camera."""
        if copy == 0:
            yield Frame(0.0, image)
            return
        random = _random(name, copy, self.config.seed)
        view = self._view(random, is_still=True)
        camera = _camera_path(random, view)
        count = round(self.config.still_s * self.config.still_rate_hz)
        for index in range(count):
            yield Frame(
                index / self.config.still_rate_hz,
                _apply_view(image, view, next(camera), math.log(view.zoom) * (index / count - 0.5), random),
            )

    def _view(self, random: torch.Generator, is_still: bool) -> _View:
        config = self.config

        def draw_uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=random))

        def ratio(most: float) -> float:
            return math.exp(draw_uniform(-math.log(most), math.log(most)))

        side_frac = math.sqrt(draw_uniform(config.min_area_frac, 1.0))
        stretch = math.sqrt(ratio(config.max_stretch))
        extent = (min(side_frac * stretch, 1.0), min(side_frac / stretch, 1.0))
        return _View(
            speed=ratio(config.max_speed), flip=draw_uniform(0, 1) < 0.5,
            centre_frac=(
                draw_uniform(extent[0] / 2, 1 - extent[0] / 2),
                draw_uniform(extent[1] / 2, 1 - extent[1] / 2),
            ),
            extent_frac=extent, brightness=draw_uniform(-config.brightness, config.brightness),
            contrast=ratio(config.contrast), gamma=ratio(config.gamma), saturation=ratio(config.saturation),
            shake_frac=draw_uniform(0, config.shake_frac) if is_still or draw_uniform(0, 1) < 0.3 else 0.0,
            noise=draw_uniform(0, config.noise), zoom=ratio(config.still_zoom) if is_still else 1.0,
        )  # fmt: skip


def _random(name: str, copy: int, seed: int) -> torch.Generator:
    digest = hashlib.sha256(f"{name}\0{copy}\0{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _camera_path(random: torch.Generator, view: _View) -> Iterator[Float[Tensor, "2"]]:
    """Where a hand-held camera points, in frame fractions: it drifts and is pulled back, never a white noise."""
    place = torch.zeros(2)
    while True:
        yield place
        place = 0.8 * place + 0.6 * view.shake_frac * torch.randn(2, generator=random)


def _apply_view(
    image: UInt8[Tensor, "height width 3"],
    view: _View,
    camera: Float[Tensor, "2"],
    log_zoom: float,
    random: torch.Generator,
) -> UInt8[Tensor, "height width 3"]:
    """One frame through the copy's camera, at the frame's own size."""
    height_px, width_px = image.shape[:2]
    right, down = view.extent_frac[0] * math.exp(-log_zoom), view.extent_frac[1] * math.exp(-log_zoom)
    centre_x = 2 * (view.centre_frac[0] + float(camera[0])) - 1
    centre_y = 2 * (view.centre_frac[1] + float(camera[1])) - 1
    map_to_source = torch.tensor([[[-right if view.flip else right, 0.0, centre_x], [0.0, down, centre_y]]])
    pixels = image.movedim(-1, 0)[None].float() / 255
    grid = F.affine_grid(map_to_source, [1, 3, height_px, width_px], align_corners=False)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    pixels = pixels.clamp(min=1e-4) ** view.gamma
    grey = pixels.mean(dim=1, keepdim=True)
    pixels = grey + (pixels - grey) * view.saturation
    mean = pixels.mean()
    pixels = mean + (pixels - mean) * view.contrast + view.brightness
    if view.noise > 0:
        pixels = pixels + view.noise / 255 * torch.randn(pixels.shape, generator=random)
    return (pixels[0].clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).contiguous()
