"""Pictures that are drawn, so that the true boxes and joints are known, yet real enough for trained networks."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

Picture = Callable[..., Tensor]
SKIN, SHIRT, TROUSERS, DARK = (224, 172, 140), (40, 70, 140), (50, 50, 60), (20, 20, 20)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny batches gain nothing from threads, and runs side by side lose much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _clock(width: int, height: int, x: float, y: float, radius: float) -> Tensor:
    """A wall clock whose rim touches x - radius ... x + radius, (height, width, 3) uint8."""
    picture = Image.new("RGB", (width, height), (150, 140, 120))
    draw = ImageDraw.Draw(picture)
    rim = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(rim, fill="white", outline="black", width=max(int(radius) // 10, 2))
    for hour in range(12):
        right, up = math.sin(hour * math.pi / 6) * radius, math.cos(hour * math.pi / 6) * radius
        draw.line([(x + far * right, y - far * up) for far in (0.75, 0.88)], fill="black", width=3)
    draw.line((x, y, x + 0.3 * radius, y - 0.4 * radius), fill="black", width=4)
    draw.line((x, y, x - 0.1 * radius, y + 0.65 * radius), fill="black", width=3)
    return torch.from_numpy(np.array(picture))


def _person(width: int, height: int, x: float, top: float, unit: float) -> Tensor:
    """Somebody who faces the camera, 7.9 units tall, (height, width, 3) uint8; for joints see ``person_joints``."""
    picture = Image.new("RGB", (width, height), (205, 200, 190))
    draw = ImageDraw.Draw(picture)

    def at(right: float, down: float) -> tuple[float, float]:
        return x + right * unit, top + down * unit

    draw.rectangle((0, at(0, 7.6)[1], width, height), fill=(120, 110, 100))
    for side in (-1, 1):
        for a, b in pairwise([(0.9, 1.8), (1.5, 3.0), (1.6, 4.2)]):
            draw.line((*at(side * a[0], a[1]), *at(side * b[0], b[1])), fill=SHIRT, width=int(0.55 * unit))
        draw.ellipse((*at(side * 1.6 - 0.25, 4.1), *at(side * 1.6 + 0.25, 4.7)), fill=SKIN)
        draw.line((*at(side * 0.45, 4.2), *at(side * 0.5, 7.6)), fill=TROUSERS, width=int(0.75 * unit))
        draw.ellipse((*at(side * 0.6 - 0.45, 7.4), *at(side * 0.6 + 0.45, 7.9)), fill=DARK)
    draw.rounded_rectangle((*at(-1.0, 1.5), *at(1.0, 4.4)), 0.4 * unit, fill=SHIRT)
    draw.rectangle((*at(-0.25, 1.1), *at(0.25, 1.6)), fill=SKIN)
    draw.ellipse((*at(-0.5, 0.0), *at(0.5, 1.3)), fill=SKIN)
    draw.chord((*at(-0.52, -0.1), *at(0.52, 0.9)), 180, 360, fill=(60, 40, 20))
    for side in (-1, 1):
        draw.ellipse((*at(side * 0.2 - 0.06, 0.55), *at(side * 0.2 + 0.06, 0.67)), fill="black")
    draw.line((*at(-0.15, 1.0), *at(0.15, 1.0)), fill=(150, 60, 60), width=2)
    return torch.from_numpy(np.array(picture))


def _person_joints(x: float, top: float, unit: float) -> dict[int, tuple[float, float]]:
    """COCO joint -> where ``person`` draws it, pixels; the person's left is on the picture's right."""
    places = {5: (0.9, 1.8), 7: (1.5, 3.0), 9: (1.6, 4.2), 11: (0.45, 4.2), 15: (0.5, 7.6)}
    joints: dict[int, tuple[float, float]] = {}
    for left, (right, down) in places.items():
        joints[left] = (x + right * unit, top + down * unit)
        joints[left + 1] = (x - right * unit, top + down * unit)
    return joints


@pytest.fixture
def clock() -> Picture:
    return _clock


@pytest.fixture
def person() -> Picture:
    return _person


@pytest.fixture
def person_joints() -> Callable[[float, float, float], dict[int, tuple[float, float]]]:
    return _person_joints
