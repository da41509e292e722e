"""Each family of plain Video-LLMs from the command line, on a tiny checkpoint that transformers saved."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from omnisila.errors import WeightsError
from tests.unit.models.backbones.conftest import FAMILIES, TEXT, chat_tokenizer


def checkpoint(folder: Path, family: str) -> Path:
    """A folder as ``save_pretrained`` writes it; its model reads long prompts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TEXT, "max_position_embeddings", 8192)
        FAMILIES[family]().save_pretrained(folder)
    chat_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_clip_is_analysed(
    family: str, omnisila: Callable[..., Result], make_video: Callable[..., Path], tmp_path: Path
):
    clip, model = make_video("clip.mp4", frames=24, rate_hz=12), checkpoint(tmp_path / family, family)
    out = tmp_path / "out"
    result = omnisila("analyze", clip, "--model", model, "--labels", "explicit", "--scene-text", "--out", out)
    assert result.exit_code == 0, result.stderr
    found = json.loads((out / "clip.mp4.json").read_text())
    assert found["model"]["name"] == str(model)
    assert len(found["anomaly_curve"]) == 2
    assert {one["cause_by"] for one in found["findings"]} <= {"model"}
    page = (out / "clip.mp4.html").read_text()
    assert ("own unchecked words" in page) == any(one["cause"] for one in found["findings"])


def test_quietly_nothing_is_drawn_while_weights_are_loaded(make_video: Callable[..., Path], tmp_path: Path):
    clip, model = make_video("clip.mp4", frames=12, rate_hz=12), checkpoint(tmp_path / "smolvlm", "smolvlm")
    given = [clip, "--model", model, "--labels", "explicit", "--out", tmp_path / "out", "--quiet"]
    environment = {**os.environ, "OMNISILA_CACHE": str(tmp_path / "cache")}
    environment.pop("HF_HUB_DISABLE_PROGRESS_BARS", None)
    said = subprocess.run(
        [sys.executable, "-m", "omnisila", "analyze", *map(str, given)], env=environment, capture_output=True, text=True
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_what_is_no_video_llm_is_refused_with_the_families(
    omnisila: Callable[..., Result], make_video: Callable[..., Path], tmp_path: Path
):
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text('{"model_type": "llama"}')
    result = omnisila("analyze", make_video("clip.mp4"), "--model", tmp_path / "llama")
    assert isinstance(result.exception, WeightsError)  # one line and status 2 in a process of its own
    assert "wanted one of: internvl, llava_onevision" in str(result.exception)
