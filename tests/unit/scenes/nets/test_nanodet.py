"""NanoDet on drawn things: boxes where they were drawn, whatever the picture's shape; batches change nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from omnisila.scenes.nets.nanodet import COCO_CLASSES, NanoDet


@pytest.fixture(scope="module")
def net() -> NanoDet:
    return NanoDet.pretrained()


@pytest.mark.parametrize(
    ("width", "height", "x", "y", "radius"),
    [(320, 240, 160, 120, 80), (320, 240, 230, 80, 50), (200, 400, 100, 300, 70), (1280, 720, 400, 360, 250)],
)
def test_a_clock_is_found_where_it_was_drawn(
    net: NanoDet, clock: Callable[..., Tensor], width: int, height: int, x: int, y: int, radius: int
) -> None:
    found = net.detect(clock(width, height, x, y, radius)[None], 0.35)[0]
    assert COCO_CLASSES[int(found.classes[0])] == "clock"
    drawn = torch.tensor([x - radius, y - radius, x + radius, y + radius]) / torch.tensor([width, height] * 2)
    torch.testing.assert_close(found.boxes_frac[0], drawn, atol=0.03, rtol=0.0)


def test_a_person_is_found_once(net: NanoDet, person: Callable[..., Tensor]) -> None:
    found = net.detect(person(240, 320, 120, 30, 32)[None], 0.35)[0]
    assert found.classes.tolist().count(COCO_CLASSES.index("person")) == 1
    drawn = torch.tensor([(120 - 1.85 * 32) / 240, 30 / 320, (120 + 1.85 * 32) / 240, (30 + 7.9 * 32) / 320])
    torch.testing.assert_close(found.boxes_frac[0], drawn, atol=0.03, rtol=0.0)


def test_a_batch_gives_what_its_pictures_give_alone(net: NanoDet, clock: Callable[..., Tensor]) -> None:
    pictures = torch.stack([clock(320, 240, 160, 120, 80), clock(320, 240, 230, 80, 50), clock(320, 240, 90, 90, 60)])
    for picture, together in zip(pictures, net.detect(pictures, 0.3), strict=True):
        alone = net.detect(picture[None], 0.3)[0]
        assert together.classes.tolist() == alone.classes.tolist()
        torch.testing.assert_close(together.boxes_frac, alone.boxes_frac, atol=1e-4, rtol=0.0)
        torch.testing.assert_close(together.scores, alone.scores, atol=1e-4, rtol=0.0)


def test_detections_are_ordered_and_above_the_score(net: NanoDet, clock: Callable[..., Tensor]) -> None:
    picture = clock(320, 240, 160, 120, 80)[None]
    many, few = net.detect(picture, 0.1)[0], net.detect(picture, 0.4)[0]
    assert len(many.scores) > len(few.scores) > 0
    assert many.scores.tolist() == sorted(many.scores.tolist(), reverse=True)
    assert few.scores.min() >= 0.4
    assert (many.boxes_frac[:, 2:] >= many.boxes_frac[:, :2]).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_nothing_has_no_objects(net: NanoDet, level: int) -> None:
    found = net.detect(torch.full((1, 120, 200, 3), level, dtype=torch.uint8), 0.35)[0]
    assert found.boxes_frac.shape == (0, 4)
    assert found.scores.shape == found.classes.shape == (0,)


def test_a_batch_of_no_pictures_gives_no_detections(net: NanoDet) -> None:
    assert net.detect(torch.zeros(0, 120, 200, 3, dtype=torch.uint8), 0.35) == []


def test_extreme_shapes_are_ordinary(net: NanoDet) -> None:
    for height, width in ((1, 1), (1, 900), (900, 2)):
        boxes = net.detect(torch.full((1, height, width, 3), 90, dtype=torch.uint8), 0.05)[0].boxes_frac
        assert ((boxes >= 0) & (boxes <= 1)).all()
