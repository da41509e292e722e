"""Run folders of reaction models: what is saved is loaded, and what is damaged is named."""

import pytest
import torch

from omnisila.errors import WeightsError
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import FRAMES, ReactionBatch
from omnisila.models.reaction_run import ReactionRecord, load_reaction, save_reaction
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig

WIDTHS = {"visual": 5, "audio": 3}
CONFIGS = {
    "probe": ProbeConfig(hidden=3),
    "viper": ViPERConfig(latents=2, width=8, layers=1, heads=2),
    "bilstm": BiLSTMConfig(width=4, layers=1),
    "temporal-av": TemporalAVConfig(width=8, heads=2, temporal_layers=1, cross_layers=1),
}


def saved(folder, kind):
    torch.manual_seed(0)
    widths = {"pooled": 5} if kind == "probe" else WIDTHS
    model = CONFIGS[kind].build(widths)
    record = ReactionRecord(
        name="tiny", model=CONFIGS[kind], widths=widths, streams={name: name for name in widths}, train_mean=(0.5,) * 7
    )
    return model, save_reaction(folder, model, record)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_saved_model_gives_the_same_intensities(tmp_path, kind):
    model, record = saved(tmp_path, kind)
    values = {name: torch.randn(2, FRAMES, width) for name, width in model.widths.items()}
    batch = ReactionBatch(values, {name: torch.ones(2, FRAMES, dtype=torch.bool) for name in values})
    if kind == "temporal-av":
        model.fit_standardisation(batch)
        record = save_reaction(tmp_path, model, record)
    run = load_reaction(tmp_path)
    assert run.record == record
    assert not run.model.training
    answers = run.model.intensities(batch)
    assert torch.equal(answers, model.intensities(batch))
    assert ((answers >= 0) & (answers <= 1)).all()


def test_identity_tells_models_apart(tmp_path):
    identities = {saved(tmp_path / kind, kind)[1].identity.digest for kind in CONFIGS}
    assert len(identities) == len(CONFIGS)


def test_missing_changed_and_foreign_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"run\.json: No such file"):
        load_reaction(tmp_path)
    _, record = saved(tmp_path, "bilstm")
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="SHA-256"):
        load_reaction(tmp_path)
    weights.write_bytes(content)
    (tmp_path / "run.json").write_text(record.replace(widths={"visual": 6, "audio": 3}).model_dump_json())
    with pytest.raises(WeightsError, match="not the weights of its"):
        load_reaction(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(WeightsError, match="another version"):
        load_reaction(tmp_path)


def test_a_run_folder_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    (tmp_path / "reaction.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"reaction\.json: a reaction model of an earlier version.* Train it again"):
        load_reaction(tmp_path)


def test_a_record_says_which_labels_are_scored():
    config = CONFIGS["bilstm"]
    known = {"name": "tiny", "model": config, "widths": WIDTHS, "train_mean": (0.0,) * 7}
    known["streams"] = {name: name for name in WIDTHS}
    everything = ReactionRecord(**known)
    some = ReactionRecord(**known, labels={"reaction": ("Fear", "Amusement")})
    assert everything.emotions == everything.outputs
    assert some.emotions == ("Amusement", "Fear")
    assert some.identity != everything.identity
    for wrong in ((), ("Joy",)):
        with pytest.raises(ValueError, match="wanted some of"):
            ReactionRecord(**known, labels={"reaction": wrong})
