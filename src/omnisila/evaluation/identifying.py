"""Visual sentiment identification: which label, per window or clip, and how well scores rank frames.

A metric that a set cannot define (recall without a positive, AUC with one class) is NaN, never 0 or 1. An answer that
could not be parsed is predicted label -1: wrong everywhere, positive nowhere. Source: Omni-SILA 4.3.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from omnisila.evaluation.grid import covered_frames, frame_scores, grid_of
from omnisila.evaluation.tables import Footage, SpanTable

Labels = Int[np.ndarray, "items"]


class Ranking(NamedTuple):
    """How well scores separate positives from negatives."""

    auc: float
    average_precision: float


def accuracy(truth: Labels, predicted: Labels) -> float:
    """Share of items with the right label."""
    return float((truth == predicted).mean()) if len(truth) else np.nan


def balanced_accuracy(truth: Labels, predicted: Labels) -> float:
    """Mean over the labels that occur in the truth of the share of each that was found."""
    recalls = [float((predicted[truth == label] == label).mean()) for label in np.unique(truth)]
    return float(np.mean(recalls)) if recalls else np.nan


def f_beta(truth: Bool[np.ndarray, "items"], predicted: Bool[np.ndarray, "items"], beta: float = 2.0) -> float:
    """Binary F: recall counts ``beta`` times as much as precision; NaN without a true positive item to find.

    Source: Hawkeye Eq. (9).
    """
    return f_from_counts(
        int((truth & predicted).sum()), int((~truth & predicted).sum()), int((truth & ~predicted).sum()), beta
    )


def f_from_counts(hits: int, false_alarms: int, misses: int, beta: float = 2.0) -> float:
    """The same from counts. F2 = 5PR / (4P + R)."""
    if hits + misses == 0:
        return np.nan
    weight = beta**2
    return (1 + weight) * hits / ((1 + weight) * hits + weight * misses + false_alarms)


def macro_f_beta(truth: Labels, predicted: Labels) -> float:
    """Mean of each label's F over the labels that are true or predicted anywhere; one never true scores 0."""
    labels = np.union1d(truth, predicted[predicted >= 0])
    scores = [f_beta(truth == label, predicted == label) for label in labels]
    return float(np.mean(np.nan_to_num(scores))) if scores else np.nan


def macro_over_videos(
    metric: Callable[..., float],
    truth: Shaped[np.ndarray, "items"],
    predicted: Shaped[np.ndarray, "items"],
    video: Int[np.ndarray, "items"],
) -> float:
    """Mean of ``metric(truth, predicted)`` over videos, each counting once however long.

    Videos in which the metric is undefined are left out.
    """
    order = np.argsort(video, kind="stable")
    cuts = np.flatnonzero(np.diff(video[order])) + 1
    values = [metric(truth[rows], predicted[rows]) for rows in np.split(order, cuts) if len(rows)]
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def ranking(
    truth: Bool[np.ndarray, "items"],
    score: Float[np.ndarray, "items"],
    weight: Int[np.ndarray, "items"] | None = None,
) -> Ranking:
    """Area under the ROC curve, ties counting half, and average precision without interpolation.

    Args:
        score: higher means more positive.
        weight: how many equal items each stands for.
    """
    weight = np.ones(len(truth), dtype=np.int64) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1] if len(order) else order
    hits = np.cumsum(np.where(truth, weight, 0)[order])[last_of_ties]
    alarms = np.cumsum(np.where(truth, 0, weight)[order])[last_of_ties]
    positives, negatives = (int(hits[-1]), int(alarms[-1])) if len(order) else (0, 0)
    if not positives:
        return Ranking(np.nan, np.nan)
    gained = np.diff(hits, prepend=0)
    average_precision = float((gained / positives * (hits / (hits + alarms))).sum())
    if not negatives:
        return Ranking(np.nan, average_precision)
    auc = float((np.diff(alarms, prepend=0) * (hits - gained / 2)).sum() / (positives * negatives))
    return Ranking(auc, average_precision)


def frame_ranking(windows: SpanTable, truth: SpanTable, footage: Footage) -> Ranking:
    """Frame AUC and AP over all videos on the fixed grid; a frame's score is that of the window it lies in.

    Equal neighbouring frames are counted, not repeated: the numbers are those of the expanded frames.

    Args:
        windows: scored windows or spans; frames in none score 0.
        footage: all videos, normal ones too.
    """
    grid = grid_of(footage)
    positive, score = covered_frames(grid, truth), frame_scores(grid, windows)
    if not grid.frames:
        return Ranking(np.nan, np.nan)
    first = np.flatnonzero(np.r_[True, (score[1:] != score[:-1]) | (positive[1:] != positive[:-1])])
    return ranking(positive[first], score[first], np.diff(first, append=grid.frames))
