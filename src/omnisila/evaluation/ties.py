"""What hangs on the order of predictions: TSL-300's own F2, and how far average precision moves with its ties."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.evaluation.locating import TIOUS, match_predictions, mean_average_precision
from omnisila.evaluation.tables import SpanTable
from omnisila.schema import Score


class TieRange(NamedTuple):
    """mAP (mean over thresholds) when predictions of one score stand worst overlap first, and best overlap first.

    Two of the possible orders, not strict bounds: where predictions compete for one true span another may go beyond.
    """

    worst_first: float
    best_first: float


def tsl300_f2(truth: SpanTable, predicted: SpanTable, labels: int) -> Float[np.ndarray, "tious"]:
    """F2 as TSL-300's scorer has it: from precision and recall averaged over the ranked list, then over labels.

    Neither at an operating point nor over frames, so not comparable to those. A label with true spans but without
    predictions has precision and recall 0, where the published scorer stops.
    """
    hit = match_predictions(truth, predicted, labels, TIOUS)
    precisions, recalls = [], []
    for label in np.unique(truth.label):
        mine = np.flatnonzero(predicted.label == label)
        if not len(mine):
            precisions.append(np.zeros(len(TIOUS)))
            recalls.append(np.zeros(len(TIOUS)))
            continue
        hits = np.cumsum(hit[:, mine[np.argsort(-predicted.score[mine], kind="stable")]], axis=1)
        precisions.append((hits / np.arange(1, len(mine) + 1)).mean(axis=1))
        recalls.append((hits / (truth.label == label).sum()).mean(axis=1))
    if not precisions:
        return np.full(len(TIOUS), np.nan)
    precision, recall = np.mean(precisions, axis=0), np.mean(recalls, axis=0)
    below = 4 * precision + recall
    return 5 * precision * recall / np.where(below > 0, below, 1.0)


def tie_range(truth: SpanTable, predicted: SpanTable, labels: int) -> TieRange:
    """mAP with equal scores ordered against and in favour of the system."""
    overlap = _best_overlap(truth, predicted, labels)
    worst, best = (
        mean_average_precision(truth, predicted.where(np.argsort(key, kind="stable")), labels).mean
        for key in (overlap, -overlap)
    )
    return TieRange(worst, best)


def ranked_scores(truth: SpanTable, predicted: SpanTable, labels: int) -> tuple[Score, ...]:
    """Both as named scores, beside ``locating_scores``; apart because a bootstrap need not draw them."""
    f2 = tsl300_f2(truth, predicted, labels)
    ties = tie_range(truth, predicted, labels)
    mean = f"mean of {', '.join(f'{tiou:g}' for tiou in TIOUS)}"
    values = [
        *(("F2", f"tsl300, tIoU {tiou:g}", float(value)) for tiou, value in zip(TIOUS, f2, strict=True)),
        ("F2", f"tsl300, {mean}", float(f2.mean())),
        ("mAP@tIoU", f"{mean}; equal scores by overlap, worst first", ties.worst_first),
        ("mAP@tIoU", f"{mean}; equal scores by overlap, best first", ties.best_first),
    ]
    return tuple(
        Score(metric=metric, variant=variant, value=None if np.isnan(value) else value, count=len(truth.video))
        for metric, variant, value in values
    )


def _best_overlap(truth: SpanTable, predicted: SpanTable, labels: int) -> Float[np.ndarray, "predictions"]:
    """Each prediction's largest tIoU with a true span of its video and label."""
    best = np.zeros(len(predicted.label))
    true_key, key = truth.video * labels + truth.label, predicted.video * labels + predicted.label
    by_key = np.argsort(true_key, kind="stable")
    first, past = (np.searchsorted(true_key[by_key], key, side=side) for side in ("left", "right"))
    for nth in range(int((past - first).max(initial=0))):
        rows = np.flatnonzero(first + nth < past)
        other = by_key[first[rows] + nth]
        shared_s = np.minimum(predicted.end_s[rows], truth.end_s[other]) - np.maximum(
            predicted.start_s[rows], truth.start_s[other]
        )
        lengths_s = (predicted.end_s - predicted.start_s)[rows] + (truth.end_s - truth.start_s)[other]
        shared_s = np.clip(shared_s, 0.0, None)
        best[rows] = np.maximum(best[rows], shared_s / (lengths_s - shared_s))
    return best
