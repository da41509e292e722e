"""The benchmark of a plain Video-LLaVA runs at toy shapes, from a checkpoint that it writes to a cause."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, VideoLlavaForConditionalGeneration

from benchmarks import video_llava_7b
from benchmarks.icm_7b_networks import TINY, TRUE


def test_the_tiny_run_goes_from_load_to_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny.json"
    video_llava_7b.main(["--tiny", "--layers", "1", "2", "--cause-tokens", "4", "--out", str(out)])
    result = json.loads(out.read_text())
    assert result == json.loads(capsys.readouterr().out)
    for run, layers in zip(result["runs"], (1, 2), strict=True):
        assert run["layers"] == layers
        assert run["windows"] == 1
        assert run["posterior_sum"] == pytest.approx(1.0, abs=1e-3)
        assert run["tokens_of_a_prompt"] > 8 * 5  # a class token and four patches of each frame
        assert {"write", "load", "features", "locate", "attribute"} == run["seconds"].keys()
        assert all(value > 0 for value in run["seconds"].values())
    assert result["extrapolated"]["layers"] == 32


def test_a_checkpoint_has_the_tensors_that_transformers_saves(tmp_path: Path) -> None:
    written = video_llava_7b.write_checkpoint(TINY, tmp_path / "ours")
    names = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())["weight_map"]
    model = VideoLlavaForConditionalGeneration(AutoConfig.from_pretrained(tmp_path / "ours"))
    assert set(names) == set(model.state_dict())
    assert written == 2 * sum(tensor.numel() for tensor in model.state_dict().values())


def test_what_is_extrapolated_lies_on_the_line() -> None:
    few, more = ({"layers": n, "seconds": {"load": 2.0 + n}, "anonymous_gib": {"load": 1.0 * n}} for n in (4, 8))
    found = video_llava_7b.extrapolated(few, more, TRUE.text["num_hidden_layers"])
    assert found == {"layers": 32, "seconds": {"load": 34.0}, "anonymous_gib": {"load": 32.0}}
