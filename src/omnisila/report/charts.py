"""Geometry of the time line: curves, stacked areas, bars and ticks as SVG path data and percentages.

Everything is drawn in a plane ``WIDTH`` wide and ``HEIGHT`` high that the page stretches to any size.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from omnisila.report.wording import clock
from omnisila.scene_registry import SCENES
from omnisila.schema import CurvePoint, ExpertWeightsPoint, IntensityPoint, SceneName, Span

WIDTH, HEIGHT = 1000, 100
ZOOMS = (1, 4, 16)
_MAX_POINTS = 3000  # of a path: three for each pixel of a wide page
_MAX_TICKS = 6  # at zoom 1; a phone has no room for more
_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_SAME_TIME_S = 0.011  # window borders are rounded; a wider step between two windows is a hole


class Tick(NamedTuple):
    """A mark of the time axis, in percent of its length."""

    left_pct: float
    text: str


class Bar(NamedTuple):
    """Where a finding stands on the time line; rows keep overlapping ones apart."""

    number: int
    left_pct: float
    width_pct: float
    row: int


class Curve(NamedTuple):
    """Path data of the line and of the area below it."""

    line: str
    area: str


class _Value(NamedTuple):
    start_s: float
    end_s: float
    values: tuple[float, ...]


def anomaly_curve(points: Sequence[CurvePoint], duration_s: float, max_points: int = _MAX_POINTS) -> Curve:
    """The curve through the middles of its windows; a long one keeps its peaks, not its dips."""
    return _curve([_Value(point.start_s, point.end_s, (point.score,)) for point in points], duration_s, max_points)


def strongest_intensity(points: Sequence[IntensityPoint], duration_s: float, max_points: int) -> Curve:
    """The curve of whichever emotion is strongest in each window."""
    strongest = [_Value(point.start_s, point.end_s, (max(point.intensities.values()),)) for point in points]
    return _curve(strongest, duration_s, max_points)


def intensity_lines(points: Sequence[IntensityPoint], duration_s: float) -> dict[str, str]:
    """One line a label through the middles of the windows; a long one is averaged."""
    labels = tuple(points[0].intensities) if points else ()
    values = [
        _Value(point.start_s, point.end_s, tuple(point.intensities[label] for label in labels)) for point in points
    ]
    lines = dict.fromkeys(labels, "")
    for run in (_thin(run, len(points), _MAX_POINTS, fmean) for run in _runs(values)):
        through = _through(run, duration_s)
        for index, label in enumerate(labels):
            lines[label] += _path([(x, HEIGHT * (1 - heights[index])) for x, heights in through])
    return lines


def expert_areas(points: Sequence[ExpertWeightsPoint], duration_s: float) -> dict[SceneName, str]:
    """The scenes' weights stacked to 1, from the first scene at the bottom; time without any scene stays empty."""
    values = [
        _Value(point.start_s, point.end_s, tuple(point.weights.get(scene, 0.0) for scene in SCENES)) for point in points
    ]
    runs = _runs([value for value in values if sum(value.values) > 0])
    areas: dict[SceneName, str] = dict.fromkeys(SCENES, "")
    for run in (_thin(run, len(points), _MAX_POINTS, fmean) for run in runs):
        stacked = [(x, _cumulative(weights)) for x, weights in _through(run, duration_s)]
        for index, scene in enumerate(SCENES):
            upper = [(x, HEIGHT * (1 - heights[index + 1])) for x, heights in stacked]
            lower = [(x, HEIGHT * (1 - heights[index])) for x, heights in reversed(stacked)]
            areas[scene] += f"{_path(upper)}L{_path(lower)[1:]}Z"
    return areas


def bars(spans: Sequence[tuple[int, Span]], duration_s: float) -> tuple[Bar, ...]:
    """One bar for each numbered span; spans that overlap get different rows."""
    ends_s: list[float] = []
    placed: list[Bar] = []
    for number, span in sorted(spans, key=lambda item: (item[1].start_s, item[1].end_s)):
        row = next((row for row, end_s in enumerate(ends_s) if end_s <= span.start_s), len(ends_s))
        ends_s[row : row + 1] = [span.end_s]
        left_pct = 100 * span.start_s / duration_s
        placed.append(Bar(number, round(left_pct, 4), round(100 * span.end_s / duration_s - left_pct, 4), row))
    return tuple(placed)


def ticks(duration_s: float, zoom: int) -> tuple[Tick, ...]:
    """Marks at round times, few enough to be read at a zoom."""
    most = _MAX_TICKS * zoom
    step_s = next((step_s for step_s in _STEPS_S if duration_s / step_s <= most), _STEPS_S[-1])
    count = int(duration_s / step_s + 1e-9) + 1
    return tuple(
        Tick(round(100 * k * step_s / duration_s, 4), clock(k * step_s, tenths=step_s < 1)) for k in range(count)
    )


def _curve(values: Sequence[_Value], duration_s: float, max_points: int) -> Curve:
    """Peaks are kept where neighbours are merged."""
    line, area = "", ""
    for run in (_thin(run, len(values), max_points, max) for run in _runs(values)):
        top = [(x, HEIGHT * (1 - heights[0])) for x, heights in _through(run, duration_s)]
        line += _path(top)
        area += f"{_path(top)}V{HEIGHT}H{_number(top[0][0])}Z"
    return Curve(line, area)


def _runs(values: Iterable[_Value]) -> list[list[_Value]]:
    """The values in stretches without holes."""
    runs: list[list[_Value]] = []
    for value in values:
        if runs and value.start_s - runs[-1][-1].end_s <= _SAME_TIME_S:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _thin(run: list[_Value], total: int, most: int, merge: Callable[[Sequence[float]], float]) -> list[_Value]:
    """Neighbours merged until the whole has few enough points."""
    every = -(-total // most)
    return [
        _Value(run[i].start_s, run[min(i + every, len(run)) - 1].end_s, _merge(run[i : i + every], merge))
        for i in range(0, len(run), every)
    ]


def _merge(values: Sequence[_Value], merge: Callable[[Sequence[float]], float]) -> tuple[float, ...]:
    return tuple(merge(column) for column in zip(*(value.values for value in values), strict=True))


def _through(run: Sequence[_Value], duration_s: float) -> list[tuple[float, tuple[float, ...]]]:
    """Points at the windows' middles, held out to the first start and the last end."""
    times_s = [run[0].start_s, *((value.start_s + value.end_s) / 2 for value in run), run[-1].end_s]
    values = [run[0].values, *(value.values for value in run), run[-1].values]
    return [(WIDTH * min(time_s / duration_s, 1), value) for time_s, value in zip(times_s, values, strict=True)]


def _cumulative(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    heights = [0.0]
    for weight in weights:
        heights.append(heights[-1] + weight / total)
    return heights


def _path(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = points
    return f"M{_number(x)} {_number(y)}" + "".join(f"L{_number(x)} {_number(y)}" for x, y in rest)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
