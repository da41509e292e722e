"""Rows that look at nothing."""

import numpy as np
import pytest

from omnisila.evaluation.identifying import accuracy, frame_ranking
from omnisila.evaluation.tables import Footage, tabulate
from omnisila.evaluation.trivial import chance_labels, chance_spans, flag_all, flag_none, majority_labels
from omnisila.systems import SpanRow

FOOTAGE = Footage(("a", "b", "empty"), np.array([100.0, 50.0, 0.0]))
TRUTH = tabulate([SpanRow("a", "x", 10, 40), SpanRow("b", "y", 0, 50), SpanRow("b", "y", 1, 2)], FOOTAGE, "xy").table


def test_flag_all_covers_each_video_for_each_label() -> None:
    assert list(zip(*flag_all(FOOTAGE, 2)[:4], strict=True)) == [
        (0, 0, 0, 100),
        (0, 1, 0, 100),
        (1, 0, 0, 50),
        (1, 1, 0, 50),
    ]
    assert frame_ranking(flag_all(FOOTAGE, 2), TRUTH, FOOTAGE).auc == 0.5


def test_chance_keeps_labels_and_lengths_but_not_places() -> None:
    spans = chance_spans(TRUTH, FOOTAGE, seed=1)

    assert sorted(spans.label.tolist()) == [0, 1, 1]
    assert sorted((spans.end_s - spans.start_s).tolist()) == pytest.approx([1, 30, 50])
    assert (spans.start_s >= 0).all()
    assert (spans.end_s <= FOOTAGE.duration_s[spans.video] + 1e-9).all()
    assert len(chance_spans(flag_none(), FOOTAGE).video) == 0


def test_labels_by_majority_and_by_chance() -> None:
    truth = np.array([2, 0, 2, 1])

    assert majority_labels(truth).tolist() == [2, 2, 2, 2]
    assert accuracy(truth, majority_labels(truth)) == 0.5
    assert sorted(chance_labels(truth, seed=3).tolist()) == [0, 1, 2, 2]
