"""Fitting votes on drawn summaries: the act is learnt, the camera is not, and other sets' calm counts."""

import numpy as np
import pytest
import torch

from omnisila.errors import TrainingError
from omnisila.models.votes import LabelVotes, VotesConfig
from omnisila.scenes.summaries import SUMMARIES
from omnisila.training.voting import LabelRows, VotingConfig, VotingData, fit_votes

SETS = ("fights", "streets")


def drawn(windows: int = 160, *, calm_cameras: int = 8, still: bool = False) -> VotingData:
    """Fights have much in feature 0, their cameras differ in feature 1; streets are calm and have much in feature 2."""
    dice = np.random.default_rng(0)
    set_name = np.array([SETS[number % 2] for number in range(windows)])
    camera = dice.integers(8, size=windows)
    fight = (set_name == "fights") & (dice.random(windows) < 0.5) if calm_cameras else set_name == "fights"
    motion = dice.normal(size=(windows, SUMMARIES["motion"]))
    motion[:, 0] += 3.0 * fight
    motion[:, 1] += camera
    motion[:, 2] += 4.0 * (set_name == "streets")
    return VotingData(
        {"motion": torch.from_numpy(motion).float()},
        {"implicit": np.where(fight, "Fighting", "Normal")},
        {"implicit": "Normal"},
        set_name,
        [f"{name} {number}" for name, number in zip(set_name, camera, strict=True)],
        np.full(windows, still),
    )


def fitted(data: VotingData, **changes: float) -> LabelVotes:
    votes = VotesConfig(votes={"Fighting": ("motion",)}).build()
    fit_votes(votes, data, VotingConfig(weak=0.03, **changes))
    return votes


def odds(votes: LabelVotes, data: VotingData) -> np.ndarray:
    return votes.by_label["Fighting"](data.summaries).numpy()


def test_the_act_is_learnt():
    data = drawn()
    fight = data.label["implicit"] == "Fighting"
    own = data.set_name == "fights"
    score = odds(fitted(data), data)
    assert score[fight].mean() > score[own & ~fight].mean() + 2.0
    assert ((score > 0) == fight)[own].mean() > 0.9


def test_calm_of_other_sets_is_held_down():
    data = drawn()
    street = data.set_name == "streets"
    without, beside = (odds(fitted(data, others=share), data)[street].mean() for share in (0.0, 1.0))
    assert beside < without - 0.5


def test_own_sets_and_others_have_the_weights_that_were_asked_for():
    data = drawn()
    rows = LabelRows.of(data, "Fighting", ("motion",), 0.3)
    weights = rows.weights(np.arange(len(rows.places)))
    own = rows.is_own.sum()
    assert np.isclose(weights[rows.is_own & rows.is_event].sum(), own / 2)
    assert np.isclose(weights[rows.is_own & ~rows.is_event].sum(), own / 2)
    assert np.isclose(weights[~rows.is_own].sum(), 0.3 * own)


def test_a_second_fit_is_the_same():
    data = drawn()
    assert np.array_equal(odds(fitted(data), data), odds(fitted(data), data))


def test_one_camera_is_fitted_without_inner_folds():
    data = drawn()
    data.group = np.full(len(data.group), "one camera")
    assert np.isfinite(odds(fitted(data), data)).all()


def test_a_label_that_no_window_shows_is_told():
    data = drawn()
    data.label = {"implicit": np.full(len(data.set_name), "Normal")}
    with pytest.raises(TrainingError, match="votes on Fighting: no training window shows it"):
        fitted(data)


def test_a_set_without_calm_is_told():
    with pytest.raises(TrainingError, match="its data sets fights show no calm"):
        fitted(drawn(calm_cameras=0))


def test_pictures_teach_nothing_of_change():
    with pytest.raises(TrainingError, match="votes on Fighting: pictures alone show it"):
        fitted(drawn(still=True))
