"""A metric of each label as one line a system. Source: Omni-SILA Figure 3 (FNR, Atr-R)."""

import numpy as np
from matplotlib.figure import Figure

from omnisila.report.figures.style import QUIET_COLOUR, canvas, legend_above, line_of, shorten_names
from omnisila.report.score_tables import PerLabel, is_trivial

DRAWN = {"FNR": "FNR (% of positive frames)", "Sen-A": "Sen-A (% of causes)", "Atr-R": "Atr-R (rating)"}
_PERCENT = ("FNR", "Sen-A")


def per_label_lines(figures: PerLabel) -> Figure:
    """Lines over the labels; a label without a figure is a gap."""
    figure, (axes,) = canvas(max(5.0, 1.6 + 0.75 * len(figures.names)), 3.9)
    scale = 100 if figures.metric in _PERCENT else 1
    places = np.arange(len(figures.names))
    names = shorten_names([system for system, _ in figures.systems])
    for index, (system, scores) in enumerate(figures.systems):
        values = [np.nan if score is None or score.value is None else scale * score.value for score in scores]
        color, style, marker = line_of(index)
        looks = not is_trivial(system)
        axes.plot(
            places, values, color=color if looks else QUIET_COLOUR, linestyle=style, marker=marker,
            linewidth=1.6 if looks else 0.9, label=names[index], clip_on=False, zorder=3 if looks else 2.5,
        )  # fmt: skip
    axes.set_xticks(places, figures.names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlabel(f"label ({figures.labels})")
    axes.set_ylabel(DRAWN.get(figures.metric, figures.metric))
    if figures.metric in _PERCENT:
        axes.set_ylim(0, 100)
    axes.set_title(figures.variant, fontsize=8, color="#555555")
    legend_above(figure, axes)
    return figure
