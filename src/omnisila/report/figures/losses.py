"""Loss over training steps, a stage a panel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from omnisila.records import records
from omnisila.report.figures.style import COLOURS, QUIET_COLOUR, canvas, legend_above
from omnisila.training.log import LoggedStep

_SMOOTHED_OVER = 20  # the mean is over this part of all steps


def loss_curves(log: Path) -> Figure | None:
    """Each step's loss in grey, and the mean over the steps before it; None for a log without steps.

    Raises:
        RecordError: the file is no log of training.
    """
    stages: dict[str, list[LoggedStep]] = {}
    for line in records(log, LoggedStep):
        stages.setdefault(line.stage, []).append(line)
    if not stages:
        return None
    figure, panels = canvas(1.2 + 4.2 * len(stages), 3.4, columns=len(stages))
    for axes, (stage, lines) in zip(panels, stages.items(), strict=True):
        steps, losses = [line.step + 1 for line in lines], [line.loss for line in lines]
        window = max(1, len(lines) // _SMOOTHED_OVER)
        axes.plot(steps, losses, color=QUIET_COLOUR, linewidth=0.7, alpha=0.7, label="loss of a step")
        axes.plot(steps, trailing_mean(losses, window), color=COLOURS[0], label="mean of the steps before")
        axes.set_title(f"{stage}: mean over {window} step{'s' if window > 1 else ''}")
        axes.set_xlabel("training step (count)")
        axes.set_ylabel("loss (as minimised, mean of the batch)")
        axes.set_ylim(bottom=min(0.0, min(losses)))
    legend_above(figure, panels[0])
    return figure


def trailing_mean(values: Sequence[float], window: int) -> Float[np.ndarray, "steps"]:
    """The mean of each value and those before it, as many as the window holds or there are."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    past = np.arange(1, len(values) + 1)
    first = np.maximum(past - window, 0)
    return (total[past] - total[first]) / (past - first)
