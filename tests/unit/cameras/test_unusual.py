"""What was never there before is told, in words, and only where little new is to be expected."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from omnisila.cameras.camera import Camera
from omnisila.cameras.footage import Row
from omnisila.cameras.likeness import window_vector
from omnisila.cameras.sightings import Paces, recorded_at, sightings
from omnisila.cameras.unusual import Unusual, UnusualSpan
from tests.unit.cameras.conftest import Person, cut, shard

Learn = Callable[..., Row]


def walk(begin: float, end: float, samples: int = 60, foot: float = 0.8) -> list[list[Person]]:
    """One person who walks once across the view, or stands."""
    return [[(begin + (end - begin) * i / samples, foot, 0.3)] for i in range(samples)]


@pytest.fixture
def walked(camera: Camera, learnt_row: Learn) -> Camera:
    """Where people walk along the left, always at the same pace."""
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "f.mp4"):
        camera = camera.with_row(learnt_row(name, walk(0.1, 0.4)))
    return camera


def found(camera: Camera, people: Sequence[Sequence[Person]], name: str = "new.mp4") -> list[UnusualSpan]:
    drawn = shard(people)
    spans, numbers = [], []
    for window in cut(drawn):
        spans.append(window.span)
        numbers.append(window_vector(window))
    return list(Unusual(camera, 0.2).spans(spans, numbers, [drawn], 4 / 3, recorded_at(Path(name))))


def test_the_ordinary_is_nothing_unusual(walked: Camera) -> None:
    assert Unusual(walked, 0.2).silent == ()
    assert found(walked, walk(0.1, 0.4)) == []
    assert found(walked, [[] for _ in range(40)]) == []


def test_a_place_is_told_in_words_and_only_while_someone_is_there(walked: Camera) -> None:
    (only,) = found(walked, [*walk(0.2, 0.2, 40), *[[(0.9, 0.45, 0.3)]] * 10, *walk(0.2, 0.2, 40)])
    assert "a person was never seen in 3 minutes" in only.cause
    assert only.cause.startswith("A person at the middle right of the view")
    assert (only.span.span.start_s, only.span.span.end_s) == (20.0, 25.0)
    assert 0.6 < only.span.score < 1


def test_a_speed_and_a_number_are_told(walked: Camera) -> None:
    ran = found(walked, walk(0.1, 0.4, 6))
    assert any("times its own height a second or more, a speed never seen" in one.cause for one in ran)
    crowd = found(walked, [[(0.15 + 0.05 * n, 0.8, 0.3) for n in range(4)]] * 20)
    assert [one.cause for one in crowd if "4 people at once, a number never seen in 3 minutes" in one.cause]


def test_after_a_few_visits_only_a_new_place_is_unusual(camera: Camera, learnt_row: Learn) -> None:
    for name in ("a.mp4", "b.mp4"):
        camera = camera.with_row(learnt_row(name, walk(0.1, 0.4)))
    assert found(camera, [[(0.15 + 0.05 * n, 0.8, 0.3) for n in range(4)]] * 20) == []
    assert len(found(camera, walk(0.9, 0.9))) == 1


def test_a_box_that_jumps_is_no_speed() -> None:
    people: list[list[Person]] = [[(0.3, 0.8, 0.6)], [(0.3, 0.5, 0.15)], [(0.3, 0.8, 0.6)], [(0.5, 0.8, 0.6)]]
    assert not [one for one in sightings(shard(people), 4 / 3, None, Paces()) if one.facet == "speed"]


def test_a_facet_that_keeps_bringing_new_things_stays_silent(camera: Camera, learnt_row: Learn) -> None:
    for number in range(4):  # each time elsewhere: the next place will be new, too
        camera = camera.with_row(learnt_row(f"{number}.mp4", walk(0.1 + number / 5, 0.1 + number / 5, foot=0.9)))
    rule = Unusual(camera, 0.2)
    assert "place" in rule.silent
    assert found(camera, [[(0.5, 0.3, 0.3)]] * 20) == []


def test_an_hour_is_unusual_only_where_it_was_watched(camera: Camera, learnt_row: Learn) -> None:
    for day in (1, 2):
        empty: list[list[Person]] = [[] for _ in range(2 * 900)]
        camera = camera.with_row(learnt_row(f"yard_2024-05-0{day}_03-00-00.mp4", empty))
        camera = camera.with_row(learnt_row(f"yard_2024-05-0{day}_12-00-00.mp4", walk(0.1, 0.4)))
    night, day, dusk = (
        [one.cause for one in found(camera, walk(0.1, 0.4), f"yard_20240503_{time}.mp4")]
        for time in ("031500", "121500", "191500")
    )
    assert len(night) == 1
    assert "A person between 3:00 and 4:00, when a person was never seen in 31 minutes" in night[0]
    assert day == dusk == []


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        ("yard_2024-05-01_13-20-00.mp4", 13), ("cam1-20240501T132000.mkv", 13), ("2024.05.01 13.20.00.avi", 13),
        ("NVR_ch3_main_20240501132000_20240501142000.mp4", 13), ("clip.mp4", None), ("20249901_132000.mp4", None),
        ("1234567890123456.mp4", None),
    ],
)  # fmt: skip
def test_the_clock_is_read_from_names_that_recorders_give(name: str, hour: int | None) -> None:
    begin = recorded_at(Path(name))
    assert (begin and begin.hour) == hour
