"""Inputs on which published scorers return wrong numbers or crash."""

from typing import Any

import numpy as np
import pytest

from omnisila.evaluation import identifying, locating
from omnisila.evaluation.named_scores import identifying_scores, locating_scores
from omnisila.evaluation.significance import bootstrap, paired_t_test
from omnisila.evaluation.tables import Footage, SpanTable, tabulate
from omnisila.evaluation.trivial import flag_all, flag_none
from omnisila.systems import SpanRow

LABELS = ("Fighting", "Fire")
FOOTAGE = Footage(("a", "b"), np.array([20.0, 20.0]))


def table(*rows: tuple[str, str, float, float, float]) -> SpanTable:
    return tabulate((SpanRow(*row) for row in rows), FOOTAGE, LABELS).table


TRUTH = table(("a", "Fire", 0, 5, 1), ("b", "Fire", 10, 15, 1))


def mean_ap(truth: SpanTable, predicted: SpanTable) -> float:
    return locating.mean_average_precision(truth, predicted, len(LABELS)).mean


@pytest.mark.parametrize(
    ("predicted", "wanted"),
    [
        pytest.param([("a", "Fire", 10, 5, 1.0)], 0.0, id="an inverted span is no hit"),
        pytest.param([("a", "Fire", 3, 3, 1.0)], 0.0, id="nor is an empty one"),
        pytest.param([], 0.0, id="no predictions score 0, and nothing crashes"),
        pytest.param([("a", "Fighting", 0, 5, 1.0)], 0.0, id="a label that is never true does not count"),
        pytest.param([("a", "Fire", 0, 5, 0.9), ("a", "Fighting", 0, 5, 1.0)], 0.5, id="nor against the true ones"),
        pytest.param([("a", "Fire", 0, 5, 0.9), ("a", "Fire", 0, 5, 0.8)], 0.5, id="a repeated hit is a false alarm"),
        pytest.param([("a", "Fire", 0, 5, 1.0), ("b", "Fire", 10, 15, 1.0)], 1.0, id="all found"),
        pytest.param([("b", "Fire", 0, 5, 1.0)], 0.0, id="the right time in the wrong video"),
    ],
)
def test_mean_average_precision(predicted: list[Any], wanted: float) -> None:
    assert mean_ap(TRUTH, table(*predicted)) == pytest.approx(wanted)


def test_ties_are_broken_by_input_order_and_counted() -> None:
    right, wrong = ("a", "Fire", 0, 5, 1.0), ("a", "Fire", 10, 15, 1.0)

    right_first, wrong_first = table(right, wrong), table(wrong, right)

    assert mean_ap(TRUTH, right_first) == pytest.approx(0.5)
    assert mean_ap(TRUTH, wrong_first) == pytest.approx(0.25)
    assert locating.mean_average_precision(TRUTH, right_first, len(LABELS)).tied_frac == 1.0


def test_a_label_without_predictions_counts_as_zero_not_as_absent() -> None:
    truth = table(("a", "Fire", 0, 5, 1), ("a", "Fighting", 8, 9, 1))

    result = locating.mean_average_precision(truth, table(("a", "Fire", 0, 5, 1)), len(LABELS))

    assert result.mean == pytest.approx(0.5)
    np.testing.assert_array_equal(result.per_label, [[0, 1]] * 3)


def test_a_prediction_takes_the_next_free_event_when_its_best_is_taken() -> None:
    truth = table(("a", "Fire", 0, 10, 1), ("a", "Fire", 4, 14, 1))
    predicted = table(("a", "Fire", 0, 10, 0.9), ("a", "Fire", 1, 11, 0.8))

    assert mean_ap(truth, predicted) == pytest.approx(1.0)


def test_without_events_average_precision_is_undefined_not_zero() -> None:
    assert np.isnan(mean_ap(flag_none(), TRUTH))
    frames = locating.frame_detection(flag_none(), TRUTH, FOOTAGE)
    assert np.isnan([frames.fnr_micro, frames.fnr_macro, frames.f2_micro]).all()
    assert frames.normal_false_positive_rate == pytest.approx(0.25)


def test_micro_and_macro_false_negative_rates_differ_and_are_told_apart() -> None:
    truth = table(("a", "Fire", 0, 10, 1), ("b", "Fire", 0, 2, 1))

    frames = locating.frame_detection(truth, table(("a", "Fire", 0, 10, 1)), FOOTAGE)

    assert frames.fnr_micro == pytest.approx(2 / 12)
    assert frames.fnr_macro == pytest.approx(1 / 2)


def test_flag_all_misses_nothing_and_flag_none_alarms_never() -> None:
    everything = locating.frame_detection(TRUTH, flag_all(FOOTAGE, len(LABELS)), FOOTAGE)
    nothing = locating.frame_detection(TRUTH, flag_none(), FOOTAGE)

    assert everything.fnr_micro == 0
    assert everything.precision == pytest.approx(everything.positive_frac)
    assert everything.f2_micro == pytest.approx(5 * 0.25 / (4 * 0.25 + 1))
    assert (nothing.fnr_micro, nothing.f2_micro) == (1, 0)
    assert np.isnan(nothing.precision)
    assert locating.false_alarms_per_hour(TRUTH, flag_none(), FOOTAGE) == 0


def test_false_alarms_are_stretches_without_any_event_per_eventless_hour() -> None:
    predicted = table(
        ("a", "Fire", 4, 8, 1), ("a", "Fire", 10, 12, 1), ("a", "Fighting", 12, 14, 1), ("b", "Fire", 0, 1, 1)
    )

    assert locating.false_alarms_per_hour(TRUTH, predicted, FOOTAGE) == pytest.approx(2 / (30 / 3600))


def test_average_precision_that_repeats_frames_is_not_fooled_by_short_videos() -> None:
    footage = Footage(("a", "b"), np.array([0.125, 100.0]))
    truth = tabulate([SpanRow("b", "Fire", 0, 50)], footage, LABELS).table

    result = identifying.frame_ranking(flag_all(footage, 1), truth, footage)

    assert result.auc == pytest.approx(0.5)
    assert result.average_precision == pytest.approx(400 / 801)


@pytest.mark.parametrize(
    ("truth", "predicted", "wanted"),
    [
        pytest.param([0, 0], [0, -1], 0.5, id="an unparsed answer is wrong"),
        pytest.param([0], [0], 1.0, id="a single sample"),
        pytest.param([0, 1, 1, 1], [1, 1, 1, 1], 0.75, id="constant answer"),
    ],
)
def test_accuracy(truth: list[int], predicted: list[int], wanted: float) -> None:
    assert identifying.accuracy(np.array(truth), np.array(predicted)) == wanted


def test_what_a_set_cannot_define_is_nan() -> None:
    none = np.array([], dtype=np.int64)
    positives, score = np.array([True, True]), np.array([0.2, 0.3])

    assert np.isnan(identifying.accuracy(none, none))
    assert np.isnan(identifying.balanced_accuracy(none, none))
    assert np.isnan(identifying.macro_f_beta(none, none))
    assert np.isnan(identifying.f_beta(~positives, positives))
    assert np.isnan(identifying.ranking(positives, score).auc)
    assert identifying.ranking(positives, score).average_precision == 1
    assert np.isnan(identifying.ranking(~positives, score)).all()


def test_tied_scores_rank_the_same_in_any_order() -> None:
    score = np.full(4, 0.5)
    for truth in ([True, False, False, False], [False, False, False, True]):
        assert identifying.ranking(np.array(truth), score) == pytest.approx((0.5, 0.25))


def test_macro_over_videos_leaves_out_videos_that_cannot_define_the_metric() -> None:
    truth, predicted = np.array([True, True, False, False]), np.array([True, False, True, False])

    assert identifying.macro_over_videos(identifying.f_beta, truth, predicted, np.array([7, 7, 2, 2])) == pytest.approx(
        5 / 9
    )


def test_a_split_of_one_video_has_no_interval() -> None:
    interval = bootstrap(lambda chosen: np.array([float(len(chosen))]), np.array(["a", "a"]))[0]

    assert interval.value == 2
    assert np.isnan(interval.low)


@pytest.mark.parametrize(
    ("second", "p_value"), [([0.5, 0.5], 1.0), ([0.7, 0.7], 0.0)], ids=["no difference", "the same difference"]
)
def test_t_test_without_spread(second: list[float], p_value: float) -> None:
    assert paired_t_test(np.array([0.5, 0.5]), np.array(second)).p_value == p_value


def test_t_test_of_one_pair_is_undefined() -> None:
    assert np.isnan(paired_t_test(np.array([0.5]), np.array([0.7])).p_value)


def test_every_score_says_its_variant_and_undefined_ones_are_none() -> None:
    located = locating_scores(TRUTH, flag_none(), FOOTAGE, len(LABELS))
    labels = np.array([0, 1, 1])
    identified = identifying_scores(labels, np.array([0, 1, -1]), np.array([0, 0, 1]), {1}, np.array([0.1, 0.9, 0.2]))

    named = {(score.metric, score.variant): score.value for score in (*located, *identified)}
    assert len(named) == len(located) + len(identified)
    assert named[("precision", "frames; 8 Hz grid")] is None
    assert named[("unparsed", "share of windows without a label")] == pytest.approx(1 / 3)
    assert named[("F2", "window level, positive labels as one")] == pytest.approx(5 / 9)
