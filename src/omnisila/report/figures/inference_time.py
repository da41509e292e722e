"""Inference time of each system as bars. Source: Hawkeye Table 1 (I.T.)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from omnisila.report.figures.style import COLOURS, canvas, legend_above, shorten_names
from omnisila.report.score_tables import is_difference
from omnisila.report.timing import METRIC
from omnisila.schema import Scores

_HATCHES = ("", "///", "...", "xxx")


def inference_time_bars(systems: Sequence[Scores]) -> Figure | None:
    """A bar for each system and label set; None where nobody's time is known."""
    times = {
        seconds.system: {
            score.variant.partition("; ")[0]: score.value for score in seconds.scores if score.metric == METRIC
        }
        for seconds in systems
        if not is_difference(seconds)
    }
    times = {system: values for system, values in times.items() if values}
    if not times:
        return None
    sets = list(dict.fromkeys(labels for values in times.values() for labels in values))
    figure, (axes,) = canvas(6.4, 1.5 + 0.32 * len(times) * len(sets))
    thickness, places = 0.8 / len(sets), np.arange(len(times))
    for index, labels in enumerate(sets):
        values = [np.nan if (seconds := row.get(labels)) is None else seconds for row in times.values()]
        bars = axes.barh(
            places + (index - (len(sets) - 1) / 2) * thickness, values, 0.92 * thickness, label=labels,
            color=COLOURS[index % len(COLOURS)], hatch=_HATCHES[index % len(_HATCHES)], edgecolor="white",
        )  # fmt: skip
        axes.bar_label(bars, ["" if np.isnan(value) else f"{value:.3g}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, shorten_names(list(times)))
    axes.invert_yaxis()
    axes.set_ylabel("system")
    axes.set_xlabel("inference time (seconds per minute of video)")
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    if len(sets) > 1:
        legend_above(figure, axes)
    return figure
