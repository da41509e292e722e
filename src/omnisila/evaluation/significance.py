"""How sure a number is: percentile bootstrap over videos, paired where two systems saw the same ones, and t-tests.

Videos (or sources) are drawn, not windows: windows of a video are not independent. Source: Efron & Tibshirani 1993;
the papers' own t-tests are Omni-SILA 4.4.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from omnisila.schema import Score

Chosen = Int[np.ndarray, "chosen"]
DRAWS, LEVEL, SEED = 1000, 0.95, 0


class Interval(NamedTuple):
    """A value and its percentile interval; NaN bounds where fewer than two groups or draws define the metric."""

    value: float
    low: float
    high: float
    draws: int


class PairedDifference(NamedTuple):
    """Second minus first; ``p_value`` is two-sided: how often a draw puts the difference on the other side of 0."""

    interval: Interval
    p_value: float


class TTest(NamedTuple):
    """A paired t-test over so many pairs."""

    statistic: float
    p_value: float
    pairs: int


def bootstrap(
    metrics: Callable[[Chosen], Float[np.ndarray, "metrics"]],
    groups: Shaped[np.ndarray, "items"],
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = SEED,
) -> tuple[Interval, ...]:
    """Intervals of several metrics from the same draws.

    Args:
        metrics: their values on the items at these positions, which repeat; NaN where undefined.
        groups: the video or source of each item; whole groups are drawn, with replacement.
        draws: how many; those in which a metric is undefined do not count for it.
        level: share of the draws within the interval.
    """
    values = np.asarray(metrics(np.arange(len(groups))), dtype=np.float64)
    drawn = _draw_metrics(metrics, groups, draws, seed)
    return tuple(_interval(value, column, level) for value, column in zip(values, drawn.T, strict=True))


def paired_bootstrap(
    first: Callable[[Chosen], Float[np.ndarray, "metrics"]],
    second: Callable[[Chosen], Float[np.ndarray, "metrics"]],
    groups: Shaped[np.ndarray, "items"],
    draws: int = DRAWS,
) -> tuple[PairedDifference, ...]:
    """The differences of two systems' metrics on the same videos, drawn together."""

    def difference(chosen: Chosen) -> Float[np.ndarray, "metrics"]:
        return np.asarray(second(chosen) - first(chosen), dtype=np.float64)

    drawn = _draw_metrics(difference, groups, draws, SEED)
    return tuple(
        PairedDifference(_interval(value, column, LEVEL), _two_sided_p(column))
        for value, column in zip(difference(np.arange(len(groups))), drawn.T, strict=True)
    )


def paired_t_test(first: Float[np.ndarray, "pairs"], second: Float[np.ndarray, "pairs"]) -> TTest:
    """Whether the second system's values per video differ from the first's; NaN for fewer than two pairs."""
    difference = second - first
    if len(difference) < 2:
        return TTest(np.nan, np.nan, len(difference))
    if np.ptp(difference) == 0:  # no spread: the statistic divides by zero
        same = difference[0] == 0
        return TTest(0.0 if same else float(np.copysign(np.inf, difference[0])), float(same), len(difference))
    from scipy import stats  # only here: commands that check what they are given import this file

    result = stats.ttest_rel(second, first)
    return TTest(float(result.statistic), float(result.pvalue), len(difference))


def with_intervals(
    scores: Callable[[Chosen], tuple[Score, ...]],
    groups: Shaped[np.ndarray, "videos"],
    draws: int = DRAWS,
) -> tuple[Score, ...]:
    """Scores with their bootstrap bounds filled in; bounds stay ``None`` where there are none."""

    def values(chosen: Chosen) -> Float[np.ndarray, "metrics"]:
        return np.array([np.nan if score.value is None else score.value for score in scores(chosen)], dtype=np.float64)

    whole = scores(np.arange(len(groups)))
    intervals = bootstrap(values, groups, draws)
    return tuple(
        score if np.isnan(interval.low) else score.replace(low=interval.low, high=interval.high)
        for score, interval in zip(whole, intervals, strict=True)
    )


def _draw_metrics(
    metrics: Callable[[Chosen], Float[np.ndarray, "metrics"]],
    groups: Shaped[np.ndarray, "items"],
    draws: int,
    seed: int,
) -> Float[np.ndarray, "draws metrics"]:
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    if count < 2 or not draws:
        return np.full((1, len(metrics(np.arange(len(groups))))), np.nan)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    random = np.random.default_rng(seed)
    return np.array(
        [metrics(np.concatenate([members[pick] for pick in random.integers(count, size=count)])) for _ in range(draws)]
    )


def _two_sided_p(drawn: Float[np.ndarray, "draws"]) -> float:
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return np.nan
    # the added one keeps a finite number of draws from claiming certainty
    tail = 1 + min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * tail / (len(drawn) + 1))


def _interval(value: float, drawn: Float[np.ndarray, "draws"], level: float) -> Interval:
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return Interval(value, np.nan, np.nan, len(drawn))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), len(drawn))
