"""React answers: intensities of emotional reactions. Source: emotional-reaction paper, Tables 3-6."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from omnisila.evaluation import reaction
from omnisila.evaluation.answers import CHANCE, Answers, Chosen, Part, PerItem, number_names, with_label_set
from omnisila.evaluation.named_scores import make_score
from omnisila.labels import LabelSet
from omnisila.schema import Prediction, Score


class Reacted(NamedTuple):
    """Intensities in columns; a gap in the answers is filled with the emotion's mean over the other answers."""

    labels: LabelSet
    truth: Float[np.ndarray, "items emotions"]
    predicted: Float[np.ndarray, "items emotions"]
    groups: Int[np.ndarray, "items"]
    imputed_frac: float

    def scores(self, chosen: Chosen) -> tuple[Score, ...]:
        result = reaction.pearson(self.truth[chosen], self.predicted[chosen])
        mean = make_score("Pearson", "mean over emotions", result.mean, len(chosen))
        each = (
            make_score("Pearson", label, float(value), len(chosen), "constant column" if constant else None)
            for label, value, constant in zip(self.labels.labels, result.per_emotion, result.constant, strict=True)
        )
        return with_label_set(self.labels.name, (mean, *each))

    def details(self) -> tuple[Score, ...]:
        """How the intensities spread, and how many are no answer."""
        count = len(self.truth)
        spread = reaction.spread(self.predicted)._asdict()
        words = {"std": "standard deviation", "repeated_frac": "share of the commonest value"}
        scores = [
            make_score("predicted intensity", f"{label}; {words.get(name, name)}", float(value), count)
            for name, column in spread.items()
            for label, value in zip(self.labels.labels, column, strict=True)
        ]
        filled = "share of items, filled with the emotion's mean over the other answers"
        return with_label_set(self.labels.name, (*scores, make_score("imputed", filled, self.imputed_frac, count)))

    def per_item(self) -> PerItem:
        error = np.abs(self.truth - self.predicted).mean(axis=1)
        return PerItem("absolute error", f"{self.labels.name}; mean over emotions", error)

    def trivial(self) -> Iterator[tuple[str, Part]]:
        shuffled = np.random.default_rng(0).permutation(self.truth)
        yield CHANCE, self._replace(predicted=shuffled, imputed_frac=0.0)


def parts(answers: Answers, labels: LabelSet) -> list[Reacted]:
    """One part, or none; examples whose intensities are private are left out."""
    pairs = [pair for pair in answers.of("react", labels.name) if pair[0].intensities is not None]
    if not pairs:
        return []
    truth = np.array([_row(example.intensities, labels.labels) for example, _ in pairs])
    said = np.array([_predicted_row(prediction, labels.labels) for _, prediction in pairs])
    filled = reaction.impute(said, _mean_of_stated(said))
    return [Reacted(labels, truth, filled.intensities, number_names(e.video for e, _ in pairs), filled.item_frac)]


def _mean_of_stated(said: Float[np.ndarray, "items emotions"]) -> Float[np.ndarray, "emotions"]:
    """Of the answers that state the emotion; 0 for one that none states."""
    return np.where(np.isnan(said), 0.0, said).sum(axis=0) / np.maximum((~np.isnan(said)).sum(axis=0), 1)


def _predicted_row(prediction: Prediction | None, labels: Sequence[str]) -> list[float]:
    return _row(None if prediction is None or not prediction.parse_ok else prediction.intensities, labels)


def _row(intensities: Mapping[str, float] | None, labels: Sequence[str]) -> list[float]:
    return [(intensities or {}).get(label, np.nan) for label in labels]
