"""Several systems on one video: time bars of what each found, over its anomaly scores. Source: Hawkeye Figure 5."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from omnisila.labels import label_set
from omnisila.report.figures.style import COLOURS, canvas, shorten_names
from omnisila.schema import Example, Prediction, Span
from omnisila.systems import window_ids

_SCORE_COLOUR = "#222222"  # none of the labels'
_TRUE_TIME_COLOUR = "#f6e3ae"
_ROOM = 0.34  # of a panel's height, below the scores, for time bars


class Lane(NamedTuple):
    """What one system says of the video."""

    system: str
    spans: tuple[tuple[Span, str], ...]
    windows: tuple[tuple[float, float, float], ...]


class SideBySide(NamedTuple):
    """A video with its truth and each system's answers; ``windows`` are start, end (s) and anomaly score."""

    video: str
    labels: str
    duration_s: float
    truth: tuple[tuple[Span, str], ...]
    lanes: tuple[Lane, ...]


def telling_video(examples: Sequence[Example], systems: Mapping[str, Sequence[Prediction]]) -> Example | None:
    """The eventful locate example on which systems differ most in flagged time, of those that all answered."""
    said = [{prediction.example_id: prediction for prediction in predictions} for predictions in systems.values()]
    asked = [
        example
        for example in examples
        if example.task == "locate" and example.truth and all(example.id in answers for answers in said)
    ]
    return max(asked, key=lambda example: _difference(example, [answers[example.id] for answers in said]), default=None)


def side_by_side(
    asked: Example, examples: Sequence[Example], systems: Mapping[str, Sequence[Prediction]]
) -> SideBySide:
    """What the systems say of the video of a locate example; scores are those of its windows."""
    short = window_ids(examples)
    windows = {
        example.id: example
        for example in examples
        if example.task == "identify"
        and example.labels == asked.labels
        and example.video == asked.video
        and example.id in short
    }
    quiet = label_set(asked.labels).quiet
    return SideBySide(
        asked.video,
        asked.labels,
        asked.end_s,
        tuple((event.span, event.label) for event in asked.truth if event.label != quiet),
        tuple(_lane(name, asked, windows, predictions) for name, predictions in systems.items()),
    )


def side_by_side_figure(shown: SideBySide) -> Figure:
    """A panel a system: true time shaded behind, found spans as bars below the anomaly scores."""
    figure, panels = canvas(9.0, 1.3 + 1.25 * len(shown.lanes), rows=len(shown.lanes))
    names = [*(label for _, label in shown.truth), *(label for lane in shown.lanes for _, label in lane.spans)]
    looks: dict[str, dict[str, Any]] = {
        label: {"facecolor": COLOURS[index % len(COLOURS)], "hatch": "///" if index >= len(COLOURS) else ""}
        for index, label in enumerate(dict.fromkeys(names))
    }
    called = shorten_names([lane.system for lane in shown.lanes], most=60)
    for axes, lane, name in zip(panels, shown.lanes, called, strict=True):
        _draw(axes, lane, name, shown, looks)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    panels[-1].set_xlabel("time in the video (s)")
    handles = [Patch(color=_TRUE_TIME_COLOUR, linewidth=0, label="true time")]
    handles += [Patch(edgecolor="white", label=f"found: {label}", **look) for label, look in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    true_labels = ", ".join(dict.fromkeys(label for _, label in shown.truth))
    panels[0].set_title(f"{shown.video}: {true_labels}", loc="left")
    return figure


def _draw(axes: Axes, lane: Lane, name: str, shown: SideBySide, looks: Mapping[str, Mapping[str, Any]]) -> None:
    for span, _ in shown.truth:
        axes.axvspan(span.start_s, span.end_s, color=_TRUE_TIME_COLOUR, linewidth=0, zorder=0)
    for span, label in lane.spans:
        place = [(span.start_s, span.duration_s)]
        axes.broken_barh(place, (-0.86 * _ROOM, 0.62 * _ROOM), edgecolor="white", linewidth=0.6, **looks[label])
    for start_s, end_s, score in lane.windows:
        axes.fill_between([start_s, end_s], [score, score], color=_SCORE_COLOUR, alpha=0.18, linewidth=0)
        axes.plot([start_s, end_s], [score, score], color=_SCORE_COLOUR, linewidth=1.4, solid_capstyle="butt")
    absent = [*(["no spans"] if not lane.spans else []), *(["no window scores"] if not lane.windows else [])]
    if absent:
        axes.text(0.995, 0.94, ", ".join(absent), transform=axes.transAxes, ha="right", va="top", color="#555555")
    axes.axhline(0, color="#bbbbbb", linewidth=0.8)
    axes.set_xlim(0, shown.duration_s)
    axes.set_ylim(-_ROOM, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("anomaly", fontsize=8)
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.5}
    axes.text(0.006, 0.62, name, transform=axes.transAxes, fontsize=8, fontweight="bold", bbox=ground)


def _lane(system: str, asked: Example, windows: Mapping[str, Example], predictions: Sequence[Prediction]) -> Lane:
    said = {prediction.example_id: prediction for prediction in predictions}
    quiet = label_set(asked.labels).quiet
    scored = [
        (window.start_s, window.end_s, anomaly)
        for key, window in windows.items()
        if key in said and (anomaly := said[key].anomaly) is not None
    ]
    answer = said.get(asked.id)
    findings = answer.findings if answer is not None else ()
    return Lane(
        system,
        tuple((finding.span, finding.label) for finding in findings if finding.label != quiet),
        tuple(sorted(scored)),
    )


def _difference(asked: Example, answers: Sequence[Prediction]) -> float:
    """Range over systems of flagged seconds that are true, less those that are not; then videos with more truth."""
    marks = [sum(_worth(finding.span, asked) for finding in answer.findings) for answer in answers]
    return max(marks) - min(marks) if len(marks) > 1 else sum(event.span.duration_s for event in asked.truth)


def _worth(span: Span, asked: Example) -> float:
    true_s = sum(
        max(0.0, min(span.end_s, event.span.end_s) - max(span.start_s, event.span.start_s)) for event in asked.truth
    )
    return 2 * true_s - span.duration_s
