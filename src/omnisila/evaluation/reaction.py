"""Emotional reaction intensity: correlation over the whole split, and signs of a system that says the same always.

A batch's mean correlation is another number, so there is none here. Source: emotional-reaction paper.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Intensities = Float[np.ndarray, "items emotions"]
PerEmotion = Float[np.ndarray, "emotions"]


class Correlation(NamedTuple):
    """Pearson's r; where truth or prediction is ``constant`` r is undefined and counts as 0."""

    mean: float
    per_emotion: PerEmotion
    constant: Bool[np.ndarray, "emotions"]


class Spread(NamedTuple):
    """What a system's intensities look like per emotion.

    ``repeated_frac`` is the share of items with the column's commonest value: near 1 the system has collapsed.
    """

    mean: PerEmotion
    std: PerEmotion
    least: PerEmotion
    largest: PerEmotion
    repeated_frac: PerEmotion


class Imputed(NamedTuple):
    """Intensities without gaps, and the share of items that had any."""

    intensities: Intensities
    item_frac: float


def pearson(truth: Intensities, predicted: Intensities) -> Correlation:
    """Mean over emotions of Pearson's r over all items; NaN without items."""
    if not len(truth):
        return Correlation(np.nan, np.full(truth.shape[1], np.nan), np.zeros(truth.shape[1], dtype=bool))
    constant = (np.ptp(truth, axis=0) == 0) | (np.ptp(predicted, axis=0) == 0)
    per_emotion = np.zeros(truth.shape[1])
    for column in np.flatnonzero(~constant):
        per_emotion[column] = np.dot(_unit(truth[:, column]), _unit(predicted[:, column]))
    return Correlation(float(per_emotion.mean()), per_emotion, constant)


def spread(predicted: Intensities) -> Spread:
    """Mean, deviation (of the population), range and repetition per emotion; NaN without items."""
    if not len(predicted):
        return Spread(*(np.full(predicted.shape[1], np.nan),) * 5)
    commonest = [np.unique(column, return_counts=True)[1].max() for column in predicted.T]
    return Spread(
        predicted.mean(axis=0),
        predicted.std(axis=0),
        predicted.min(axis=0),
        predicted.max(axis=0),
        np.array(commonest) / len(predicted),
    )


def impute(predicted: Intensities, train_mean: PerEmotion) -> Imputed:
    """NaN, where an answer could not be parsed, becomes the emotion's mean over the training split."""
    gaps = np.isnan(predicted)
    item_frac = float(gaps.any(axis=1).mean()) if len(predicted) else np.nan
    return Imputed(np.where(gaps, train_mean, predicted), item_frac)


def _unit(values: Float[np.ndarray, "items"]) -> Float[np.ndarray, "items"]:
    # scaled first, so that squares of tiny deviations do not underflow
    centred = values - values.mean()
    centred = centred / np.abs(centred).max()
    return centred / np.linalg.norm(centred)
