"""What is said of windows, by teachers and by people, as votes learn it: which answers are believed, and of whom."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from omnisila.config import Frozen
from omnisila.data.instructions import parse_label
from omnisila.data.preparation.video_examples import label_over
from omnisila.errors import TrainingError
from omnisila.labels import label_set
from omnisila.pace import Say
from omnisila.schema import Analysis, CurvePoint, Example, Span
from omnisila.training.distilling import Lesson

Agreement = Literal["windows", "asked", "none"]


class TeacherAnswers(Frozen):
    """What a teacher says of a video; ``asked`` are its own words for each window by label set, where it was asked."""

    analysis: Analysis
    asked: dict[str, tuple[str | None, ...]] = Field(default_factory=dict)


class Windows(NamedTuple):
    """A video's windows as the student reads them."""

    spans: tuple[Span, ...]
    summaries: dict[str, Tensor]


def lesson_of(
    name: str,
    shown: Mapping[str, Windows],
    answers: Mapping[str, Sequence[TeacherAnswers]],
    known: Mapping[str, Sequence[Example]],
    sources: Mapping[str, str],
    agreement: Agreement,
    say: Say,
) -> Lesson:
    """What is said of one label set, by teachers and by people."""
    labels = label_set(name).labels
    taught = [
        _target(name, labels, windows.spans, answers.get(video, ()), agreement) for video, windows in shown.items()
    ]
    truth = [_truth(name, labels, windows.spans, known.get(video, ())) for video, windows in shown.items()]
    if not shown:
        raise TrainingError("no video can be read. Give another --footage.")
    teacher = torch.cat(taught)
    reads = next(iter(shown.values())).summaries
    heard = sum(len(windows.spans) for video, windows in shown.items() if answers.get(video))
    if heard:
        say(f"{name}: {int((teacher.sum(1) > 0).sum())} of {heard} windows with a teacher's answer are believed")
    return Lesson(
        {read: torch.cat([windows.summaries[read] for windows in shown.values()]) for read in reads},
        teacher,
        torch.cat(truth),
        np.array([sources.get(video, video) for video, windows in shown.items() for _ in windows.spans]),
    )


def _target(
    name: str, labels: Sequence[str], spans: Sequence[Span], answers: Sequence[TeacherAnswers], agreement: Agreement
) -> Float[Tensor, "windows labels"]:
    """The teachers' mean posterior over each window, at its middle; zeros where none is believed."""
    rows = torch.zeros(len(answers), len(spans), len(labels))
    middles_s = np.array([(span.start_s + span.end_s) / 2 for span in spans])
    for row, said in zip(rows, answers, strict=True):
        points = said.analysis.anomaly_curve
        agreed = select_believed(points, name, said.asked.get(name), agreement)
        starts_s = np.array([point.start_s for point in points])
        for place, (middle_s, nearest) in enumerate(
            zip(middles_s, np.searchsorted(starts_s, middles_s, side="right") - 1, strict=True)
        ):
            if nearest >= 0 and middle_s < points[nearest].end_s and agreed[nearest]:
                found = torch.tensor([points[nearest].posterior[name].get(label, 0.0) for label in labels])
                row[place] = found / found.sum().clamp(min=1e-6)
    count = (rows.sum(2) > 0).sum(0).clamp(min=1)
    return rows.sum(0) / count[:, None]


def _truth(
    name: str, labels: Sequence[str], spans: Sequence[Span], examples: Sequence[Example]
) -> Int[Tensor, "windows"]:
    """The known label of each window; -1 where none is."""
    known = torch.full((len(spans),), -1)
    for example in (example for example in examples if example.labels == name):
        for place, span in enumerate(spans):
            if example.start_s - 1e-6 <= span.start_s and span.end_s <= example.end_s + 1e-6:
                label = label_over(example.truth, span, label_set(name).quiet or "") if example.truth else None
                label = parse_label(example.answer, label_set(name)) if example.task == "identify" else label
                label = label or label_set(name).quiet
                known[place] = labels.index(label) if label in labels else -1
    return known


def select_believed(
    points: Sequence[CurvePoint], name: str, asked: Sequence[str | None] | None, agreement: Agreement
) -> list[bool]:
    """Which of a teacher's windows are learnt from.

    ``windows``: the likeliest label is that of a window that touches it; one alone flickers, and a video of one window
    is believed. ``asked``: it is also what the teacher says when it is asked. ``none``: all are.
    """
    best = [max(point.posterior[name], key=point.posterior[name].__getitem__) for point in points]
    if agreement == "none":
        return [True] * len(points)
    if agreement == "asked":
        return [label == said for label, said in zip(best, asked or (), strict=True)]
    agreed = [len(points) == 1] * len(points)
    for (first, before), (second, after) in pairwise(enumerate(points)):
        if best[first] == best[second] and after.start_s - before.end_s < 1e-6:  # a pause between windows parts them
            agreed[first] = agreed[second] = True
    return agreed
