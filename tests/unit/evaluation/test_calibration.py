"""Temperatures and thresholds; the conformal guarantee by simulation."""

import numpy as np
import pytest
from scipy.special import log_softmax

from omnisila.errors import InputError
from omnisila.evaluation.calibration import (
    ValidationVideo,
    conformal_level,
    fit_operating_point,
    fit_temperature,
    negative_log_likelihood,
    operating_points,
)
from omnisila.operating_points import Calibration, LabelSetCalibration
from omnisila.schema import Span
from omnisila.spans import ANOMALY_CURVE, Curve, SpanShape, Thresholds, flagged_stretches

PLAIN = SpanShape(smooth_s=0, merge_gap_s=0, min_duration_s=0)
SHARP = 1.0  # spans end where they begin


def video(scores: list[float], *events: tuple[float, float], name: str = ANOMALY_CURVE) -> ValidationVideo:
    start_s = np.arange(float(len(scores)))
    truth = {name: tuple(Span(start_s=start, end_s=end) for start, end in events)}
    return ValidationVideo(float(len(scores)), {name: Curve(start_s, start_s + 1, np.array(scores))}, truth)


def test_temperature_undoes_a_known_one() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 4))
    truth = np.array([random.choice(4, p=row) for row in np.exp(log_softmax(logits, axis=1))])

    assert fit_temperature(logits * 3.0, truth) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(logits * 0.5, truth) == pytest.approx(0.5, rel=0.1)


def test_temperature_is_the_least_likelihood_loss() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 200)
    logits = random.normal(0, 3, (200, 3)) + 2 * np.eye(3)[truth]
    best = fit_temperature(logits, truth)

    losses = [negative_log_likelihood(logits, truth, best * factor) for factor in (0.9, 1.0, 1.1)]
    assert min(losses) == losses[1]


def test_temperature_without_data_or_with_a_perfect_model_stays_finite() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.array([], dtype=np.int64)) == 1.0
    assert 0.05 <= fit_temperature(np.eye(3) * 100, np.arange(3)) <= 20


def test_threshold_by_hand() -> None:
    """Two eventful videos; missing the 0.3 window costs half of one video: a quarter on average."""
    split = [
        video([0.1, 0.9, 0.3, 0.2], (1, 3)),
        video([0.8, 0.6, 0.1, 0.1], (0, 2)),
        video([0.2, 0.4, 0.1, 0.65]),
    ]

    strict = fit_operating_point(split, [ANOMALY_CURVE], PLAIN, 0.0, "empirical", SHARP)
    loose = fit_operating_point(split, [ANOMALY_CURVE], PLAIN, 0.25, "empirical", SHARP)

    assert strict is not None
    assert strict.thresholds == {ANOMALY_CURVE: Thresholds(on=0.3, off=0.3)}
    assert (strict.fnr_micro, strict.fnr_macro) == (0, 0)
    assert strict.false_alarms_per_hour == pytest.approx(2 / (8 / 3600))
    assert loose is not None
    assert loose.thresholds == {ANOMALY_CURVE: Thresholds(on=0.6, off=0.6)}
    assert loose.fnr_macro == pytest.approx(0.25)
    assert loose.false_alarms_per_hour == pytest.approx(1 / (8 / 3600))
    assert loose.videos == 2


def test_fewer_alarms_at_a_stricter_rate_are_more_flagged_time() -> None:
    """The lower threshold joins two alarms to one; the flagged share of eventless time says that it costs more."""
    alarming = video([0.6, 0.3, 0.6, 0.1])
    split = [video([0.9, 0.3, 0.1, 0.1], (0, 2)), video([0.6, 0.1, 0.1, 0.1], (0, 1)), alarming, alarming]

    strict, loose = (
        fit_operating_point(split, [ANOMALY_CURVE], PLAIN, target, "empirical", SHARP) for target in (0.0, 0.25)
    )

    assert strict is not None
    assert loose is not None
    assert (strict.thresholds[ANOMALY_CURVE].on, loose.thresholds[ANOMALY_CURVE].on) == (0.3, 0.6)
    assert strict.false_alarms_per_hour == pytest.approx(2 / (13 / 3600))
    assert loose.false_alarms_per_hour == pytest.approx(4 / (13 / 3600))
    assert (strict.false_alarm_frac, loose.false_alarm_frac) == (pytest.approx(6 / 13), pytest.approx(4 / 13))


def test_labels_get_their_own_thresholds_and_are_measured_together() -> None:
    fights, fires = video([0.9, 0.1], (0, 1), name="Fighting"), video([0.2, 0.4], (1, 2), name="Fire")
    quiet = ValidationVideo(2.0, {**fights.curves, **fires.curves}, {})
    split = [fights, fires, quiet]

    point = fit_operating_point(split, ["Fighting", "Fire", "Robbery"], PLAIN, 0.0, "empirical", SHARP)

    assert point is not None
    assert {name: limit.on for name, limit in point.thresholds.items()} == {"Fighting": 0.9, "Fire": 0.4}
    assert (point.fnr_macro, point.videos) == (0, 2)
    assert point.false_alarms_per_hour == pytest.approx(1 / (4 / 3600))  # the quiet video's two alarms touch


def test_no_threshold_finds_an_event_without_windows() -> None:
    holed = video([0.9, 0.9], (0, 2))._replace(duration_s=10.0, truth={ANOMALY_CURVE: (Span(start_s=5, end_s=9),)})

    assert fit_operating_point([holed], [ANOMALY_CURVE], PLAIN, 0.5, "empirical") is None


def test_a_split_without_events_or_with_events_between_frames_fits_nothing() -> None:
    assert fit_operating_point([video([0.5])], [ANOMALY_CURVE], PLAIN, 0.5, "empirical") is None
    assert fit_operating_point([video([0.5], (0.01, 0.02))], [ANOMALY_CURVE], PLAIN, 0.5, "empirical") is None


def test_too_few_videos_have_no_conformal_threshold() -> None:
    split = [video([0.9, 0.1], (0, 1)) for _ in range(8)]

    assert conformal_level(0.1, 8) < 0
    assert fit_operating_point(split, [ANOMALY_CURVE], PLAIN, 0.1, "conformal") is None
    assert fit_operating_point([*split, split[0]], [ANOMALY_CURVE], PLAIN, 0.1, "conformal") is not None


def drawn_video(random: np.random.Generator) -> ValidationVideo:
    """Twelve seconds with an event of two to six, scores that overlap with those of quiet time."""
    start = int(random.integers(0, 6))
    length = int(random.integers(2, 7))
    hardness = random.uniform(0.3, 2.5)
    logits = random.normal(-1, 1, 12)
    logits[start : start + length] += hardness
    scores = (1 / (1 + np.exp(-logits))).tolist()
    return video(scores, (start, start + length))


def missed_frac(one: ValidationVideo, thresholds: Thresholds, shape: SpanShape) -> float:
    event = one.truth[ANOMALY_CURVE][0]
    found = flagged_stretches(one.curves[ANOMALY_CURVE], thresholds, shape)
    shared_s = np.minimum(found.end_s, event.end_s) - np.maximum(found.start_s, event.start_s)
    return 1 - float(np.clip(shared_s, 0, None).sum()) / event.duration_s


@pytest.mark.parametrize(("target", "count"), [(0.3, 15), (0.15, 25)])
def test_conformal_guarantee_by_simulation(target: float, count: int) -> None:
    """Over many splits, a new video's expected missed share keeps to the target, and not by flagging everything."""
    random = np.random.default_rng(0)
    shape = SpanShape(smooth_s=3, merge_gap_s=1, min_duration_s=1)
    missed = []
    for _ in range(60):
        split = [drawn_video(random) for _ in range(count)]
        point = fit_operating_point(split, [ANOMALY_CURVE], shape, target, "conformal")
        assert point is not None
        missed += [missed_frac(drawn_video(random), point.thresholds[ANOMALY_CURVE], shape) for _ in range(20)]

    standard_error = float(np.std(missed)) / np.sqrt(60)  # splits are independent, new videos of one split are not
    assert np.mean(missed) <= target + 2 * standard_error
    assert np.mean(missed) >= target / 4


def test_the_table_is_stored_and_answers_by_rate() -> None:
    random = np.random.default_rng(2)
    split = [drawn_video(random) for _ in range(12)]
    points = operating_points(split, [ANOMALY_CURVE], SpanShape(), targets=(0.05, 0.2, 0.4))
    calibration = Calibration(
        label_sets={
            "implicit": LabelSetCalibration(
                temperature=1.3, shape=SpanShape(), thresholds=points[0].thresholds, operating_points=points
            )
        },
        split="made-up footage",
        grid_hz=8.0,
    )

    stored = Calibration.model_validate_json(calibration.model_dump_json())

    assert stored == calibration
    assert "validation split" in stored.note
    implicit = stored.label_sets["implicit"]
    assert [point.fnr_target for point in points if point.method == "empirical"] == [0.05, 0.2, 0.4]
    assert implicit.at_most(0.3).fnr_target == 0.2
    assert implicit.at_most(0.9).fnr_target == 0.4
    with pytest.raises(InputError, match=r"rate 0\.1.*The smallest it was fitted for is 0\.2"):
        implicit.at_most(0.1)
    rates = [point.false_alarms_per_hour or 0 for point in points if point.method == "empirical"]
    assert rates == sorted(rates, reverse=True)
