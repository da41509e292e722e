"""``train icm`` on drawn clips with a tiny Video-LLaVA, in one process and in two."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from omnisila.models.checkpoint import load_run
from omnisila.records import append, records
from omnisila.schema import Analysis, Example, Span, Truth
from omnisila.training.log import LOSSES, LoggedStep

STEPS = {"scene": 2, "task": 4}
RECIPE = {
    "name": "tiny",
    "expert": {"width": 16, "num_layers": 1, "num_heads": 2},
    "iec": {"centres": 4},
    "left_out": ["face", "relation"],
    "scene_tuning": {"batch_size": 4, "part_size": 2, "epochs": 1, "workers": 0},
    "task_tuning": {"batch_size": 4, "part_size": 2, "epochs": 2, "workers": 0},
    "loop": {"save_every": 1, "bfloat16": False, "optim": {"learning_rate": 0.01}},
}


def picture(index: int, width_px: int, height_px: int) -> np.ndarray:
    noise = np.random.default_rng(index // 12).integers(0, 255, (height_px // 8, width_px // 8, 3), dtype=np.uint8)
    return noise.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture
def material(make_video: Callable[..., Path], tmp_path: Path, video_llava_folder: Path) -> list[str]:
    """The command's arguments for two videos of 4 s, each second a question, and one file that is no video."""
    footage = tmp_path / "footage"
    for name in ("a", "b"):
        make_video(f"footage/{name}.mp4", frames=48, rate_hz=12, paint=picture)
    (footage / "broken.mp4").write_text("This is no video.")
    fields = {"split": "train", "group": "g"}
    task = [
        Example(id=f"{video}#{k}", video=f"{video}.mp4", start_s=k, end_s=k + 1, task="identify", labels="implicit",
                instruction="Which event does this video show?", answer=("Fire", "Normal")[k % 2], **fields)  # type: ignore[arg-type]
        for video in ("a", "b") for k in range(4)
    ]  # fmt: skip
    scenes = [
        one.replace(id=f"{one.id}-d", task="describe", labels="background", answer="a wall",
                    instruction="Please describe the background.")
        for one in task
    ]  # fmt: skip
    task += [
        Example(id=f"{video}#locate", video=f"{video}.mp4", start_s=0, end_s=4, task="locate", labels="implicit",
                instruction="When?", answer="?", split="val", group="g", truth=(Truth(
                    span=Span(start_s=k, end_s=k + 1), label="Fire") for k in (0, 2)))  # type: ignore[arg-type]
        for video in ("a", "b")
    ]  # fmt: skip
    unreadable = task[0].replace(id="broken#0", video="broken.mp4")
    append(tmp_path / "task.jsonl", [*task, unreadable, task[0].replace(id="later", split="test", video="no.mp4")])
    append(tmp_path / "scenes.jsonl", scenes)
    backbone = {"source": str(video_llava_folder), "precision": "float32", "lora": {"rank": 4, "dropout": 0.0}}
    (tmp_path / "recipe.json").write_text(json.dumps({**RECIPE, "backbone": backbone}))
    return ["train", "icm", str(tmp_path / "task.jsonl"), "--footage", str(footage),
            "--scenes", str(tmp_path / "scenes.jsonl"), "--recipe", str(tmp_path / "recipe.json"),
            "--extractors", "embedded"]  # fmt: skip


def losses(out: Path) -> list[tuple[str, int, float]]:
    return [(line.stage, line.step, line.loss) for line in records(out / LOSSES, LoggedStep)]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "OMNISILA_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


def test_both_stages_end_in_a_run_folder(
    omnisila: Callable[..., Result], material: list[str], cache_folder: Path, tmp_path: Path
) -> None:
    straight = tmp_path / "straight"
    result = omnisila(*material, "--out", straight)

    assert result.exit_code == 0, result.stderr
    assert "broken.mp4" in result.stderr
    assert "1 of 9 examples are left out: 1 videos cannot be read" in result.stderr
    steps = losses(straight)
    assert [(stage, step) for stage, step, _ in steps] == [(s, k) for s, count in STEPS.items() for k in range(count)]
    run = load_run(straight)
    assert run.record.labels == {"implicit": ("Fire", "Normal")}
    assert {path.name for path in (straight / "adapter").iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json",
    }  # fmt: skip
    assert not (straight / "model.safetensors").exists(), "the base model's weights are not copied"
    assert any(parameter.abs().max() > 0 for name, parameter in run.model.named_parameters() if "lora_B" in name)

    result = omnisila("calibrate", straight, material[2], "--footage", material[4])
    assert result.exit_code == 0, result.stderr
    assert "at most 50% missed per video (empirical)" in result.stdout

    report = tmp_path / "report"
    video = tmp_path / "footage/a.mp4"
    result = omnisila("analyze", video, "--model", straight, "--labels", "implicit", "--out", report)
    assert result.exit_code == 0, result.stderr
    analysis = Analysis.model_validate_json((report / "a.mp4.json").read_text())
    assert analysis.model.name == "tiny"
    assert [point.posterior["implicit"].keys() for point in analysis.anomaly_curve] == [{"Fire", "Normal"}] * 4

    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "omnisila", *material, "--out", str(killed), "--quiet"]
    child = subprocess.Popen(command, env=environment(cache_folder), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        if (killed / LOSSES).exists() and len(losses(killed)) >= 4:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (killed / "run.json").exists()
    result = omnisila(*material, "--out", killed)
    assert result.exit_code == 0, result.stderr
    assert losses(killed) == steps, "resumed is straight"
    for name, parameter in load_run(killed).model.named_parameters():
        assert torch.equal(parameter, run.model.get_parameter(name)), name


def test_two_processes_take_the_path_of_one(
    omnisila: Callable[..., Result], material: list[str], cache_folder: Path, tmp_path: Path
) -> None:
    assert omnisila(*material, "--out", tmp_path / "one").exit_code == 0
    two = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "omnisila"]
    done = subprocess.run(
        [*command, *material, "--out", str(two)], env=environment(cache_folder), capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert (two / "run.json").exists(), done.stderr
    for (stage, step, alone), (_, _, together) in zip(losses(tmp_path / "one"), losses(two), strict=True):
        assert together == pytest.approx(alone, rel=2e-3), (stage, step)
    assert load_run(two).record.labels == {"implicit": ("Fire", "Normal")}


def test_what_cannot_be_trained_says_why(omnisila: Callable[..., Result], material: list[str], tmp_path: Path) -> None:
    place = material.index("--scenes")
    told = omnisila(*material[:place], *material[place + 2 :], "--out", tmp_path / "x").exception
    assert "Give --scenes" in str(told)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("")
    told = omnisila("train", "icm", nothing, *material[3:], "--out", tmp_path / "x").exception
    assert "holds no example" in str(told)
    unreadable = tmp_path / "unreadable.jsonl"
    unreadable.write_text(re.sub(r"\b[ab]\.mp4", "broken.mp4", Path(material[2]).read_text()))
    told = omnisila("train", "icm", unreadable, *material[3:], "--out", tmp_path / "x").exception
    assert "no video to train on" in str(told)
    told = omnisila(*material, "--recipe", "without-everything", "--out", tmp_path / "x").exception
    assert "Choose from: full, without-sbm" in str(told)
