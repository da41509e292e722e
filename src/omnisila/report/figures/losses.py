"""Loss over training steps, a stage a panel and a line a run. Source: Hawkeye Figure 4."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omnisila.records import records
from omnisila.report.figures.style import QUIET_COLOUR, canvas, legend_above, line_of
from omnisila.training.log import LoggedStep

_SMOOTHED_OVER = 20  # the mean is over this part of all steps


def loss_curves(logs: Sequence[Path]) -> Figure | None:
    """The mean of each run's losses over the steps before; of a single run every step's too. None without any step.

    Runs are named by their folders. Losses compare where runs minimise the same sum of terms.

    Raises:
        RecordError: a file is no log of training.
    """
    stages: dict[str, dict[str, list[LoggedStep]]] = {}
    for name, log in _logs_by_name(logs).items():
        for line in records(log, LoggedStep):
            stages.setdefault(line.stage, {}).setdefault(name, []).append(line)
    if not stages:
        return None
    figure, panels = canvas(1.2 + 4.2 * len(stages), 3.4, columns=len(stages))
    order = list(dict.fromkeys(name for runs in stages.values() for name in runs))
    for axes, (stage, runs) in zip(panels, stages.items(), strict=True):
        for name, lines in runs.items():
            _draw(axes, name, lines, order.index(name), alone=len(order) == 1)
        axes.set_title(stage)
        axes.set_xlabel("training step (count)")
        axes.set_ylabel(f"loss (minimised; mean over 1/{_SMOOTHED_OVER} of a run)")
        axes.set_ylim(bottom=min(0.0, *(line.loss for lines in runs.values() for line in lines)))
    legend_above(figure, *panels)
    return figure


def _draw(axes: Axes, name: str, lines: Sequence[LoggedStep], place: int, *, alone: bool) -> None:
    steps, losses = [line.step + 1 for line in lines], [line.loss for line in lines]
    window = max(1, len(lines) // _SMOOTHED_OVER)
    if alone:
        axes.plot(steps, losses, color=QUIET_COLOUR, linewidth=0.7, alpha=0.7, label="loss of a step")
    color, style, _ = line_of(place)
    axes.plot(steps, trailing_mean(losses, window), color=color, linestyle=style, label=name)


def _logs_by_name(logs: Sequence[Path]) -> Mapping[str, Path]:
    """Each log by its run folder's name, or by its whole path where two folders are called alike."""
    names = [log.resolve().parent.name for log in logs]
    return {name if names.count(name) == 1 else str(log): log for name, log in zip(names, logs, strict=True)}


def trailing_mean(values: Sequence[float], window: int) -> Float[np.ndarray, "steps"]:
    """The mean of each value and those before it, as many as the window holds or there are."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    past = np.arange(1, len(values) + 1)
    first = np.maximum(past - window, 0)
    return (total[past] - total[first]) / (past - first)
