"""Visual sentiment localisation: which spans were found, and at what cost in false alarms.

Positive time is anomalous or negative time: hand in tables of such labels only. What cannot be measured is NaN.
Source: Omni-SILA 4.3, Hawkeye 4.2; average precision as ActivityNet defines it.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from omnisila.evaluation.grid import covered_frames, grid_of
from omnisila.evaluation.identifying import f_from_counts
from omnisila.evaluation.tables import Footage, SpanTable, merge_spans, ranges, touches

TIOUS = (0.1, 0.2, 0.3)


class MeanAveragePrecision(NamedTuple):
    """Average precision per overlap threshold and label; NaN for labels that no true span carries.

    ``tied_frac`` is the share of predictions whose score another prediction of their label also has. Ties are broken
    by input order, so where it is large the numbers depend on that order.
    """

    mean: float
    per_tiou: Float[np.ndarray, "tious"]
    per_label: Float[np.ndarray, "tious labels"]
    tied_frac: float


class FrameDetection(NamedTuple):
    """Detection on the frame grid, labels aside.

    Attributes:
        fnr_micro: missed share of all positive frames.
        fnr_macro: mean over eventful videos of each one's missed share.
        precision: positive share of all flagged frames.
        f2_micro: F2 over all frames.
        normal_false_positive_rate: flagged share of the frames of videos without any event.
        false_alarm_frac: flagged share of the frames outside events, of all videos.
        positive_frac: share of frames that are positive: what flag-all gets as precision.
        eventful_videos: videos with at least one positive frame.

    Source: Hawkeye Eq. (8), which is ``fnr_micro``.
    """

    fnr_micro: float
    fnr_macro: float
    precision: float
    f2_micro: float
    normal_false_positive_rate: float
    false_alarm_frac: float
    positive_frac: float
    eventful_videos: int


def mean_average_precision(
    truth: SpanTable, predicted: SpanTable, labels: int, tious: tuple[float, ...] = TIOUS
) -> MeanAveragePrecision:
    """mAP@tIoU: mean over labels that occur in the truth of interpolated average precision, then over thresholds.

    A label with true spans but no prediction scores 0; predictions of a label that never is true do not count.

    Args:
        labels: how many labels there are.
        tious: a prediction is right when it overlaps a free true span of its label by at least this.
    """
    hit = match_predictions(truth, predicted, labels, tious)
    per_label = np.full((len(tious), labels), np.nan)
    tied = 0
    for label in range(labels):
        mine = np.flatnonzero(predicted.label == label)
        _, counts = np.unique(predicted.score[mine], return_counts=True)
        tied += int(counts[counts > 1].sum())
        positives = int((truth.label == label).sum())
        if positives:
            by_score = mine[np.argsort(-predicted.score[mine], kind="stable")]
            per_label[:, label] = interpolated_average_precision(hit[:, by_score], positives)
    occurring = ~np.isnan(per_label[0])
    per_tiou = per_label[:, occurring].mean(axis=1) if occurring.any() else np.full(len(tious), np.nan)
    tied_frac = tied / len(predicted.label) if len(predicted.label) else np.nan
    return MeanAveragePrecision(float(per_tiou.mean()), per_tiou, per_label, tied_frac)


def interpolated_average_precision(
    hit: Bool[np.ndarray, "tious predictions"], positives: int
) -> Float[np.ndarray, "tious"]:
    """Area under precision made non-increasing in recall, for predictions in falling order of score.

    Source: ActivityNet's (and PASCAL VOC 2010's) all-points interpolation.
    """
    precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (envelope * hit).sum(axis=1) / positives


def match_predictions(
    truth: SpanTable, predicted: SpanTable, labels: int, tious: tuple[float, ...]
) -> Bool[np.ndarray, "tious predictions"]:
    """Which predictions are right at each threshold.

    In falling order of score (ties by input order) each takes the true span of its video and label that it overlaps
    most among those still free at that threshold (ties by the truth's order). Done for the best prediction of every
    video and label at once, then for every second best, and so on.
    """
    pairs = _overlapping_pairs(truth, predicted, labels, min(tious))
    hit = np.zeros((len(tious), len(predicted.label)), dtype=bool)
    rounds = np.flatnonzero(np.diff(pairs.rank, prepend=-1, append=-1)) if len(pairs.rank) else []
    for row, tiou in enumerate(tious):
        free = np.ones(len(truth.label), dtype=bool)
        enough = pairs.tiou >= tiou
        for begin, end in itertools.pairwise(rounds):
            usable = begin + np.flatnonzero(enough[begin:end] & free[pairs.truth[begin:end]])
            predictions = pairs.predicted[usable]
            best = usable[np.r_[True, predictions[1:] != predictions[:-1]][: len(usable)]]
            hit[row, pairs.predicted[best]] = True
            free[pairs.truth[best]] = False
    return hit


class _Pairs(NamedTuple):
    """Predictions with the true spans they overlap enough; sorted by rank among such, prediction, falling tIoU."""

    rank: Int[np.ndarray, "pairs"]
    predicted: Int[np.ndarray, "pairs"]
    truth: Int[np.ndarray, "pairs"]
    tiou: Float[np.ndarray, "pairs"]


def _overlapping_pairs(truth: SpanTable, predicted: SpanTable, labels: int, least_tiou: float) -> _Pairs:
    truth_key, key = truth.video * labels + truth.label, predicted.video * labels + predicted.label
    by_key, asked = np.argsort(truth_key, kind="stable"), np.argsort(key, kind="stable")
    first = np.searchsorted(truth_key[by_key], key[asked], side="left")  # sorted questions are answered faster
    counts = np.searchsorted(truth_key[by_key], key[asked], side="right") - first
    mine, other = np.repeat(asked, counts), by_key[ranges(first, counts)]
    shared_s = np.minimum(predicted.end_s[mine], truth.end_s[other]) - np.maximum(
        predicted.start_s[mine], truth.start_s[other]
    )
    together_s = (predicted.end_s - predicted.start_s)[mine] + (truth.end_s - truth.start_s)[other] - shared_s
    tiou = np.clip(shared_s, 0.0, None) / together_s
    near = tiou >= least_tiou
    mine, other, tiou = mine[near], other[near], tiou[near]
    candidates, candidate = np.unique(mine, return_inverse=True)
    rank = _ranks(key[candidates], predicted.score[candidates])[candidate]
    order = np.lexsort((other, -tiou, mine, rank))
    return _Pairs(rank[order], mine[order], other[order], tiou[order])


def _ranks(key: Int[np.ndarray, "predictions"], score: Float[np.ndarray, "predictions"]) -> Int[np.ndarray, "..."]:
    """Each prediction's place among those of its key, by falling score, ties by input order."""
    order = np.lexsort((-score, key))
    opens = np.flatnonzero(np.diff(key[order], prepend=-1))
    sizes = np.diff(opens, append=len(key))
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = np.arange(len(key)) - np.repeat(opens, sizes)
    return rank


def frame_detection(truth: SpanTable, predicted: SpanTable, footage: Footage) -> FrameDetection:
    """Missed and wrongly flagged frames on the fixed grid; spans of all labels are taken together."""
    positives, flags, hits, frames = _frames_per_video(truth, predicted, footage)
    eventful = positives > 0
    return FrameDetection(
        fnr_micro=1.0 - _ratio(hits.sum(), positives.sum()),
        fnr_macro=float(np.mean(1.0 - hits[eventful] / positives[eventful])) if eventful.any() else np.nan,
        precision=_ratio(hits.sum(), flags.sum()),
        f2_micro=f_from_counts(int(hits.sum()), int((flags - hits).sum()), int((positives - hits).sum())),
        normal_false_positive_rate=_ratio(flags[~eventful].sum(), frames[~eventful].sum()),
        false_alarm_frac=_ratio((flags - hits).sum(), (frames - positives).sum()),
        positive_frac=_ratio(positives.sum(), frames.sum()),
        eventful_videos=int(eventful.sum()),
    )


def missed_per_video(truth: SpanTable, predicted: SpanTable, footage: Footage) -> Float[np.ndarray, "videos"]:
    """Each video's missed share of positive frames; NaN for a video without any."""
    positives, _, hits, _ = _frames_per_video(truth, predicted, footage)
    with np.errstate(invalid="ignore"):
        return 1.0 - hits / positives


def false_alarms_per_hour(truth: SpanTable, predicted: SpanTable, footage: Footage) -> float:
    """Alarms that touch no event, per hour of eventless time.

    An alarm is a stretch that any label flags: overlapping or touching spans are one. Hours with events are left out
    of the count because footage in use has few, while test sets are made of them.
    """
    alarms, events = merge_spans(predicted), merge_spans(truth)
    eventless_s = float(footage.duration_s.sum() - (events.end_s - events.start_s).sum())
    return _ratio(float((~touches(alarms, events)).sum()), eventless_s / 3600)


def _frames_per_video(truth: SpanTable, predicted: SpanTable, footage: Footage) -> Float[np.ndarray, "counts videos"]:
    """Positive, flagged, rightly flagged and all frames of each video."""
    grid = grid_of(footage)
    positive, flagged = covered_frames(grid, truth), covered_frames(grid, predicted)
    counts = [_per_video(frames, grid.first) for frames in (positive, flagged, positive & flagged)]
    return np.array([*counts, np.diff(grid.first)], dtype=np.float64)


def _per_video(frames: Bool[np.ndarray, "frames"], first: Int[np.ndarray, "edges"]) -> Int[np.ndarray, "videos"]:
    counts = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
    return counts[first[1:]] - counts[first[:-1]]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan
