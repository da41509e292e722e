"""Intervals hold what they should; whole groups are drawn."""

import numpy as np
import pytest

from omnisila.evaluation.named_scores import locating_scores
from omnisila.evaluation.significance import bootstrap, paired_bootstrap, with_intervals
from omnisila.evaluation.tables import Footage, resample, tabulate
from omnisila.systems import SpanRow


def test_interval_of_a_mean_covers_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for trial in range(150):
        sample = random.normal(3.0, 1.0, 60)
        interval = bootstrap(lambda chosen, s=sample: np.array([s[chosen].mean()]), np.arange(60), 200, seed=trial)[0]
        held += interval.low <= 3.0 <= interval.high

    assert 0.88 <= held / 150 <= 0.99


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(1).random(30)

    first, second, other = (
        bootstrap(lambda chosen: np.array([values[chosen].mean()]), np.arange(30), 50, seed=seed)[0]
        for seed in (3, 3, 4)
    )

    assert first == second != other


def test_whole_groups_are_drawn() -> None:
    groups = np.array(["a", "b", "a", "c"])
    seen: list[list[int]] = []

    def remember(chosen: np.ndarray) -> np.ndarray:
        seen.append(chosen.tolist())
        return np.array([float(len(chosen))])

    bootstrap(remember, groups, draws=40)

    assert seen[0] == [0, 1, 2, 3]
    for chosen in seen[1:]:
        assert chosen.count(0) == chosen.count(2)
        assert chosen.count(0) + chosen.count(1) + chosen.count(3) == 3


def test_draws_in_which_a_metric_is_undefined_do_not_count() -> None:
    positive = np.array([True, False, False])

    def recall(chosen: np.ndarray) -> np.ndarray:
        return np.array([1.0 if positive[chosen].any() else np.nan, 2.0])

    rare, always = bootstrap(recall, np.arange(3), draws=100)

    assert 0 < rare.draws < always.draws == 100
    assert (rare.low, rare.high) == (1.0, 1.0)


def test_paired_bootstrap_tells_a_better_system_from_an_equal_one() -> None:
    random = np.random.default_rng(0)
    base = random.random(80)
    better, equal = base + 0.1 + random.normal(0, 0.05, 80), base + random.normal(0, 0.05, 80)

    better_result, equal_result = paired_bootstrap(
        lambda chosen: np.array([base[chosen].mean()] * 2),
        lambda chosen: np.array([better[chosen].mean(), equal[chosen].mean()]),
        np.arange(80),
        draws=400,
    )

    assert better_result.interval.low > 0
    assert better_result.p_value < 0.01
    assert equal_result.interval.low < 0 < equal_result.interval.high
    assert equal_result.p_value > 0.05


def test_two_identical_systems_never_differ_significantly() -> None:
    values = np.random.default_rng(0).random(20)

    def mean(chosen: np.ndarray) -> np.ndarray:
        return np.array([values[chosen].mean()])

    (result,) = paired_bootstrap(mean, mean, np.arange(20), 100)

    assert result.p_value == 1.0
    assert result.interval[:3] == (0, 0, 0)


def test_scores_get_their_bounds() -> None:
    footage = Footage(tuple("abcdef"), np.full(6, 10.0))
    truth = tabulate([SpanRow(name, "Fire", 2, 5) for name in "abcd"], footage, ["Fire"]).table
    predicted = tabulate([SpanRow(name, "Fire", 2, 4, 0.7) for name in "abe"], footage, ["Fire"]).table

    scores = with_intervals(
        lambda chosen: locating_scores(resample(truth, chosen), resample(predicted, chosen), footage.at(chosen), 1),
        np.array(footage.names),
        draws=60,
    )

    rate = next(score for score in scores if score.metric == "FNR" and "micro" in score.variant)
    assert rate.value is not None
    assert rate.value == pytest.approx(1 - 32 / 96)
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low < rate.value < rate.high
