"""From a score curve to spans: smooth, threshold with hysteresis, merge gaps, drop slivers.

Pure functions that the analyzer applies and that calibration fits, so that what was fitted is what runs. For a fixed
``SpanShape`` the flagged time only grows when both thresholds fall; conformal risk control rests on that.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator

from omnisila.config import Config, Frozen
from omnisila.labels import LabelSet
from omnisila.schema import Probability, Span

ANOMALY_CURVE = "anomaly"  # thresholds on 1 - P(quiet label), beside those on single labels
_SAME_TIME_S = 1e-6
_TINY = 1e-12


class Curve(NamedTuple):
    """One score per window; windows stand in time order and do not overlap, but may leave holes."""

    start_s: Float[np.ndarray, "windows"]
    end_s: Float[np.ndarray, "windows"]
    score: Float[np.ndarray, "windows"]


class Stretches(NamedTuple):
    """Flagged time in columns: disjoint, in time order."""

    start_s: Float[np.ndarray, "stretches"]
    end_s: Float[np.ndarray, "stretches"]


class LabelledSpan(NamedTuple):
    """A span, its label, and the label's mean posterior over it."""

    span: Span
    label: str
    score: float


class Thresholds(Frozen):
    """Hysteresis: a span holds a score of at least ``on`` and reaches as far as scores stay at least ``off``."""

    on: Probability
    off: Probability

    @model_validator(mode="after")
    def _off_is_lower(self) -> Self:
        if self.off > self.on:
            raise ValueError(f"threshold off {self.off} is above on {self.on}: give off <= on")
        return self


class SpanShape(Config):
    """How flagged windows become spans.

    Attributes:
        smooth_s: width of the centred mean over the curve; 0 leaves it as it is.
        merge_gap_s: flagged stretches with at most this between them are one.
        min_duration_s: shorter stretches are dropped, after merging.
    """

    smooth_s: float = Field(default=3.0, ge=0)
    merge_gap_s: float = Field(default=1.0, ge=0)
    min_duration_s: float = Field(default=1.0, ge=0)


def smooth_curve(curve: Curve, width_s: float) -> Curve:
    """The curve with each score replaced by the mean over windows whose centres lie within ``width_s / 2`` of its own.

    Nothing is taken from beyond a hole. It looks ahead by half the width: a live system must hold its answer back for
    as long.
    """
    if width_s <= 0 or len(curve.score) < 2:
        return curve
    centre_s = (curve.start_s + curve.end_s) / 2
    reach_s = width_s / 2 + _SAME_TIME_S
    first = np.searchsorted(centre_s, centre_s - reach_s, side="left")
    past = np.searchsorted(centre_s, centre_s + reach_s, side="right")
    begins = np.flatnonzero(np.r_[True, ~_touching(curve)])
    run = np.searchsorted(begins, np.arange(len(curve.score)), side="right") - 1
    first, past = np.maximum(first, begins[run]), np.minimum(past, np.r_[begins[1:], len(curve.score)][run])
    sums = np.concatenate([[0.0], np.cumsum(curve.score, dtype=np.float64)])
    mean = (sums[past] - sums[first]) / (past - first)
    return curve._replace(score=np.clip(mean, curve.score.min(), curve.score.max()))


def flagged_stretches(
    curve: Curve, thresholds: Thresholds, shape: SpanShape, until_s: float = float("inf")
) -> Stretches:
    """The time that the smoothed curve flags; a hole between windows ends a stretch, whatever merging bridges.

    Args:
        until_s: windows that end later are only smoothed with, as where a stream goes on (``settled_until_s``).
    """
    curve = smooth_curve(curve, shape.smooth_s)
    if until_s != float("inf"):
        curve = Curve(*(column[curve.end_s <= until_s] for column in curve))
    first, last = _runs(curve, curve.score >= thresholds.off)
    if len(first):
        # between two runs every score is below off, hence below on: reduceat up to the next run sees this run alone
        lit = np.logical_or.reduceat(curve.score >= thresholds.on, first)
        first, last = first[lit], last[lit]
    start_s, end_s = curve.start_s[first], curve.end_s[last]
    holes_before = np.r_[0, np.cumsum(~_touching(curve))][: len(curve.score)]
    parted = start_s[1:] - end_s[:-1] > shape.merge_gap_s + _SAME_TIME_S
    parted |= holes_before[first[1:]] > holes_before[last[:-1]]
    start_s, end_s = start_s[np.r_[True, parted][: len(start_s)]], end_s[np.r_[parted, True][: len(end_s)]]
    long_enough = end_s - start_s >= shape.min_duration_s - _SAME_TIME_S
    return Stretches(start_s[long_enough], end_s[long_enough])


def settled_until_s(end_s: float, window_s: float, shape: SpanShape) -> float:
    """How far the smoothed curve of a stream is final when its windows are known up to ``end_s``.

    A window is settled when no later one can lie within half the smoothing width of its centre.
    """
    return min(end_s + (window_s - shape.smooth_s) / 2 + _SAME_TIME_S, end_s)


def spans_of(curve: Curve, thresholds: Thresholds, shape: SpanShape, until_s: float = float("inf")) -> tuple[Span, ...]:
    """The same as records."""
    stretches = flagged_stretches(curve, thresholds, shape, until_s)
    return tuple(Span(start_s=float(start_s), end_s=float(end_s)) for start_s, end_s in zip(*stretches, strict=True))


def mean_score(curve: Curve, span: Span) -> float:
    """The curve's mean over the span, each window weighted by the time it shares with it; 0 if it shares none."""
    shared_s = np.minimum(curve.end_s, span.end_s) - np.maximum(curve.start_s, span.start_s)
    shared_s = np.clip(shared_s, 0.0, None)
    total_s = shared_s.sum()
    return float((shared_s * curve.score).sum() / total_s) if total_s > 0 else 0.0


def labelled_spans(
    start_s: Float[np.ndarray, "windows"],
    end_s: Float[np.ndarray, "windows"],
    posterior: Float[np.ndarray, "windows labels"],
    labels: Sequence[str],
    label_set: LabelSet,
    thresholds: dict[str, Thresholds],
    shape: SpanShape,
    until_s: float = float("inf"),
) -> tuple[LabelledSpan, ...]:
    """What a curve of label posteriors reports, in time order.

    Spans of the anomaly curve (key ``ANOMALY_CURVE``) are parted where the likeliest reportable label changes; their
    union stays what the threshold flagged. Spans of a single label's curve (its name as key) carry that label, and may
    overlap those of other labels.

    Args:
        start_s: Starts of the windows, in seconds.
        posterior: Probabilities of ``labels``, one row per window.
        labels: The labels that were scored, in the order of the columns.
        until_s: As ``flagged_stretches``.
    """
    columns = {label: Curve(start_s, end_s, posterior[:, column]) for column, label in enumerate(labels)}
    found: list[LabelledSpan] = []
    for name, curve_thresholds in thresholds.items():
        if name == ANOMALY_CURVE:
            curve = anomaly_curve(start_s, end_s, posterior, labels, label_set)
            reportable = {label: curve for label, curve in columns.items() if label != label_set.quiet}
            for span in spans_of(curve, curve_thresholds, shape, until_s):
                found += _parted_by_label(span, reportable, shape)
        elif name in columns and name != label_set.quiet:
            curve = columns[name]
            found += [
                LabelledSpan(span, name, mean_score(curve, span))
                for span in spans_of(curve, curve_thresholds, shape, until_s)
            ]
    return tuple(sorted(found, key=lambda item: (item.span.start_s, item.span.end_s, -item.score)))


def anomaly_curve(
    start_s: Float[np.ndarray, "windows"],
    end_s: Float[np.ndarray, "windows"],
    posterior: Float[np.ndarray, "windows labels"],
    labels: Sequence[str],
    label_set: LabelSet,
) -> Curve:
    """The windows with ``anomaly_scores`` as thresholds on them are fitted: nothing is averaged in."""
    return Curve(start_s, end_s, anomaly_scores(posterior, labels, label_set))


def anomaly_scores(
    posterior: Float[np.ndarray, "windows labels"],
    labels: Sequence[str],
    label_set: LabelSet,
    averaged: Collection[str] = (),
    thresholds: Mapping[str, Thresholds] | None = None,
) -> Float[np.ndarray, "windows"]:
    """One minus the quiet label's probability; without a quiet label, the likeliest label's probability.

    What Hawkeye's Figure 5 calls A.Score and defines nowhere (D1).

    Args:
        averaged: labels whose log-odds against the quiet one are averaged with the score's (decision D267).
        thresholds: of labels; one that reaches its own keeps its probability at least.
    """
    if label_set.quiet is None or label_set.quiet not in labels:
        return np.clip(posterior.max(axis=1), 0.0, 1.0)
    column = {label: posterior[:, place] for place, label in enumerate(labels)}
    quiet = column[label_set.quiet]
    score = np.clip(1.0 - quiet, 0.0, 1.0)
    counted = [column[label] for label in averaged if label in column]
    if not counted:
        return score
    odds = np.mean([np.log((part + _TINY) / (quiet + _TINY)) for part in (score, *counted)], axis=0)
    limits = {label: limit.on for label, limit in (thresholds or {}).items() if label in column}
    sure = [np.where(column[label] >= on, column[label], 0.0) for label, on in limits.items()]
    return np.max([1.0 / (1.0 + np.exp(-odds)), *sure], axis=0)


def _touching(curve: Curve) -> Bool[np.ndarray, "pairs"]:
    """Whether each window but the last is followed by the next without a hole."""
    return curve.start_s[1:] - curve.end_s[:-1] <= _SAME_TIME_S


def _runs(curve: Curve, mask: Bool[np.ndarray, "windows"]) -> tuple[Int[np.ndarray, "runs"], Int[np.ndarray, "runs"]]:
    """First and last window of each run of set windows that touch in time."""
    joined = mask[1:] & mask[:-1] & _touching(curve)
    opens = mask & ~np.r_[False, joined][: len(mask)]
    closes = mask & ~np.r_[joined, False][: len(mask)]
    return np.flatnonzero(opens), np.flatnonzero(closes)


def _parted_by_label(span: Span, curves: dict[str, Curve], shape: SpanShape) -> list[LabelledSpan]:
    """Part an anomalous span where its likeliest label changes; parts too short go to the longer neighbour."""
    names = list(curves)
    any_curve = curves[names[0]]
    inside = np.flatnonzero((any_curve.end_s > span.start_s) & (any_curve.start_s < span.end_s))
    smooth = np.stack([smooth_curve(curve, shape.smooth_s).score[inside] for curve in curves.values()])
    best = smooth.argmax(axis=0)
    cuts = np.flatnonzero(np.diff(best)) + 1
    edges_s = [span.start_s, *(float(any_curve.start_s[inside[cut]]) for cut in cuts), span.end_s]
    winners = [int(best[first]) for first in (0, *cuts)]
    while len(winners) > 1:
        durations_s = np.diff(edges_s)
        part = int(durations_s.argmin())
        if durations_s[part] >= shape.min_duration_s - _SAME_TIME_S:
            break
        into_next = part == 0 or (part + 1 < len(winners) and durations_s[part + 1] > durations_s[part - 1])
        winners.pop(part)
        edges_s.pop(part + 1 if into_next else part)
        edges_s, winners = _without_equal_neighbours(edges_s, winners)
    parts = [Span(start_s=start_s, end_s=end_s) for start_s, end_s in itertools.pairwise(edges_s)]
    return [
        LabelledSpan(part, names[winner], mean_score(curves[names[winner]], part))
        for part, winner in zip(parts, winners, strict=True)
    ]


def _without_equal_neighbours(edges_s: list[float], winners: list[int]) -> tuple[list[float], list[int]]:
    """Join neighbouring parts that carry one label."""
    keep = [True, *(left != right for left, right in itertools.pairwise(winners))]
    return (
        [edge for edge, kept in zip(edges_s[:-1], keep, strict=True) if kept] + edges_s[-1:],
        [winner for winner, kept in zip(winners, keep, strict=True) if kept],
    )
