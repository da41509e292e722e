"""Reaction intensities: their densities, and true against predicted ones in bins of 0.1.

Source: emotional-reaction paper, Figures 1 and 5-8.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from omnisila.labels import REACTION
from omnisila.report.figures.style import TRUTH_COLOUR, canvas, legend_above, line_of
from omnisila.schema import Example, Prediction

BINS = 10
_PANELS_A_ROW = 4
_GRID = np.linspace(0.0, 1.0, 201)


class Intensities(NamedTuple):
    """True and predicted intensities of the items that a system answered, one column an emotion."""

    system: str
    truth: Float[np.ndarray, "items emotions"]
    predicted: Float[np.ndarray, "items emotions"]


def intensities_of(system: str, examples: Sequence[Example], predictions: Sequence[Prediction]) -> Intensities:
    """The items with a true intensity and an answer that could be parsed, for all emotions."""
    said = {side.example_id: side.intensities for side in predictions if side.parse_ok and side.intensities}
    pairs = [(side.intensities, said[side.id]) for side in examples if side.intensities and side.id in said]
    whole = [pair for pair in pairs if all(label in side for side in pair for label in REACTION.labels)]
    columns = np.array([[[side[label] for label in REACTION.labels] for side in pair] for pair in whole])
    truth, predicted = columns.reshape(-1, 2, len(REACTION.labels)).swapaxes(0, 1)
    return Intensities(system, truth, predicted)


def densities(systems: Sequence[Intensities]) -> Figure:
    """A panel an emotion: Gaussian kernel densities of the truth and of each system.

    A column with a single value has no density; it is a mark on the axis.
    """
    emotions = len(REACTION.labels)
    rows = -(-emotions // _PANELS_A_ROW)
    figure, panels = canvas(10.5, 0.8 + 2.4 * rows, rows, _PANELS_A_ROW)
    for index, (axes, emotion) in enumerate(zip(panels, REACTION.labels, strict=False)):
        truth = density(systems[0].truth[:, index])
        if truth is not None:
            axes.fill_between(_GRID, truth, color=TRUTH_COLOUR, alpha=0.22, linewidth=0, label="truth")
        for number, system in enumerate(systems):
            column, (color, style, marker) = system.predicted[:, index], line_of(number)
            curve = density(column)
            if curve is None:
                axes.plot(column[:1], [0.0], color=color, marker=marker, label=system.system, clip_on=False)
            else:
                axes.plot(_GRID, curve, color=color, linestyle=style, label=system.system)
        axes.set_title(emotion)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("intensity (0 to 1)")
        axes.set_ylabel("density (per unit)")
    for axes in panels[emotions:]:
        axes.remove()
    legend_above(figure, panels[0])
    return figure


def density(values: Float[np.ndarray, "items"]) -> Float[np.ndarray, "points"] | None:
    """Gaussian kernel density at 201 points from 0 to 1; None for fewer than two different values."""
    if len(np.unique(values)) < 2:
        return None
    return gaussian_kde(values)(_GRID)


def confusion(system: Intensities) -> Figure:
    """A panel an emotion: how many items of each true bin are predicted in each bin."""
    emotions = len(REACTION.labels)
    rows = -(-emotions // _PANELS_A_ROW)
    figure, panels = canvas(11.5, 0.5 + 2.9 * rows, rows, _PANELS_A_ROW)
    image = None
    for index, (axes, emotion) in enumerate(zip(panels, REACTION.labels, strict=False)):
        counts = count_bins(system.truth[:, index], system.predicted[:, index])
        items = counts.sum(axis=1, keepdims=True)
        of_true = np.where(items > 0, counts / np.maximum(items, 1), np.nan)
        image = axes.imshow(
            100 * of_true, origin="lower", extent=(0, 1, 0, 1), cmap="cividis", vmin=0, vmax=100, interpolation="none"
        )
        axes.plot([0, 1], [0, 1], color="#b0b0b0", linewidth=0.9, linestyle=":")
        predicted = system.predicted[:, index]
        axes.set_title(f"{emotion}\npredicted {predicted.mean():.3f} ± {predicted.std():.3f}", fontsize=9)
        axes.set_xlabel("predicted intensity (bins of 0.1)")
        axes.set_ylabel("true intensity (bins of 0.1)")
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.grid(visible=False)
    for axes in panels[emotions:]:
        axes.remove()
    if image is not None:
        figure.colorbar(image, ax=panels[:emotions], label="share of the true bin's items (%)", shrink=0.7, pad=0.02)
    figure.suptitle(f"{system.system}: {len(system.truth)} items; true bins without items are blank")
    return figure


def count_bins(truth: Float[np.ndarray, "items"], predicted: Float[np.ndarray, "items"]) -> Int[np.ndarray, "10 10"]:
    """Counts by true bin (rows) and predicted bin; 0.3 is in [0.3, 0.4), and 1 in the last bin."""
    counts = np.zeros((BINS, BINS), dtype=np.int64)
    # 0.3 x 10 is 2.9999... in some sums of floats; a hair is added before the cut
    row, column = (np.minimum((side * BINS + 1e-9).astype(np.int64), BINS - 1) for side in (truth, predicted))
    np.add.at(counts, (row, column), 1)
    return counts
