"""From a wanted number of false alarms an hour to a threshold, as far as the footage supports it.

Alarms are counted by ``spans.flagged_stretches``, which an analysis applies too, at every threshold of a grid. Counts
of videos add up, so that footage can be learnt in any order and nothing is kept of it but these numbers.
"""

from typing import NamedTuple

import numpy as np
import scipy  # whose parts load when they are named
from jaxtyping import Float, Int

from omnisila.spans import Curve, SpanShape, Thresholds, flagged_stretches, smooth_curve

STEP = 0.1  # log-odds
GRID = np.arange(-80, 81) * STEP  # thresholds, as log-odds
MEASURED_ALARMS = 5.0  # a rate that the footage would show so often is read off it; a rarer one is extrapolated
TAIL_ALARMS = 10  # the tail is fitted to so many of the strongest alarms
SCALE = 1.0  # log-odds over which alarms are taken to grow e times rarer, before any was seen
PRIOR_ALARMS = 3.0  # that this scale counts for beside the alarms that were seen
PRIOR_HOURS = 0.1  # of ordinary footage that the model's own calibration counts for


class Limit(NamedTuple):
    """A threshold that at most so many alarms an hour are expected to pass; ``measured`` or extrapolated."""

    log_odds: float
    measured: bool


class Expected(NamedTuple):
    """What is known before a camera is seen: at a threshold the model raises so many alarms an hour."""

    log_odds: float
    per_hour: float


def log_odds(score: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Of probabilities; what is beyond the grid is drawn to its ends."""
    return np.asarray(np.clip(scipy.special.logit(np.clip(score, 1e-9, 1 - 1e-9)), GRID[0], GRID[-1]))


def thresholds_at(on_log_odds: float, hysteresis: float) -> Thresholds:
    """A threshold with the lower one to which spans reach, ``hysteresis`` below it in log-odds."""
    return Thresholds(
        on=float(scipy.special.expit(on_log_odds)), off=float(scipy.special.expit(on_log_odds - hysteresis))
    )


def alarm_counts(curve: Curve, shape: SpanShape, hysteresis: float) -> Int[np.ndarray, "grid"]:
    """How many stretches the curve gives at each threshold of the grid."""
    curve, unsmoothed = smooth_curve(curve, shape.smooth_s), shape.replace(smooth_s=0.0)
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
    return float(scipy.special.expit(GRID[min(place, len(GRID) - 1)]))


def limit(counts: Int[np.ndarray, "grid"], hours: float, per_hour: float, expected: Expected | None = None) -> Limit:
    """The least threshold that at most ``per_hour`` alarms an hour are expected to pass.

    Where the footage would show at least ``MEASURED_ALARMS`` of them it is read off, with one alarm more than was seen,
    so that the expected rate on exchangeable hours is at most the wanted one. A rarer rate is extrapolated: log-odds of
    the strongest alarms fall off exponentially, at the mean excess of the ``TAIL_ALARMS`` strongest over the least of
    them. What is expected before the camera is seen counts as ``PRIOR_HOURS`` of footage, with a tail of ``SCALE``:
    seconds of footage leave the model's own calibration as it is, hours replace it.

    Source: peaks over thresholds, Pickands 1975, with the shape of the tail set to 0.
    """
    seen = np.maximum.accumulate(counts[::-1])[::-1].astype(float)  # a lower threshold joins alarms, it ends none
    measured = per_hour * hours >= MEASURED_ALARMS
    alarms = seen + 1 if measured else np.maximum(seen, _tail(seen))
    if expected is not None:
        alarms = alarms + PRIOR_HOURS * expected.per_hour * np.exp((expected.log_odds - GRID) / SCALE)
        hours += PRIOR_HOURS
    enough = np.flatnonzero(alarms <= per_hour * hours)
    return Limit(float(GRID[enough[0] if len(enough) else -1]), measured)


def _tail(seen: Float[np.ndarray, "grid"]) -> Float[np.ndarray, "grid"]:
    """How many alarms an exponential tail of the strongest ones expects above each threshold; 0 before it begins."""
    strongest = min(seen.max(), TAIL_ALARMS)
    if not strongest:
        return np.zeros(len(GRID))
    begin = int(np.flatnonzero(seen >= strongest)[-1])
    excess = float(seen[begin + 1 :].sum()) * STEP
    scale = (excess + PRIOR_ALARMS * SCALE) / (seen[begin] + PRIOR_ALARMS)
    beyond = GRID - GRID[begin] - STEP
    return np.where(beyond >= 0, seen[begin] * np.exp(-beyond / scale), 0.0)
