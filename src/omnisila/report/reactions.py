"""Reaction intensities as the page shows them: a line over time and a bar for the whole video, one of each a label."""

from collections.abc import Sequence
from typing import NamedTuple

from omnisila.labels import REACTION
from omnisila.report import charts
from omnisila.report.previews import strongest_window
from omnisila.report.wording import clock, score_text, span_text, strongest
from omnisila.schema import Analysis, IntensityPoint

_COLOURS = 7  # of the style sheet


class ShownEmotion(NamedTuple):
    """One label; ``colour`` numbers its colour, which is the same on every page."""

    label: str
    colour: int
    value: str
    share_pct: float
    line: str
    peak: str


class ShownReactions(NamedTuple):
    """All labels, and where any of them is strongest over time, in words."""

    emotions: tuple[ShownEmotion, ...]
    peak: str


def shown_reactions(analysis: Analysis, duration_s: float) -> ShownReactions | None:
    """What the page shows of an analysis' intensities; None where it has none."""
    whole = analysis.intensities or {}
    labels = whole or (analysis.intensity_curve[0].intensities if analysis.intensity_curve else {})
    if not labels:
        return None
    lines = charts.intensity_lines(analysis.intensity_curve, duration_s)
    order = {label: place for place, label in enumerate(dict.fromkeys((*REACTION.labels, *labels)))}
    emotions = tuple(
        ShownEmotion(
            label,
            order[label] % _COLOURS,
            score_text(whole[label]) if whole else "–",
            round(100 * whole.get(label, 0.0), 1),
            lines.get(label, ""),
            _peak(label, analysis.intensity_curve),
        )
        for label in labels
    )
    return ShownReactions(emotions, _strongest(analysis.intensity_curve))


def _strongest(curve: Sequence[IntensityPoint]) -> str:
    top = strongest_window(curve)
    if top is None:
        return ""
    label, value = strongest(top.intensities)
    return f"{label}, {score_text(value)} at {span_text(top.start_s, top.end_s)}"


def _peak(label: str, curve: Sequence[IntensityPoint]) -> str:
    """When a label is strongest; nothing where there is but one window."""
    if len(curve) < 2:
        return ""
    point = max(curve, key=lambda point: point.intensities[label])
    return f"{score_text(point.intensities[label])} at {clock(point.start_s)}"
