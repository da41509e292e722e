import numpy as np
import pytest

from omnisila.evaluation.tables import Footage, SpanTable, tabulate
from omnisila.evaluation.ties import ranked_scores, tie_range, tsl300_f2
from omnisila.systems import SpanRow

FOOTAGE = Footage(("a", "b"), np.array([20.0, 20.0]))


def table(*rows: tuple[str, str, float, float, float]) -> SpanTable:
    return tabulate((SpanRow(*row) for row in rows), FOOTAGE, ("n", "p")).table


TRUTH = table(("a", "n", 0, 5, 1), ("b", "n", 10, 15, 1))


def test_tsl300_f2_by_hand() -> None:
    predicted = table(("a", "n", 0, 5, 0.9), ("a", "n", 10, 15, 0.5))
    precision, recall = (1 + 1 / 2) / 2, (1 / 2 + 1 / 2) / 2
    wanted = 5 * precision * recall / (4 * precision + recall)
    np.testing.assert_allclose(tsl300_f2(TRUTH, predicted, 2), [wanted] * 3)


def test_tsl300_f2_survives_a_label_without_predictions_and_no_truth() -> None:
    truth = table(("a", "n", 0, 5, 1), ("a", "p", 8, 9, 1))
    np.testing.assert_allclose(tsl300_f2(truth, table(("a", "n", 0, 5, 1)), 2), [0.5] * 3)
    assert tsl300_f2(truth, table(), 2).tolist() == [0, 0, 0]
    assert np.isnan(tsl300_f2(table(), truth, 2)).all()


@pytest.mark.parametrize("right_first", [True, False])
def test_tie_range_does_not_hang_on_input_order(right_first: bool) -> None:
    rows = [("a", "n", 0.0, 5.0, 1.0), ("a", "n", 10.0, 15.0, 1.0)]
    assert tie_range(TRUTH, table(*(rows if right_first else rows[::-1])), 2) == pytest.approx((0.25, 0.5))


def test_every_variant_is_named_once_and_undefined_ones_are_none() -> None:
    scores = ranked_scores(TRUTH, TRUTH, 2)
    assert len({(score.metric, score.variant) for score in scores}) == len(scores) == 6
    assert all(score.value is None for score in ranked_scores(table(), TRUTH, 2))
