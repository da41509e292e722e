"""Every figure of a report that its inputs allow, in the report's order; the others with the reason they are absent."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from omnisila.errors import InputError
from omnisila.report.figures.intensities import confusion, densities, intensities_of
from omnisila.report.figures.losses import loss_curves
from omnisila.report.figures.qualitative import side_by_side, side_by_side_figure, telling_video
from omnisila.report.figures.style import COLOURS, QUIET_COLOUR, canvas, legend_above, line_of, shorten_names
from omnisila.report.score_tables import PerLabel, is_difference, is_trivial, per_label, per_label_table
from omnisila.report.timing import METRIC
from omnisila.schema import Example, Prediction, Scores

DRAWN = {"FNR": "FNR (% of positive frames)", "Sen-A": "Sen-A (% of causes)", "Atr-R": "Atr-R (rating)"}
_PERCENT = ("FNR", "Sen-A")
_HATCHES = ("", "///", "...", "xxx")


class Picture(NamedTuple):
    """A figure with the name of its files and its title, or the reason why there is none."""

    name: str
    title: str
    figure: Figure | None
    reason: str = ""


def gallery(
    systems: Sequence[Scores],
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[Prediction]],
    logs: Sequence[Path],
    video: str | None,
) -> Iterator[Picture]:
    """The figures, drawn one at a time.

    Raises:
        InputError: ``video`` is no eventful one with a locate example that every system answered.
        RecordError: a log is none.
    """
    yield from _per_label(systems)
    yield Picture(
        "inference-time",
        "Inference time",
        inference_time_bars(systems),
        "no predictions of locate examples that say their seconds; give --examples and --predictions",
    )
    losses = loss_curves(logs) if logs else None
    yield Picture("losses", "Loss over training", losses, "no log with steps; give --log losses.jsonl of a run folder")
    yield from _intensities(examples, predictions)
    yield from _side_by_side(examples, predictions, video)


def _per_label(systems: Sequence[Scores]) -> Iterator[Picture]:
    found = [figures for figures in per_label(systems) if figures.metric in DRAWN and len(figures.names) > 1]
    for figures in found:
        table = per_label_table(figures)
        yield Picture(table.name, table.title, per_label_lines(figures))
    for metric in DRAWN:
        if not any(figures.metric == metric for figures in found):
            reason = "no scores of two labels or more"
            yield Picture("", f"{metric} of each label", None, reason)


def _intensities(examples: Sequence[Example], predictions: Mapping[str, Sequence[Prediction]]) -> Iterator[Picture]:
    both = [intensities_of(system, examples, said) for system, said in predictions.items()]
    answered = [system for system in both if len(system.truth)]
    if not answered:
        reason = "no answered examples with intensities; give --examples and --predictions of reactions"
        yield Picture("", "Intensity densities and confusion matrices", None, reason)
        return
    yield Picture("intensity-densities", "Densities of reaction intensities", densities(answered))
    for number, item in enumerate(answered, 1):
        title = f"True against predicted intensities: {item.system}"
        yield Picture(f"intensity-confusion-{number}", title, confusion(item))


def _side_by_side(
    examples: Sequence[Example], predictions: Mapping[str, Sequence[Prediction]], video: str | None
) -> Iterator[Picture]:
    candidates = [example for example in examples if video is None or example.video == video]
    asked = telling_video(candidates, predictions) if predictions else None
    if asked is None and video is not None:
        raise InputError(
            f"{video}: no video of an eventful locate example that every system answered. Choose another --video."
        )
    figure = None if asked is None else side_by_side_figure(side_by_side(asked, examples, predictions))
    reason = "no eventful locate example that every system answered; give --examples and --predictions"
    yield Picture("side-by-side", "Systems side by side on one video", figure, reason)


def per_label_lines(figures: PerLabel) -> Figure:
    """A metric of each label as one line a system; a label without a figure is a gap.

    Source: Omni-SILA Figure 3 (FNR, Atr-R).
    """
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


def inference_time_bars(systems: Sequence[Scores]) -> Figure | None:
    """A bar for each system and label set; None where nobody's time is known. Source: Hawkeye Table 1 (I.T.)."""
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
