"""What a fixed camera sees of people and vehicles, as counted kinds of thing: place, speed, number, hour, posture.

Each facet is a list of types (a cell of the view, a class of speed); a camera counts the visits to each. Only tracks
and joints are read, by the names that a profile's layouts give them.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from omnisila.scenes.action import HIPS, MAX_PEOPLE
from omnisila.scenes.extractor import OBJECTS, SceneShard
from omnisila.scenes.nets.movenet import JOINTS
from omnisila.scenes.objects import PEOPLE

VISIT_S = 60.0  # what comes back sooner never left
ROWS, COLUMNS = 12, 16  # cells of the view
SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5)  # own heights per second
MOST = 12  # things of a kind that are told apart by number
POSTURES = ("standing", "bent over", "lying")
KINDS = ("person", "vehicle")
VEHICLES = frozenset({
    "bicycle", "bike", "car", "motorcycle", "bus", "train", "truck", "boat", "airplane", "plane", "vehicle",
})  # fmt: skip
_PARKED = 0.25  # own heights per second: slower vehicles are no movement
_MOST_TRACKS = 1000  # that are remembered
_SHOULDERS = (5, 6)
_MIN_JOINT_SCORE = 0.3
_BENT_DEG, _LYING_DEG = 35.0, 65.0  # of the trunk against the vertical
_TIME_IN_NAME = re.compile(
    r"(?<!\d)(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_T .]?h?([0-2]\d)[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)(?!\d)"
)


class Facet(NamedTuple):
    """One way in which something may be unusual, and how many types it tells apart."""

    name: str
    types: int


FACETS = (
    Facet("place", len(KINDS) * ROWS * COLUMNS),
    Facet("speed", len(KINDS) * len(SPEEDS)),
    Facet("number", len(KINDS) * (MOST + 1)),
    Facet("hour", len(KINDS) * 24),
    Facet("posture", len(POSTURES)),
)
_ORDERED = {"speed": len(SPEEDS), "number": MOST + 1}  # facets in which a type implies the lower ones of its kind


class Sighting(NamedTuple):
    """A type of a facet seen at one time."""

    time_s: float
    facet: str
    type: int


def recorded_at(video: Path) -> datetime | None:
    """When a recording begins, if its name says so: ``yard_2024-05-01_13-00-00.mp4``, ``cam1-20240501T130000.mkv``."""
    found = _TIME_IN_NAME.search(video.name)
    try:
        return datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S") if found else None
    except ValueError:
        return None  # digits that are no date


def sightings(shard: SceneShard, aspect: float, begin: datetime | None, paces: "Paces") -> Iterator[Sighting]:
    """What a shard shows of people and vehicles, each sample of each stream in time order.

    Args:
        aspect: width of the picture by its height.
        begin: when the video's first picture was taken, by the camera's clock.
        paces: of the tracks so far; the same for all shards of a video or stream.
    """
    stream, layout = shard.streams[OBJECTS], shard.layouts[OBJECTS]
    names = layout.words["class"]
    for time_s, row, mask in zip(stream.times_s.tolist(), stream.values.float(), stream.mask, strict=True):
        count = [0] * len(KINDS)
        for thing in row[mask]:
            name = names[int(layout.read(thing, "class"))]
            kind = 0 if name in PEOPLE else 1 if name in VEHICLES else None
            if kind is None:
                continue
            left, top, right, bottom = layout.read(thing, "box").tolist()
            middle = (left + right) / 2 * aspect, (top + bottom) / 2
            speed = paces.speed(int(layout.read(thing, "track")), time_s, middle, bottom - top)
            if kind and speed < _PARKED:
                continue
            count[kind] += 1
            cell = _cell(bottom, ROWS) * COLUMNS + _cell((left + right) / 2, COLUMNS)
            yield Sighting(time_s, "place", kind * ROWS * COLUMNS + cell)
            if speed >= SPEEDS[0]:
                yield Sighting(time_s, "speed", kind * len(SPEEDS) + sum(speed >= least for least in SPEEDS) - 1)
        for kind, number in enumerate(count):
            if number:
                yield Sighting(time_s, "number", kind * (MOST + 1) + min(number, MOST))
                if begin is not None:
                    yield Sighting(time_s, "hour", kind * 24 + (begin + timedelta(seconds=time_s)).hour)
    yield from _postures(shard, aspect)


class Paces:
    """How fast tracks move, in own heights per second: the slower of two steps in a row between boxes of like height.

    A box that jumps from one part of a body to another is no movement.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, tuple[float, float], float, float]] = {}

    def speed(self, track: int, time_s: float, middle: tuple[float, float], height: float) -> float:
        """A track's speed now that it is seen at another place; lengths are in frame heights."""
        before = self._last.get(track)
        height, step = max(height, 0.02), 0.0
        if before is not None and time_s > before[0] and 0.75 < height / before[2] < 4 / 3:
            step = math.dist(middle, before[1]) / height / (time_s - before[0])
        self._last[track] = time_s, middle, height, step
        if len(self._last) > _MOST_TRACKS:  # the oldest ended long ago: a stream has no end
            del self._last[next(iter(self._last))]
        return min(step, before[3]) if before is not None else 0.0


def _cell(place_frac: float, cells: int) -> int:
    return min(max(int(place_frac * cells), 0), cells - 1)


def _postures(shard: SceneShard, aspect: float) -> Iterator[Sighting]:
    if "action" not in shard.streams or "joints" not in shard.layouts["action"].features:
        return
    stream, layout = shard.streams["action"], shard.layouts["action"]
    for time_s, person in stream.entities(MAX_PEOPLE):
        joints = layout.read(person, "joints").reshape(JOINTS, 3)
        trunk = joints[[*_SHOULDERS, *HIPS]]
        if trunk[:, 2].min() < _MIN_JOINT_SCORE:
            continue
        across, up, _ = (trunk[:2].mean(0) - trunk[2:].mean(0)).tolist()
        lean_deg = math.degrees(math.atan2(abs(across) * aspect, -up))
        yield Sighting(time_s, "posture", (lean_deg >= _BENT_DEG) + (lean_deg >= _LYING_DEG))


def implied_types(facet: str, kind_type: int) -> list[int]:
    """The types that count as seen with one: itself, cells beside it, and lower speeds and numbers."""
    if facet == "place":
        kind, cell = divmod(kind_type, ROWS * COLUMNS)
        row, column = divmod(cell, COLUMNS)
        return [
            (kind * ROWS + near_row) * COLUMNS + near_column
            for near_row in range(max(row - 1, 0), min(row + 2, ROWS))
            for near_column in range(max(column - 1, 0), min(column + 2, COLUMNS))
        ]
    if facet in _ORDERED:
        return list(range(kind_type - kind_type % _ORDERED[facet], kind_type + 1))
    return [kind_type]


def words(facet: str, kind_type: int, seen: str) -> str:
    """A type as a reason; ``seen`` says how often it was before."""
    if facet == "posture":
        return f"a person is {POSTURES[kind_type]}, which was {seen}"
    if facet == "place":
        kind, cell = divmod(kind_type, ROWS * COLUMNS)
        row, column = divmod(cell, COLUMNS)
        return f"a {KINDS[kind]} at the {_where(row, column)}, where a {KINDS[kind]} was {seen}"
    kind, value = divmod(kind_type, {"speed": len(SPEEDS), "number": MOST + 1, "hour": 24}[facet])
    who = KINDS[kind]
    if facet == "speed":
        return f"a {who} at {SPEEDS[value]:g} times its own height a second or more, a speed {seen}"
    if facet == "number" and value == 1:
        return f"a {who}, which was {seen}"
    if facet == "number":
        many = "people" if who == "person" else "vehicles"
        return f"{value}{' or more' if value == MOST else ''} {many} at once, a number {seen}"
    return f"a {who} between {value}:00 and {(value + 1) % 24}:00, when a {who} was {seen}"


def _where(row: int, column: int) -> str:
    """A cell in the words by which people point: ``bottom left``, ``middle``."""
    down = ("top", "middle", "bottom")[row * 3 // ROWS]
    across = ("left", "", "right")[column * 3 // COLUMNS]
    return f"{down} {across} of the view".replace("  ", " ")
