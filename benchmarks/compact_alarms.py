"""What default thresholds do to untrimmed footage that they were not fitted on: events found, named, false alarms."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from omnisila.data.annotated import AnnotatedVideo
from omnisila.evaluation.identifying import ranking
from omnisila.labels import label_set
from omnisila.recipes.studies.calibration import JoinedScores, joins_of, ordinary_clips, voted_thresholds
from omnisila.spans import LabelledSpan, SpanShape, Thresholds, anomaly_scores, labelled_spans


class Watched(NamedTuple):
    """Counts over videos with events, and over ordinary ones.

    ``found`` events are touched by a finding of any label, ``named`` ones by one of their own label; ``events`` counts
    those of labels that are not taught, too. ``frame_auc`` is over the windows of the videos with events and of the
    ordinary ones of the same sets, by ``anomaly_scores``.
    """

    events: int
    found: int
    named: int
    alarms: int
    hours: float
    frame_auc: float

    @property
    def alarms_per_hour(self) -> float:
        """On ordinary footage."""
        return self.alarms / self.hours if self.hours else float("nan")


def watched(
    clips: Sequence[AnnotatedVideo],
    scores: JoinedScores,
    names: Sequence[str],
    labels: str,
    thresholds: Callable[[AnnotatedVideo], Mapping[str, Thresholds]],
    averaged: Collection[str] = (),
) -> Watched:
    """Counts over some clips.

    Args:
        clips: eventful and ordinary ones.
        scores: of their windows.
        names: the labels that are scored, in the order of the columns.
        labels: their label set.
        thresholds: those that each clip is judged by.
        averaged: as ``anomaly_scores``.
    """
    eventful = [clip for clip in clips if clip.truth and clip.path in scores.durations_s]
    found = named = events = alarms = 0
    for clip in eventful:
        spans = _spans(clip, scores, names, labels, thresholds(clip))
        for event in clip.truth or ():
            touching = [
                span for span in spans if span.span.start_s < event.span.end_s and span.span.end_s > event.span.start_s
            ]
            events += 1
            found += bool(touching)
            named += any(item.label == event.label for item in touching)
    ordinary = ordinary_clips(clips, labels, scores.durations_s)
    for clip in ordinary:
        alarms += len(_spans(clip, scores, names, labels, thresholds(clip)))
    hours = sum(scores.durations_s[clip.path] for clip in ordinary) / 3600
    sets = {clip.set_name for clip in eventful}
    truth: list[bool] = []
    score: list[float] = []
    for clip in (*eventful, *(clip for clip in ordinary if clip.set_name in sets)):
        start_s, end_s, rows = scores.of_clip(clip)
        middle_s = (start_s + end_s) / 2
        spans = [event.span for event in clip.truth or ()]
        truth += [any(span.start_s <= at_s < span.end_s for span in spans) for at_s in middle_s]
        score += anomaly_scores(rows, names, label_set(labels), averaged, thresholds(clip)).tolist()
    return Watched(events, found, named, alarms, hours, ranking(np.array(truth), np.array(score)).auc)


def nested_thresholds(
    clips: Sequence[AnnotatedVideo],
    fold_of: Sequence[int],
    scores: JoinedScores,
    names: Sequence[str],
    labels: str,
    acts: Collection[str],
) -> Callable[[AnnotatedVideo], Mapping[str, Thresholds]]:
    """For each clip the thresholds that are fitted on the folds it is not in."""
    fold = {clip.path: number for clip, number in zip(clips, fold_of, strict=True)}
    ordinary, numbers = ordinary_clips(clips, labels, scores.durations_s), sorted(set(fold_of))
    joins = joins_of(clips, fold_of, scores.durations_s, labels, names, len(numbers), seed=0)
    fitted = {
        number: voted_thresholds(
            [clip for clip in ordinary if fold[clip.path] != number],
            [join for join in joins if fold[join.parts[0].clip.path] != number],
            scores, names, labels, acts,
        )
        for number in numbers
    }  # fmt: skip
    return lambda clip: fitted[fold[clip.path]]


def _spans(
    clip: AnnotatedVideo,
    scores: JoinedScores,
    names: Sequence[str],
    labels: str,
    thresholds: Mapping[str, Thresholds],
) -> tuple[LabelledSpan, ...]:
    start_s, end_s, rows = scores.of_clip(clip)
    return labelled_spans(start_s, end_s, rows, names, label_set(labels), dict(thresholds), SpanShape())


def probabilities(odds: Mapping[str, Float[np.ndarray, "windows"]], names: Sequence[str]) -> np.ndarray:
    """Posteriors of labels from their log-odds against the quiet label."""
    count = len(next(iter(odds.values())))
    columns = np.stack([odds.get(name, np.zeros(count)) for name in names], axis=1)
    return softmax(columns, axis=1)
