"""Thresholds for a number of false alarms an hour: read off where there are enough, extrapolated by the stated rule."""

import numpy as np
import pytest
from scipy.special import expit

from omnisila.cameras.tails import GRID, Expected, alarm_counts, histogram, limit, quantile, thresholds_at
from omnisila.spans import Curve, SpanShape, flagged_stretches

SHAPE = SpanShape(smooth_s=3.0, merge_gap_s=1.0, min_duration_s=1.0)


def ordinary(hours: float, seed: int) -> Curve:
    """Hours of scores whose log-odds wander around -3 and now and then rise."""
    windows = int(hours * 3600)
    noise = np.random.default_rng(seed)
    level = np.convolve(noise.standard_normal(windows + 8), np.ones(9) / 3, "valid")
    start_s = np.arange(windows, dtype=float)
    return Curve(start_s, start_s + 1, expit(level - 3))


def alarms(curve: Curve, log_odds: float) -> int:
    return len(flagged_stretches(curve, thresholds_at(log_odds, 1.0), SHAPE).start_s)


def test_counts_are_the_stretches_that_an_analysis_finds() -> None:
    curve = ordinary(0.5, 0)
    counts = alarm_counts(curve, SHAPE, 1.0)
    for index in range(0, len(GRID), 7):
        assert counts[index] == alarms(curve, GRID[index])


@pytest.mark.parametrize("per_hour", [6.0, 1.0])
def test_a_measured_rate_holds_on_other_hours(per_hour: float) -> None:
    hours = 8.0
    found = limit(alarm_counts(ordinary(hours, 1), SHAPE, 1.0), hours, per_hour)
    assert found.measured
    assert alarms(ordinary(40.0, 2), found.log_odds) / 40 < 1.4 * per_hour


def test_a_rare_rate_is_extrapolated_beyond_what_was_seen_and_holds() -> None:
    curve = ordinary(1.0, 3)
    found = limit(alarm_counts(curve, SHAPE, 1.0), 1.0, 0.2)
    assert not found.measured
    assert alarms(curve, found.log_odds) == 0
    assert alarms(ordinary(60.0, 4), found.log_odds) / 60 <= 0.4
    assert found.log_odds < 3  # it does not give up on finding anything


def test_fewer_alarms_need_higher_thresholds() -> None:
    counts = alarm_counts(ordinary(3.0, 5), SHAPE, 1.0)
    limits = [limit(counts, 3.0, per_hour).log_odds for per_hour in (20.0, 5.0, 2.0, 0.5, 0.1, 0.01)]
    assert limits == sorted(limits)


def test_seconds_leave_the_models_own_calibration_and_hours_replace_it() -> None:
    expected = Expected(log_odds=0.7, per_hour=20.0)

    def limits(hours: float) -> tuple[float, float]:
        calm = np.zeros(len(GRID), dtype=np.int64)
        often = np.where(GRID <= 2.0, round(hours * 100), 0)  # a label that the place raises all the time
        return limit(calm, hours, 10.0, expected).log_odds, limit(often, hours, 10.0, expected).log_odds

    seconds, day = limits(10 / 3600), limits(24.0)
    assert seconds[0] == seconds[1] == pytest.approx(0.7 + np.log(2), abs=0.15)
    assert day[0] < 0.0
    assert day[1] > 2.0


def test_a_quantile_is_that_of_the_scores() -> None:
    scores = np.random.default_rng(0).beta(1, 20, 5000)
    for level in (0.5, 0.9, 0.99):
        assert quantile(histogram(scores), level) == pytest.approx(float(np.quantile(scores, level)), rel=0.1)


def test_no_window_gives_no_alarm() -> None:
    nothing = Curve(np.zeros(0), np.zeros(0), np.zeros(0))
    assert alarm_counts(nothing, SHAPE, 1.0).sum() == 0
