"""Findings that are told while windows come are those of the whole curve."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from omnisila.labels import label_set
from omnisila.operating_points import LabelSetCalibration
from omnisila.schema import Span
from omnisila.spans import ANOMALY_CURVE, SpanShape, Thresholds, labelled_spans
from omnisila.watch.tracking import Tracker

LABELS = ("Fighting", "Theft", "Traffic Accidents", "Fire", "Normal")
SET = label_set("implicit")


def tracker(calibration: LabelSetCalibration, finding_s: float = 1e6) -> Tracker:
    return Tracker({"implicit": SET}, {"implicit": LABELS}, {"implicit": calibration}, 1.0, finding_s, 10.0)


def curve(seed: int, windows: int, calm: float) -> np.ndarray:
    """Posteriors that wander: mostly calm, with bursts of any length."""
    rng = np.random.default_rng(seed)
    loud = np.clip(np.cumsum(rng.normal(0, 0.25, windows)) + rng.normal(0, 0.3, windows) - calm, -4, 4)
    quiet = 1 / (1 + np.exp(loud))
    rest = rng.dirichlet(np.full(4, 0.5), windows) * (1 - quiet)[:, None]
    return np.concatenate([rest, quiet[:, None]], 1)


def closed(one: Tracker, spans: list[Span], rows: np.ndarray) -> tuple[list, list]:
    """What was closed, and every change, in order."""
    changes = [change for span, row in zip(spans, rows, strict=True) for change in one.add(span, {"implicit": row})]
    changes += one.end()
    return [change.found for change in changes if change.state == "close"], changes


@settings(max_examples=10, derandomize=True, phases=[Phase.generate])
@given(
    seed=st.integers(0, 10_000),
    calm=st.floats(0, 3),
    hole=st.integers(10, 100),
    smooth_s=st.sampled_from([0.0, 1.0, 3.0, 4.5]),
    gap_s=st.sampled_from([0.0, 1.0, 2.5]),
    shortest_s=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_closed_findings_are_those_of_an_offline_analysis(seed, calm, hole, smooth_s, gap_s, shortest_s):
    shape = SpanShape(smooth_s=smooth_s, merge_gap_s=gap_s, min_duration_s=shortest_s)
    calibration = LabelSetCalibration(
        temperature=1.0,
        shape=shape,
        thresholds={ANOMALY_CURVE: Thresholds(on=0.6, off=0.4), "Fire": Thresholds(on=0.5, off=0.3)},
    )
    rows = curve(seed, 120, calm)
    spans = [Span(start_s=n + 2.5 * (n >= hole), end_s=n + 1 + 2.5 * (n >= hole)) for n in range(120)]
    offline = labelled_spans(
        np.array([span.start_s for span in spans]),
        np.array([span.end_s for span in spans]),
        rows, LABELS, SET, calibration.thresholds, shape,
    )  # fmt: skip
    found, changes = closed(tracker(calibration), spans, rows)
    assert sorted((one.span.start_s, one.span.end_s, one.label) for one in found) == sorted(
        (one.span.start_s, one.span.end_s, one.label) for one in offline
    )
    states: dict[int, list[str]] = {}
    for change in changes:
        states.setdefault(change.number, []).append(change.state)
    for told in states.values():
        assert told[0] == "open"
        assert told[-1] in ("close", "withdraw")
        assert set(told[1:-1]) <= {"update"}


def test_a_calm_day_is_forgotten_and_a_long_finding_is_told_in_parts():
    calibration = LabelSetCalibration(
        temperature=1.0, shape=SpanShape(), thresholds={ANOMALY_CURVE: Thresholds(on=0.6, off=0.4)}
    )
    one = tracker(calibration, finding_s=100.0)
    calm, fire = np.array([0.02, 0.02, 0.02, 0.04, 0.9]), np.array([0.02, 0.02, 0.02, 0.9, 0.04])
    for n in range(300):
        assert one.add(Span(start_s=n, end_s=n + 1), {"implicit": calm}) == ()
    assert len(one.spans) < 20
    changes = [
        change
        for n in range(300, 550)
        for change in one.add(Span(start_s=n, end_s=n + 1), {"implicit": fire})
        if change.state in ("open", "close")
    ]
    assert [change.state for change in changes] == ["open", "close", "open", "close", "open"]
    assert changes[0].found.label == "Fire"
    assert changes[1].found.span.duration_s == pytest.approx(100, abs=10)
    assert len(one.spans) < 120
