"""Regression: who is held out, when it ends, that a killed run is a straight one, and planted signals found again."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisila.errors import TrainingError
from omnisila.evaluation.reaction import pearson
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import EMOTIONS, FRAMES, ReactionBatch
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.training.regression import (
    PROBE_TRAINING,
    VIPER_TRAINING,
    Labelled,
    RegressionConfig,
    fit,
    held_out,
    mean_squared_error,
    predict_intensities,
)

WIDTHS = {"visual": 9, "audio": 8, "fau": 7}


class Planted:
    """Clips whose intensities are written into every modality, in noise."""

    def __init__(self, clips=200, names=tuple(WIDTHS), seed=0):
        random = torch.Generator().manual_seed(seed)
        self.truth = torch.rand(clips, EMOTIONS, generator=random)
        # which numbers of a modality carry which emotion is the same for all clips of all seeds
        mix = {name: torch.randn(EMOTIONS, WIDTHS[name], generator=torch.Generator().manual_seed(9)) for name in names}
        self.all = ReactionBatch(
            {
                name: (self.truth @ mix[name]).unsqueeze(1)
                + 0.3 * torch.randn(clips, FRAMES, WIDTHS[name], generator=random)
                for name in names
            },
            {name: torch.rand(clips, FRAMES, generator=random) < 0.9 for name in names},
        )
        self.groups = tuple(f"person {clip // 4}" for clip in range(clips))

    def batch(self, places):
        values, masks = self.all
        return ReactionBatch({n: v[places] for n, v in values.items()}, {n: m[places] for n, m in masks.items()})

    @property
    def labelled(self):
        return Labelled(self, self.truth, self.groups)


def mean_pearson(truth, guesses):
    return pearson(truth.double().numpy(), guesses.double().numpy()).mean


FAST = RegressionConfig(epochs=3, learning_rate=1e-2, batch=40, patience=0)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.floats(0.05, 0.9), st.integers(0, 3))
@settings(max_examples=20)
def test_a_group_is_never_on_both_sides(groups, frac, seed):
    if len(set(groups)) < 2:
        with pytest.raises(TrainingError, match="at least two people"):
            held_out(groups, frac, seed)
        return
    rest, held = held_out(groups, frac, seed)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(len(groups)))
    assert len(rest)
    assert len(held)
    assert not {groups[place] for place in rest} & {groups[place] for place in held}
    again = held_out(groups, frac, seed)
    assert torch.equal(held, again[1])


def test_about_the_share_is_held_out():
    groups = [str(clip // 5) for clip in range(1000)]
    assert len(held_out(groups, 0.1)[1]) == 100
    assert not torch.equal(held_out(groups, 0.1)[1], held_out(groups, 0.1, seed=1)[1])


def test_the_loss_is_the_mean_square():
    assert mean_squared_error(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.0]])).item() == (0.25 + 1) / 2


def test_rates_and_epochs_are_the_papers():
    assert (PROBE_TRAINING.learning_rate, PROBE_TRAINING.epochs) == (1e-4, 50)
    assert (VIPER_TRAINING.learning_rate, VIPER_TRAINING.epochs) == (1e-5, 20)


MODELS = {
    "viper": (ViPERConfig(latents=6, width=32, layers=1, heads=2, dropout=0.0), 7, 1e-2),
    "bilstm": (BiLSTMConfig(width=12, layers=1, dropout=0.0), 6, 2e-2),
    "temporal": (TemporalAVConfig(width=16, heads=2, temporal_layers=1, cross_layers=1, dropout=0.0), 4, 2e-2),
}
EACH_AND_ALL = [("visual",), ("audio",), ("fau",), ("visual", "audio", "fau")]


@pytest.mark.parametrize(
    ("kind", "names"),
    [*(("viper", names) for names in EACH_AND_ALL), *(("temporal", names) for names in EACH_AND_ALL),
     ("bilstm", ("fau",))],
)  # fmt: skip
def test_a_planted_signal_is_found_in_each_modality_and_in_all(tmp_path, kind, names):
    config, epochs, rate = MODELS[kind]
    torch.manual_seed(0)
    model = config.build({name: WIDTHS[name] for name in names})
    if kind == "viper":
        with torch.no_grad():
            for weights in model.parameters():
                if weights.ndim > 1:
                    weights.mul_(8)  # an initialisation that is meant for 1280 numbers vanishes in 32
    fit(
        model,
        Planted(names=names).labelled,
        FAST.replace(epochs=epochs, learning_rate=rate),
        mean_pearson,
        tmp_path,
        "tiny",
    )
    unseen = Planted(clips=80, names=names, seed=1)
    guesses = predict_intensities(model, unseen, torch.arange(80))
    assert mean_pearson(unseen.truth, guesses) > 0.35  # by chance 0.04


def test_a_probe_finds_it_in_pooled_tokens(tmp_path):
    class Pooled(Planted):
        def batch(self, places):
            values = self.all.values["visual"][places].mean(1, keepdim=True)
            return ReactionBatch({"pooled": values}, {"pooled": torch.ones(len(places), 1, dtype=torch.bool)})

    torch.manual_seed(0)
    probe = ProbeConfig(hidden=32).build({"pooled": WIDTHS["visual"]})
    fit(probe, Pooled().labelled, FAST.replace(epochs=15, learning_rate=5e-2), mean_pearson, tmp_path, "tiny")
    unseen = Pooled(clips=80, seed=1)
    guesses = predict_intensities(probe, unseen, torch.arange(80)).double().numpy()
    assert pearson(unseen.truth.double().numpy(), guesses).mean > 0.7


def small_temporal():
    torch.manual_seed(0)
    return TemporalAVConfig(width=8, heads=2, temporal_layers=1, cross_layers=1).build(WIDTHS)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 5])
def test_a_killed_run_ends_as_a_straight_one(tmp_path, killed_at):
    data = Planted(clips=120).labelled
    config = FAST
    straight = small_temporal()
    fitted = fit(straight, data, config, mean_pearson, tmp_path / "straight", "tiny")

    def kill(report):
        if report.step == killed_at:
            raise KilledError

    assert config.loop(fitted.trained_clips).steps == 9
    with pytest.raises(KilledError):
        fit(small_temporal(), data, config, mean_pearson, tmp_path / "killed", "tiny", on_step=kill)
    resumed = small_temporal()
    again = fit(resumed, data, config, mean_pearson, tmp_path / "killed", "tiny")
    assert again == fitted
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert (
        fit(small_temporal(), data, config, mean_pearson, tmp_path / "killed", "tiny") == fitted
    )  # a finished run stays as it is


def test_it_ends_with_its_best_epoch_when_nothing_gets_better(tmp_path):
    data = Planted(clips=120)
    noise = data.labelled._replace(truth=torch.rand(120, EMOTIONS, generator=torch.Generator().manual_seed(5)))
    config = FAST.replace(epochs=40, patience=2)
    model = small_temporal()
    fitted = fit(model, noise, config, mean_pearson, tmp_path, "tiny")
    assert len(fitted.epochs) < 40
    assert fitted.epochs[-1].number == fitted.best.number + 2
    assert fitted.best.score == max(epoch.score for epoch in fitted.epochs)
    _, held = held_out(noise.groups, config.held_out_frac)
    guesses = predict_intensities(model, data, held).double().numpy()
    assert pearson(noise.truth[held].double().numpy(), guesses).mean == pytest.approx(fitted.best.score)
    assert fit(small_temporal(), noise, config, mean_pearson, tmp_path, "tiny") == fitted
    assert not model.training


def test_held_out_clips_are_not_trained_on(tmp_path):
    """Whatever they show and whatever is true of them, the weights after an epoch are the same."""
    weights = []
    for name in ("as they are", "changed"):
        data = Planted(clips=60)
        _, held = held_out(data.groups, FAST.held_out_frac)
        if name == "changed":
            data.truth[held] = 1 - data.truth[held]
            for values in data.all.values.values():
                values[held] *= -5
        model = small_temporal()
        fit(model, data.labelled, FAST.replace(epochs=1), mean_pearson, tmp_path / name, "tiny")
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_predictions_are_intensities():
    model = ViPERConfig(latents=2, width=8, layers=1, heads=2).build(WIDTHS).train()
    with torch.no_grad():
        model.perceiver.decoder.decoder.final_layer.bias.copy_(torch.linspace(-2, 3, EMOTIONS))
    guesses = predict_intensities(model, Planted(clips=5), torch.arange(5))
    assert guesses.min() == 0
    assert guesses.max() == 1
    assert model.training


def test_a_folder_of_another_run_is_refused(tmp_path):
    data = Planted(clips=60)
    fit(small_temporal(), data.labelled, FAST.replace(epochs=1), mean_pearson, tmp_path, "tiny")
    with pytest.raises(TrainingError, match="other settings or data"):
        fit(small_temporal(), data.labelled, FAST.replace(epochs=2), mean_pearson, tmp_path, "tiny")
    with pytest.raises(TrainingError, match="other settings or data"):
        fit(
            small_temporal(),
            data.labelled._replace(truth=1 - data.truth),
            FAST.replace(epochs=1),
            mean_pearson,
            tmp_path,
            "tiny",
        )
    with pytest.raises(TrainingError, match="other settings or data"):
        fit(small_temporal(), data.labelled, FAST.replace(epochs=1), mean_pearson, tmp_path, "other features")
    history = json.loads((tmp_path / "epochs.json").read_text())
    assert np.isfinite(history["epochs"][0]["score"])
    (tmp_path / "epochs.json").write_text("{}")
    with pytest.raises(TrainingError, match="no history"):
        fit(small_temporal(), data.labelled, FAST.replace(epochs=1), mean_pearson, tmp_path, "tiny")


def test_no_epoch_is_no_model(tmp_path):
    with pytest.raises(TrainingError, match="no epoch was finished"):
        fit(small_temporal(), Planted(clips=40).labelled, FAST.replace(epochs=0), mean_pearson, tmp_path, "tiny")
