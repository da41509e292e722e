"""Calibration: how sure the model may claim to be, and which thresholds miss no more than was asked.

Everything here is fitted on a validation split and holds only for footage like it. Thresholds are fitted through the
same ``spans`` functions that the analyzer runs, in which flagged time only grows as thresholds fall; so the missed
share falls with the threshold, and the largest threshold that is good enough can be found by bisection.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from omnisila.evaluation.locating import false_alarms_per_hour, frame_detection
from omnisila.evaluation.tables import Footage, SpanTable
from omnisila.operating_points import Method, OperatingPoint
from omnisila.schema import Span
from omnisila.spans import Curve, SpanShape, Thresholds, flagged_stretches, smooth_curve

TARGETS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
OFF_FRAC = 0.7  # where spans end, as a share of where they begin
_TEMPERATURES = (0.05, 20.0)  # where the search looks


class ValidationVideo(NamedTuple):
    """A held-out video: its curves by name (``spans.ANOMALY_CURVE`` or labels) and the true spans of each."""

    duration_s: float
    curves: Mapping[str, Curve]
    truth: Mapping[str, Sequence[Span]]


def negative_log_likelihood(
    log_scores: Float[np.ndarray, "items labels"], truth: Int[np.ndarray, "items"], temperature: float
) -> float:
    """Mean over items of minus the log-probability of the true label, scores being divided by the temperature."""
    return float(-log_softmax(log_scores / temperature, axis=1)[np.arange(len(truth)), truth].mean())


def fit_temperature(log_scores: Float[np.ndarray, "items labels"], truth: Int[np.ndarray, "items"]) -> float:
    """The temperature of least negative log-likelihood, between 0.05 and 20; 1 when there is nothing to fit on.

    Args:
        log_scores: summed log-probabilities of the label strings, or logits; a constant per item does not matter.

    Source: Guo et al. 2017, section 4.2.
    """
    if not len(truth):
        return 1.0
    result = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(log_scores, truth, float(np.exp(log_temperature))),
        bounds=tuple(np.log(_TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(result.x))


def conformal_level(fnr_target: float, videos: int) -> float:
    """The mean loss on ``videos`` validation videos that keeps the expected loss of a new one within the target.

    The new video counts as if it were missed wholly; below ``1 / target - 1`` videos the level is negative: no
    threshold is safe. Source: Angelopoulos et al., Conformal risk control, with losses in [0, 1].
    """
    return fnr_target - (1 - fnr_target) / videos


def fit_operating_point(
    videos: Sequence[ValidationVideo],
    curves: Sequence[str],
    shape: SpanShape,
    fnr_target: float,
    method: Method,
    off_frac: float = OFF_FRAC,
) -> OperatingPoint | None:
    """The largest threshold of each curve whose mean missed share per eventful video keeps to the target.

    Each curve is fitted to its own truth; what the point achieves is measured with all of them together.

    Args:
        videos: the validation split, normal videos too: they decide the false alarms.
        curves: names of the curves to threshold; one without any true span in the split gets no threshold.
        shape: smoothing, merging and slivers, as the analyzer will apply them.
        fnr_target: wanted false-negative rate.
        off_frac: the lower threshold of the hysteresis, as a share of the upper.

    Returns:
        The point, or None when no threshold keeps to the target: too few videos for the conformal guarantee, or events
        where there is no window.
    """
    return _Fit(videos, curves, shape, off_frac).point(fnr_target, method)


def operating_points(
    videos: Sequence[ValidationVideo], curves: Sequence[str], shape: SpanShape, targets: Iterable[float] = TARGETS
) -> tuple[OperatingPoint, ...]:
    """The table of a run folder: all targets by both methods, without those that cannot be kept."""
    fit = _Fit(videos, curves, shape, OFF_FRAC)
    methods: tuple[Method, ...] = ("empirical", "conformal")
    points = (fit.point(target, method) for method, target in itertools.product(methods, targets))
    return tuple(point for point in points if point is not None)


class _Fit:
    """A split with its curves smoothed once, and what was already measured on it."""

    def __init__(
        self, videos: Sequence[ValidationVideo], curves: Sequence[str], shape: SpanShape, off_frac: float
    ) -> None:
        self.off_frac = off_frac
        self.shape = shape.replace(smooth_s=0.0)
        self.footage = Footage(
            tuple(map(str, range(len(videos)))), np.array([video.duration_s for video in videos], dtype=np.float64)
        )
        self.truth = {name: _table(enumerate(_stretches(video, name) for video in videos)) for name in curves}
        self.curves = {
            name: [
                smooth_curve(video.curves[name], shape.smooth_s) if name in video.curves else None for video in videos
            ]
            for name in curves
            if len(self.truth[name].video)
        }
        self.missed = {name: self._miss_counter(name) for name in self.curves}

    def point(self, fnr_target: float, method: Method) -> OperatingPoint | None:
        thresholds = {name: self._threshold(name, fnr_target, method) for name in self.curves}
        fitted = {name: limit for name, limit in thresholds.items() if limit is not None}
        if not fitted or len(fitted) < len(thresholds):
            return None
        truth, flagged = _join_tables(self.truth.values()), _join_tables(map(self._flag, fitted, fitted.values()))
        frames = frame_detection(truth, flagged, self.footage)
        return OperatingPoint(
            fnr_target=fnr_target,
            method=method,
            thresholds=fitted,
            fnr_micro=_or_none(frames.fnr_micro),
            fnr_macro=_or_none(frames.fnr_macro),
            false_alarms_per_hour=_or_none(false_alarms_per_hour(truth, flagged, self.footage)),
            false_alarm_frac=_or_none(frames.false_alarm_frac),
            videos=frames.eventful_videos,
        )

    def _threshold(self, name: str, fnr_target: float, method: Method) -> Thresholds | None:
        truth = self.truth[name]
        eventful = frame_detection(truth, truth, self.footage).eventful_videos
        if not eventful:  # the true spans are too short to hold a frame of the grid
            return None
        level = fnr_target if method == "empirical" else conformal_level(fnr_target, eventful)
        candidates, missed = self._candidates(name), self.missed[name]
        if missed(0) > level:
            return None
        low, high = 0, len(candidates)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if missed(middle) <= level else (low, middle)
        return self._hysteresis(candidates[low])

    def _candidates(self, name: str) -> Float[np.ndarray, "candidates"]:
        """Every upper threshold at which anything changes: a score meets it, or meets the lower one."""
        scores = np.concatenate([[0.0], *(curve.score for curve in self.curves[name] if curve is not None)])
        both = np.concatenate([scores, scores / self.off_frac])
        return np.unique(both[both <= 1.0])

    def _miss_counter(self, name: str) -> Callable[[int], float]:
        """Mean missed share per eventful video at a candidate; remembered, for targets ask for the same ones."""
        candidates, known = self._candidates(name), {}

        def missed_share(index: int) -> float:
            if index not in known:
                flagged = self._flag(name, self._hysteresis(candidates[index]))
                known[index] = frame_detection(self.truth[name], flagged, self.footage).fnr_macro
            return known[index]

        return missed_share

    def _hysteresis(self, on: float) -> Thresholds:
        return Thresholds(on=float(on), off=float(on) * self.off_frac)

    def _flag(self, name: str, thresholds: Thresholds) -> SpanTable:
        return _table(
            (index, flagged_stretches(curve, thresholds, self.shape))
            for index, curve in enumerate(self.curves[name])
            if curve is not None
        )


def _stretches(video: ValidationVideo, name: str) -> tuple[Float[np.ndarray, "spans"], Float[np.ndarray, "spans"]]:
    spans = video.truth.get(name, ())
    return np.array([span.start_s for span in spans]), np.array([span.end_s for span in spans])


def _table(stretches: Iterable[tuple[int, tuple[Float[np.ndarray, "spans"], Float[np.ndarray, "spans"]]]]) -> SpanTable:
    """Stretches of numbered videos as one table; labels and scores play no part here."""
    columns = [(np.full(len(start_s), video), start_s, end_s) for video, (start_s, end_s) in stretches]
    video = np.concatenate([np.array([], dtype=np.int64), *(column[0] for column in columns)])
    start_s = np.concatenate([np.array([]), *(column[1] for column in columns)])
    end_s = np.concatenate([np.array([]), *(column[2] for column in columns)])
    return SpanTable(video, np.zeros_like(video), start_s, end_s, np.ones(len(video)))


def _join_tables(tables: Iterable[SpanTable]) -> SpanTable:
    tables = tuple(tables)
    return SpanTable(*(np.concatenate(columns) for columns in zip(*tables, strict=True)))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
