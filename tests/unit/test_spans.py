"""Score curves become spans."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.schema import Span
from omnisila.spans import (
    ANOMALY_CURVE,
    Curve,
    SpanShape,
    Thresholds,
    anomaly_curve,
    anomaly_scores,
    flagged_stretches,
    labelled_spans,
    mean_score,
    smooth_curve,
    spans_of,
)

PLAIN = SpanShape(smooth_s=0, merge_gap_s=0, min_duration_s=0)
HALF = Thresholds(on=0.5, off=0.5)


def curve(*scores: float, width_s: float = 1.0) -> Curve:
    start_s = np.arange(len(scores)) * width_s
    return Curve(start_s, start_s + width_s, np.array(scores, dtype=np.float64))


def spans(*pairs: tuple[float, float]) -> tuple[Span, ...]:
    return tuple(Span(start_s=start_s, end_s=end_s) for start_s, end_s in pairs)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    widths_s = draw(st.lists(st.sampled_from([0.25, 0.5, 1.0]), max_size=30))
    holes_s = [draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0])) for _ in widths_s]
    scores = [draw(st.floats(0, 1)) for _ in widths_s]
    end_s = np.cumsum(np.array(widths_s, dtype=np.float64) + np.array(holes_s, dtype=np.float64))
    return Curve(end_s - np.array(widths_s, dtype=np.float64), end_s, np.array(scores, dtype=np.float64))


shapes = st.builds(
    SpanShape,
    smooth_s=st.sampled_from([0.0, 1.5, 3.0]),
    merge_gap_s=st.sampled_from([0.0, 0.5, 2.0]),
    min_duration_s=st.sampled_from([0.0, 1.0, 2.0]),
)


@pytest.mark.parametrize(
    ("scores", "thresholds", "shape", "wanted"),
    [
        pytest.param((), HALF, PLAIN, (), id="no windows"),
        pytest.param((0.9,), HALF, PLAIN, ((0, 1),), id="one window"),
        pytest.param((0.1, 0.9, 0.9, 0.1, 0.5), HALF, PLAIN, ((1, 3), (4, 5)), id="reaching the threshold counts"),
        pytest.param((0.4, 0.9, 0.4, 0.1, 0.4), Thresholds(on=0.8, off=0.3), PLAIN, ((0, 3),), id="hysteresis"),
        pytest.param((0.9, 0.1, 0.9), HALF, PLAIN.replace(merge_gap_s=1.0), ((0, 3),), id="gap merged"),
        pytest.param((0.9, 0, 0, 0.9), HALF, PLAIN.replace(merge_gap_s=1.0), ((0, 1), (3, 4)), id="gap too wide"),
        pytest.param((0.9, 0, 0.9, 0.9), HALF, PLAIN.replace(min_duration_s=2.0), ((2, 4),), id="sliver dropped"),
        pytest.param(
            (0.9, 0, 0.9), HALF, PLAIN.replace(merge_gap_s=1.0, min_duration_s=3.0), ((0, 3),), id="merged, then judged"
        ),
        pytest.param((0, 0.9, 0), HALF, PLAIN.replace(smooth_s=3.0), (), id="smoothing swallows a peak"),
        pytest.param((0.0, 0.2), Thresholds(on=0, off=0), PLAIN, ((0, 2),), id="threshold 0 flags all"),
    ],
)
def test_spans_by_hand(
    scores: tuple[float, ...], thresholds: Thresholds, shape: SpanShape, wanted: tuple[tuple[float, float], ...]
) -> None:
    assert spans_of(curve(*scores), thresholds, shape) == spans(*wanted)


def test_no_span_crosses_a_hole_in_the_windows() -> None:
    holed = Curve(np.array([0.0, 2.0]), np.array([1.0, 3.0]), np.array([0.9, 0.4]))
    thresholds = Thresholds(on=0.8, off=0.3)
    assert spans_of(holed, thresholds, PLAIN) == spans((0, 1))
    both = holed._replace(score=np.array([0.9, 0.9]))
    assert spans_of(both, thresholds, PLAIN.replace(merge_gap_s=1)) == spans((0, 1), (2, 3))
    np.testing.assert_array_equal(smooth_curve(holed, 9.0).score, holed.score)


def test_smoothing_is_a_centred_mean_in_seconds_and_keeps_the_range() -> None:
    result = smooth_curve(curve(0, 0, 1, 0, 0), 3.0).score

    np.testing.assert_allclose(result, [0, 1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(smooth_curve(curve(0, 0, 1, 0, 0, width_s=0.5), 1.5).score, result)


def test_off_above_on_is_refused() -> None:
    with pytest.raises(ValidationError, match="off <= on"):
        Thresholds(on=0.3, off=0.4)


@given(curves(), shapes, st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 1))
def test_lower_thresholds_only_add_time(
    any_curve: Curve, shape: SpanShape, one: float, other: float, off_frac: float
) -> None:
    low, high = sorted((one, other))
    more = flagged_stretches(any_curve, Thresholds(on=low, off=low * off_frac), shape)
    less = flagged_stretches(any_curve, Thresholds(on=high, off=high * off_frac), shape)

    for start_s, end_s in zip(*less, strict=True):
        assert np.any((more.start_s <= start_s) & (more.end_s >= end_s))


@given(curves(), shapes, st.floats(0, 1), st.floats(0.1, 1))
def test_spans_are_disjoint_ordered_and_within_the_windows(
    any_curve: Curve, shape: SpanShape, on: float, off_frac: float
) -> None:
    found = spans_of(any_curve, Thresholds(on=on, off=on * off_frac), shape)

    after_hole_s = any_curve.start_s[1:][any_curve.start_s[1:] - any_curve.end_s[:-1] > 1e-6]
    for left, right in itertools.pairwise(found):
        holed = np.any((left.end_s < after_hole_s) & (after_hole_s <= right.start_s))
        assert holed or right.start_s - left.end_s > shape.merge_gap_s
    for span in found:
        assert not np.any((span.start_s < after_hole_s) & (after_hole_s < span.end_s))
    for span in found:
        assert span.duration_s >= shape.min_duration_s - 1e-6
        assert span.start_s in any_curve.start_s
        assert span.end_s in any_curve.end_s
        assert 0 <= mean_score(any_curve, span) <= 1


def test_mean_score_weighs_by_shared_time() -> None:
    assert mean_score(curve(0.2, 0.8), Span(start_s=0.5, end_s=2.0)) == pytest.approx((0.5 * 0.2 + 0.8) / 1.5)
    assert mean_score(curve(0.2), Span(start_s=5, end_s=6)) == 0.0


LABELS = ("Fighting", "Fire", "Normal")


def posterior(*rows: tuple[float, float]) -> np.ndarray:
    return np.array([(fight, fire, 1 - fight - fire) for fight, fire in rows])


def test_anomaly_is_one_minus_the_quiet_label() -> None:
    rows = posterior((0.6, 0.3), (0.0, 0.1))
    edges = np.arange(3.0)

    np.testing.assert_allclose(anomaly_curve(edges[:-1], edges[1:], rows, LABELS, IMPLICIT).score, [0.9, 0.1])


def test_a_label_may_be_averaged_in_and_sure_ones_keep_their_probability() -> None:
    rows = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [1.0, 0.0, 0.0], [0.1, 0.001, 0.899]])
    names = ("Normal", "Fighting", "Fire")
    odds = np.sqrt([0.5 / 0.5 * 0.3 / 0.5, 0.1 / 0.9 * 0.05 / 0.9, 0.0, 0.9 / 0.1 * 0.001 / 0.1])
    score = anomaly_scores(rows, names, IMPLICIT, ("Fighting", "a label that was not taught"))
    np.testing.assert_allclose(score, odds / (1 + odds), atol=1e-9)
    limit = {"Fire": Thresholds(on=0.6, off=0.3), "anomaly": Thresholds(on=0.1, off=0.1)}
    sure = anomaly_scores(rows, names, IMPLICIT, ("Fighting",), limit)
    np.testing.assert_allclose(sure, [*score[:3], 0.899], atol=1e-9)
    np.testing.assert_allclose(anomaly_scores(rows, names, IMPLICIT, ("Robbery",)), [0.5, 0.1, 0.0, 0.9], atol=1e-9)


def test_an_anomalous_span_is_parted_where_its_label_changes() -> None:
    rows = posterior((0.0, 0.0), (0.9, 0.0), (0.8, 0.1), (0.1, 0.8), (0.2, 0.7), (0.0, 0.1))
    edges = np.arange(7.0)

    found = labelled_spans(edges[:-1], edges[1:], rows, LABELS, IMPLICIT, {ANOMALY_CURVE: HALF}, PLAIN)

    assert [(item.span.start_s, item.span.end_s, item.label) for item in found] == [(1, 3, "Fighting"), (3, 5, "Fire")]
    assert [item.score for item in found] == pytest.approx([0.85, 0.75])


def test_a_short_part_goes_to_its_longer_neighbour_and_no_time_is_lost() -> None:
    rows = posterior((0.9, 0.0), (0.9, 0.0), (0.3, 0.6), (0.9, 0.0))
    edges = np.arange(5.0)
    shape = PLAIN.replace(min_duration_s=2.0)

    found = labelled_spans(edges[:-1], edges[1:], rows, LABELS, IMPLICIT, {ANOMALY_CURVE: HALF}, shape)

    assert [(item.span.start_s, item.span.end_s, item.label) for item in found] == [(0, 4, "Fighting")]


@given(st.data())
def test_parted_spans_cover_what_the_anomaly_curve_flags(data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=1, max_size=20))
    rows = np.array(weights) / np.array(weights).sum(axis=1, keepdims=True)
    shape = data.draw(shapes)
    edges = np.arange(len(rows) + 1.0)

    found = labelled_spans(edges[:-1], edges[1:], rows, LABELS, IMPLICIT, {ANOMALY_CURVE: HALF}, shape)
    anomalous = spans_of(anomaly_curve(edges[:-1], edges[1:], rows, LABELS, IMPLICIT), HALF, shape)

    assert sum(item.span.duration_s for item in found) == pytest.approx(sum(span.duration_s for span in anomalous))
    for left, right in itertools.pairwise(found):
        assert left.span.end_s <= right.span.start_s
        assert left.span.end_s < right.span.start_s or left.label != right.label


def test_label_curves_are_thresholded_apart_and_never_report_the_quiet_label() -> None:
    rows = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    edges = np.arange(4.0)
    thresholds = {"positive": HALF, "neutral": HALF, "negative": HALF, "unknown": HALF}

    found = labelled_spans(edges[:-1], edges[1:], rows, EXPLICIT.labels, EXPLICIT, thresholds, PLAIN)

    assert [(item.span.start_s, item.label) for item in found] == [(0, "positive"), (2, "negative")]
