"""A run folder gives back the model that was saved, or says what is wrong with it."""

import hashlib
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from omnisila.errors import WeightsError
from omnisila.models.checkpoint import RunRecord, load_run, save_run
from omnisila.models.likelihood import answer_likelihood
from omnisila.models.run_files import LANGUAGE, RUN, SCENE
from omnisila.operating_points import Calibration


@pytest.fixture
def saved(make_tiny, tmp_path):
    """A tiny model, its run folder, and what ``run.json`` says."""
    tiny = make_tiny()
    record = RunRecord(name="tiny", icm=tiny.icm, video_llm=tiny.compact, labels={"implicit": ("Fighting", "Normal")})
    calibration = Calibration(label_sets={}, split="none", grid_hz=8.0)
    return tiny.model, tmp_path, save_run(tmp_path, tiny.model, record, calibration, half=False)


def likelihoods(model: Any, windows: Any) -> torch.Tensor:
    with torch.no_grad():
        return answer_likelihood(
            model, windows.scenes, windows.visual, ["Which event?"] * 3, ["Fighting", "Normal"]
        ).log_probs


def test_a_loaded_run_answers_as_the_saved_one(saved, make_windows):
    model, folder, record = saved
    run = load_run(folder)
    assert torch.equal(likelihoods(model, make_windows()), likelihoods(run.model, make_windows()))
    assert run.record == record
    assert run.calibration is not None
    assert not run.model.training


def test_float16_on_disk_changes_likelihoods_little_and_keeps_statistics(make_tiny, make_windows, tmp_path):
    tiny, windows = make_tiny(), make_windows()
    tiny.model.experts["face"].standardise.fit(torch.randn(50, 5) * 1e6 + 7e6)  # beyond float16
    record = RunRecord(name="tiny", icm=tiny.icm, video_llm=tiny.compact, labels={})
    save_run(tmp_path, tiny.model, record)
    run = load_run(tmp_path)
    assert run.calibration is None
    name = "experts.face.standardise.mean"
    assert torch.equal(run.model.state_dict()[name], tiny.model.state_dict()[name])
    torch.testing.assert_close(likelihoods(run.model, windows), likelihoods(tiny.model, windows), atol=0.05, rtol=0.01)


@pytest.mark.parametrize("changes", [{"sbm": None}, {"iec": None}, {"features": {"action": 6}}])
def test_every_ablation_survives_saving(make_tiny, make_windows, tmp_path, changes):
    tiny = make_tiny(**changes)
    record = RunRecord(name="ablation", icm=tiny.icm, video_llm=tiny.compact, labels={})
    save_run(tmp_path, tiny.model, record, half=False)
    assert torch.equal(likelihoods(tiny.model, make_windows()), likelihoods(load_run(tmp_path).model, make_windows()))


def test_language_model_and_scene_side_lie_in_their_own_files(saved):
    _, folder, _ = saved
    language, scene = load_file(folder / LANGUAGE), load_file(folder / SCENE)
    assert {key.split(".")[0] for key in language} == {"language_model", "projector", "standardise"}
    assert {key.split(".")[0] for key in scene} == {"experts", "sbm", "iec", "norm", "projector"}


def test_the_identity_follows_weights_and_not_names(saved, tmp_path):
    model, _, record = saved
    assert record.identity.digest == record.replace(name="other").identity.digest
    with torch.no_grad():
        model.norm.bias.add_(1.0)
    assert save_run(tmp_path / "b", model, record, half=False).identity.digest != record.identity.digest


def test_a_missing_folder_or_file_is_named(saved, tmp_path):
    _, folder, _ = saved
    with pytest.raises(WeightsError, match=r"nowhere/run\.json: No such file"):
        load_run(tmp_path / "nowhere")
    (folder / SCENE).unlink()
    with pytest.raises(WeightsError, match=r"scene\.safetensors: No such file"):
        load_run(folder)


def test_a_changed_file_is_noticed(saved):
    _, folder, _ = saved
    data = bytearray((folder / LANGUAGE).read_bytes())
    data[-1] ^= 1
    (folder / LANGUAGE).write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.safetensors: SHA-256 is"):
        load_run(folder)


def test_missing_left_over_and_misshapen_tensors_are_all_named(saved):
    model, folder, record = saved
    tensors = load_file(folder / SCENE)
    tensors["stranger"] = tensors.pop("norm.bias")
    tensors["norm.weight"] = torch.zeros(3)
    rewrite(folder, record, SCENE, save(tensors))
    with pytest.raises(WeightsError) as caught:
        load_run(folder)
    message = str(caught.value)
    assert "1 missing (norm.bias)" in message
    assert "1 left over (stranger)" in message
    assert f"norm.weight is (3,), wanted {tuple(model.norm.weight.shape)}" in message


def test_a_file_that_is_no_safetensors_and_a_record_of_another_version_are_named(saved):
    _, folder, record = saved
    rewrite(folder, record, SCENE, b"nothing of the kind")
    with pytest.raises(WeightsError, match="no safetensors file"):
        load_run(folder)
    content = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps(content | {"unknown": 1}))
    with pytest.raises(WeightsError, match=r"run\.json: unknown"):
        load_run(folder)


def rewrite(folder, record, name, content):
    """Put other content under a file's name, with the hash that belongs to it."""
    (folder / name).write_bytes(content)
    changed = record.replace(sha256=record.sha256 | {name: hashlib.sha256(content).hexdigest()})
    (folder / RUN).write_text(changed.model_dump_json())
