"""Locate answers: spans of events in whole videos. Source: Omni-SILA 4.3 (VSL), Hawkeye 4.2."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from omnisila.errors import InputError
from omnisila.evaluation import trivial
from omnisila.evaluation.answers import CHANCE, FLAG_ALL, FLAG_NONE, Answers, Chosen, Part, PerItem, with_label_set
from omnisila.evaluation.grid import GRID_HZ
from omnisila.evaluation.locating import TIOUS, frame_detection, mean_average_precision, missed_per_video
from omnisila.evaluation.named_scores import average_precision_scores, locating_scores, make_score, refused_score
from omnisila.evaluation.parts.identify import said_anomaly, worst_anomaly
from omnisila.evaluation.tables import Footage, Refused, SpanTable, resample, tabulate, tabulate_truth
from omnisila.evaluation.ties import ranked_scores
from omnisila.labels import LabelSet
from omnisila.schema import Score
from omnisila.systems import SpanRow, window_ids


class Located(NamedTuple):
    """Spans of all labels but the quiet one; what is positive, and so counts in frames, are the negative ones.

    ``stated`` are the predicted spans as they were said, which average precision takes; ``predicted`` is what of them
    lies in the footage.
    """

    labels: LabelSet
    footage: Footage
    truth: SpanTable
    predicted: SpanTable
    stated: SpanTable
    windows: SpanTable | None
    refused: Refused

    @property
    def groups(self) -> Int[np.ndarray, "videos"]:
        return np.arange(len(self.footage.names))

    @property
    def negative(self) -> list[int]:
        """Positions, in the tables, of the labels that count as positive."""
        return [self.labels.reportable.index(label) for label in self.labels.negative]

    def scores(self, chosen: Chosen) -> tuple[Score, ...]:
        truth, predicted, stated = (resample(table, chosen) for table in (self.truth, self.predicted, self.stated))
        windows = None if self.windows is None else resample(self.windows, chosen)
        count = len(self.labels.reportable)
        scores = locating_scores(
            truth.of_labels(self.negative),
            predicted.of_labels(self.negative),
            self.footage.at(chosen),
            count,
            windows,
            stated=stated.of_labels(self.negative),
        )
        if len(self.negative) < count:
            scores += average_precision_scores(truth, stated, count, f"{', '.join(self.labels.reportable)}; ")
        return with_label_set(self.labels.name, scores)

    def details(self) -> tuple[Score, ...]:
        """TSL-300's own figures, the range of ties, what was refused, and each label's FNR and average precision."""
        count = len(self.labels.reportable)
        everything = (*ranked_scores(self.truth, self.stated, count), refused_score(self.refused))
        return with_label_set(self.labels.name, (*everything, *self._per_label()))

    def _per_label(self) -> Iterator[Score]:
        """A label's frames count as found when they are flagged at all, whatever the label said.

        Source: Hawkeye Table 2.
        """
        precision = mean_average_precision(self.truth, self.stated, len(self.labels.reportable))
        flagged = self.predicted.of_labels(self.negative)
        for index, label in enumerate(self.labels.reportable):
            mine = self.truth.of_labels([index])
            if not len(mine.label):
                continue
            if index in self.negative:
                frames, grid = frame_detection(mine, flagged, self.footage), f"{GRID_HZ:g} Hz grid"
                yield make_score("FNR", f"{label}; frames, micro; {grid}", frames.fnr_micro, len(mine.label))
                macro = f"{label}; frames, macro over its videos; {grid}"
                yield make_score("FNR", macro, frames.fnr_macro, frames.eventful_videos)
            ap = float(precision.per_label[:, index].mean())
            yield make_score(
                "AP@tIoU", f"{label}; mean of {', '.join(f'{tiou:g}' for tiou in TIOUS)}", ap, len(mine.label)
            )

    def per_item(self) -> PerItem:
        missed = missed_per_video(
            self.truth.of_labels(self.negative), self.predicted.of_labels(self.negative), self.footage
        )
        return PerItem("FNR", f"{self.labels.name}; frames of each eventful video; {GRID_HZ:g} Hz grid", missed)

    def trivial(self) -> Iterator[tuple[str, Part]]:
        count = len(self.labels.reportable)
        nothing_refused = Refused(*(0,) * len(self.refused))
        for name, spans in (
            (FLAG_ALL, trivial.flag_all(self.footage, count)),
            (FLAG_NONE, trivial.flag_none()),
            (CHANCE, trivial.chance_spans(self.truth, self.footage)),
        ):
            yield name, self._replace(predicted=spans, stated=spans, windows=None, refused=nothing_refused)


def parts(answers: Answers, labels: LabelSet) -> list[Located]:
    """One part, or none; window scores are those of identify answers on windows of the same videos."""
    pairs = answers.of("locate", labels.name)
    if not pairs:
        return []
    twice = [video for video, count in Counter(example.video for example, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(
            f"{twice[0]}: several locate examples of label set {labels.name}. Spans are scored over whole videos: keep "
            "one locate example a video, or give its parts names of their own."
        )
    footage = Footage(
        tuple(example.video for example, _ in pairs),
        np.array([example.end_s for example, _ in pairs], dtype=np.float64),
    )
    truth = [
        SpanRow(example.video, event.label, event.span.start_s, event.span.end_s)
        for example, _ in pairs
        for event in example.truth
        if event.label in labels.reportable
    ]
    said = [
        SpanRow(example.video, finding.label, finding.span.start_s, finding.span.end_s, finding.score)
        for example, prediction in pairs
        for finding in (prediction.findings if prediction is not None else ())
        if finding.label != labels.quiet
    ]
    predicted, refused, stated = tabulate([*said, *answers.strays.get(labels.name, ())], footage, labels.reportable)
    windows = _windows(answers, labels, footage)
    true = tabulate_truth(truth, footage, labels.reportable)
    return [Located(labels, footage, true, predicted, stated, windows, refused)]


def _windows(answers: Answers, labels: LabelSet, footage: Footage) -> SpanTable | None:
    short = window_ids(example for example, _ in answers.pairs)
    asked = [pair for pair in answers.of("identify", labels.name) if pair[0].id in short]
    scores = [said_anomaly(prediction) for _, prediction in asked]
    if all(score is None for score in scores):
        return None
    rows = [
        SpanRow(
            example.video,
            labels.negative[0],
            example.start_s,
            example.end_s,
            worst_anomaly(example, labels) if score is None else score,
        )
        for (example, _), score in zip(asked, scores, strict=True)
    ]
    return tabulate(rows, footage, labels.reportable).table
