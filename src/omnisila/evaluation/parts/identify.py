"""Identify answers: one label per window or per whole video. Source: Omni-SILA 4.3 (VSI)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from omnisila.errors import InputError
from omnisila.evaluation import trivial
from omnisila.evaluation.answers import (
    CHANCE,
    FLAG_ALL,
    FLAG_NONE,
    Answers,
    Chosen,
    Part,
    PerItem,
    number_names,
    with_label_set,
)
from omnisila.evaluation.named_scores import identifying_scores, make_score
from omnisila.labels import LabelSet
from omnisila.schema import Example, Prediction, Score
from omnisila.systems import window_ids


class Identified(NamedTuple):
    """Answers in columns; a predicted label of -1 is one that is missing or could not be parsed."""

    labels: LabelSet
    unit: str
    truth: Int[np.ndarray, "items"]
    predicted: Int[np.ndarray, "items"]
    groups: Int[np.ndarray, "items"]
    anomaly: Float[np.ndarray, "items"] | None

    @property
    def negative(self) -> Int[np.ndarray, "negative"]:
        """Positions of the labels that count as positive."""
        return np.array([self.labels.labels.index(label) for label in self.labels.negative], dtype=np.int64)

    def scores(self, chosen: Chosen) -> tuple[Score, ...]:
        anomaly = None if self.anomaly is None else self.anomaly[chosen]
        columns = (self.truth[chosen], self.predicted[chosen], self.groups[chosen])
        return with_label_set(
            self.labels.name, identifying_scores(*columns, self.negative.tolist(), anomaly, unit=self.unit)
        )

    def details(self) -> tuple[Score, ...]:
        """Of each label that is true anywhere, the share that was found."""
        right = self.truth == self.predicted
        recalls = [
            make_score(
                "recall",
                f"{self.labels.labels[label]}; {self.unit} level",
                float(right[self.truth == label].mean()),
                int((self.truth == label).sum()),
            )
            for label in np.unique(self.truth)
        ]
        return with_label_set(self.labels.name, recalls)

    def per_item(self) -> PerItem:
        variant = f"{self.labels.name}; {self.unit} level"
        return PerItem("accuracy", variant, (self.truth == self.predicted).astype(np.float64))

    def trivial(self) -> Iterator[tuple[str, Part]]:
        among_negative = self.truth[np.isin(self.truth, self.negative)]
        commonest = np.bincount(among_negative).argmax() if len(among_negative) else self.negative[0]
        ones = np.ones(len(self.truth))
        yield FLAG_ALL, self._replace(predicted=np.full_like(self.truth, commonest), anomaly=ones)
        if self.labels.quiet is not None:
            quiet = self.labels.labels.index(self.labels.quiet)
            yield FLAG_NONE, self._replace(predicted=np.full_like(self.truth, quiet), anomaly=0 * ones)
        chance = trivial.chance_labels(self.truth)
        yield CHANCE, self._replace(predicted=chance, anomaly=np.isin(chance, self.negative).astype(np.float64))


def parts(answers: Answers, labels: LabelSet) -> list[Identified]:
    """Windows and whole videos apart."""
    windows = window_ids(example for example, _ in answers.pairs)
    units: dict[str, list[tuple[Example, Prediction | None]]] = {"window": [], "video": []}
    for example, prediction in answers.of("identify", labels.name):
        units["window" if example.id in windows else "video"].append((example, prediction))
    return [_make_part(labels, unit, pairs) for unit, pairs in units.items() if pairs]


def _make_part(labels: LabelSet, unit: str, pairs: Sequence[tuple[Example, Prediction | None]]) -> Identified:
    anomaly = [said_anomaly(prediction) for _, prediction in pairs]
    return Identified(
        labels,
        unit,
        np.array([_true_label(example, labels) for example, _ in pairs]),
        np.array([_predicted_label(prediction, labels) for _, prediction in pairs]),
        number_names(example.video for example, _ in pairs),
        None
        if all(score is None for score in anomaly)
        else np.array([worst_anomaly(e, labels) if s is None else s for (e, _), s in zip(pairs, anomaly, strict=True)]),
    )


def said_anomaly(prediction: Prediction | None) -> float | None:
    """How anomalous a system finds a window or video, where it says so."""
    return prediction.anomaly if prediction is not None and prediction.parse_ok else None


def worst_anomaly(example: Example, labels: LabelSet) -> float:
    """What a missing score counts as: silence must not help."""
    return 0.0 if example.answer.casefold() in {label.casefold() for label in labels.negative} else 1.0


def _true_label(example: Example, labels: LabelSet) -> int:
    position = {label.casefold(): index for index, label in enumerate(labels.labels)}
    if example.answer.casefold() not in position:
        raise InputError(
            f"{example.id}: answer {example.answer!r} is no label of {labels.name}. Wanted one of: "
            f"{', '.join(labels.labels)}. Prepare the examples again."
        )
    return position[example.answer.casefold()]


def _predicted_label(prediction: Prediction | None, labels: LabelSet) -> int:
    if prediction is None or not prediction.parse_ok:
        return -1
    if prediction.posterior:
        label = max(prediction.posterior, key=prediction.posterior.__getitem__)
    elif prediction.findings:
        label = max(prediction.findings, key=lambda finding: finding.score).label
    else:
        label = labels.quiet
    return labels.labels.index(label) if label in labels.labels else -1
