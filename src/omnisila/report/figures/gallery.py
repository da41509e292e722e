"""Every figure of a report that its inputs allow, in the report's order; the others with the reason they are absent."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from omnisila.errors import InputError
from omnisila.report.figures.inference_time import inference_time_bars
from omnisila.report.figures.intensities import confusion, densities, intensities_of
from omnisila.report.figures.losses import loss_curves
from omnisila.report.figures.per_label import DRAWN, per_label_lines
from omnisila.report.figures.qualitative import side_by_side, side_by_side_figure, telling_video
from omnisila.report.score_tables import per_label, per_label_table
from omnisila.schema import Example, Prediction, Scores


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
