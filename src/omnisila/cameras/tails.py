"""From a wanted number of false alarms an hour to a threshold, as far as the footage supports it.

Alarms are counted by ``spans.flagged_stretches``, which an analysis applies too, at every threshold of a grid. Counts
of videos add up, so that footage can be learnt in any order and nothing is kept of it but these numbers.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from omnisila.spans import Curve, SpanShape, Thresholds, flagged_stretches, smoothed

STEP = 0.1
GRID = np.arange(-80, 81) * STEP  # thresholds, as log-odds
MEASURED_ALARMS = 5.0  # a rate that the footage would show so often is read off it; a rarer one is extrapolated
TAIL_ALARMS = 10  # the tail is fitted to so many of the strongest alarms
_PRIOR_SCALE, _PRIOR_ALARMS = 1.0, 3.0  # in log-odds, and how many alarms it counts for


class Limit(NamedTuple):
    """A threshold that at most so many alarms an hour are expected to pass; ``measured`` or extrapolated."""

    log_odds: float
    measured: bool


def log_odds(score: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Of probabilities; what is beyond the grid is drawn to its ends."""
    return np.asarray(np.clip(logit(np.clip(score, 1e-9, 1 - 1e-9)), GRID[0], GRID[-1]))


def thresholds_at(on_log_odds: float, hysteresis: float) -> Thresholds:
    """A threshold with the lower one to which spans reach, ``hysteresis`` below it in log-odds."""
    return Thresholds(on=float(expit(on_log_odds)), off=float(expit(on_log_odds - hysteresis)))


def alarm_counts(curve: Curve, shape: SpanShape, hysteresis: float) -> Int[np.ndarray, "grid"]:
    """How many stretches the curve gives at each threshold of the grid."""
    curve, unsmoothed = smoothed(curve, shape.smooth_s), shape.replace(smooth_s=0.0)
    counts = np.zeros(len(GRID), dtype=np.int64)
    if len(curve.score):
        for index in np.flatnonzero(log_odds(curve.score).max() >= GRID):
            stretches = flagged_stretches(curve, thresholds_at(GRID[index], hysteresis), unsmoothed)
            counts[index] = len(stretches.start_s)
    return counts


def histogram(score: Float[np.ndarray, "windows"]) -> Int[np.ndarray, "grid"]:
    """How many windows have a score nearest to each point of the grid."""
    places = np.rint((log_odds(score) - GRID[0]) / STEP).astype(np.int64)
    return np.bincount(places, minlength=len(GRID))


def quantile(counts: Int[np.ndarray, "grid"], level: float) -> float:
    """A quantile of a histogram, as a probability."""
    place = np.searchsorted(np.cumsum(counts), level * counts.sum())
    return float(expit(GRID[min(place, len(GRID) - 1)]))


def limit(counts: Int[np.ndarray, "grid"], hours: float, per_hour: float) -> Limit:
    """The least threshold that at most ``per_hour`` alarms an hour pass.

    Where the footage would show at least ``MEASURED_ALARMS`` of them it is read off: one alarm fewer than allowed, so
    that the expected rate on exchangeable hours is at most the wanted one. A rarer rate is extrapolated: log-odds of
    the strongest alarms fall off exponentially, at the mean excess of the ``TAIL_ALARMS`` strongest over the least of
    them, drawn towards 1 as if by 3 further alarms.

    Source: peaks over thresholds, Pickands 1975, with the shape of the tail set to 0.
    """
    falling = np.maximum.accumulate(counts[::-1])[::-1]  # a lower threshold may join alarms, which makes no fewer
    allowed = per_hour * hours
    if allowed >= MEASURED_ALARMS:
        enough = np.flatnonzero(falling <= allowed - 1)
        return Limit(float(GRID[enough[0]] if len(enough) else GRID[-1]), measured=True)
    tail = int(min(falling.max(initial=0), TAIL_ALARMS))
    if not tail:
        return Limit(float(GRID[0]), measured=False)
    begin = int(np.flatnonzero(falling >= tail)[-1])
    excess = float(falling[begin + 1 :].sum()) * STEP
    scale = (excess + _PRIOR_ALARMS * _PRIOR_SCALE) / (falling[begin] + _PRIOR_ALARMS)
    beyond = scale * np.log(max(falling[begin] / allowed, 1.0)) if allowed > 0 else np.inf
    return Limit(float(min(GRID[begin] + STEP + beyond, GRID[-1])), measured=False)
