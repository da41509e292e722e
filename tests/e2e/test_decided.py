"""Decisions of the review page go back into the system: thresholds of one's own, and Atr-R by people."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from omnisila.decisions import Decision
from omnisila.digests import file_digest
from omnisila.errors import InputError
from omnisila.inference.run_folders import run_folder
from omnisila.models.run_files import copy_run, run_calibration
from tools.page_picture import draw

Omnisila = Callable[..., Result]


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    """What a person said about a drawn clip that shows a smiling face from about 4 to 10 s."""
    draw(tmp_path / "astronaut.mp4")
    base = Decision(
        finding="f", verdict="accepted", labels="explicit", label="positive", start_s=4.5, end_s=9.5, model_start_s=5.0,
        model_end_s=10.0, video="astronaut.mp4", video_sha256=file_digest(tmp_path / "astronaut.mp4"), duration_s=12.0,
        user="ann", decided_utc=datetime.now(UTC), score=0.5, cause="A happy face.", rating=5, analysis="a",
        model="compact@1",
    )  # fmt: skip
    lines = (base, base.replace(finding="g", video="gone.mp4", video_sha256="another"))
    (tmp_path / "decisions.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in lines))
    return tmp_path / "decisions.jsonl"


def test_decisions_fit_thresholds_of_a_copy_of_the_embedded_model(
    tmp_path: Path, decisions: Path, omnisila: Omnisila
) -> None:
    mine = tmp_path / "mine"
    refused = omnisila("calibrate", "compact", "--decisions", decisions)
    assert isinstance(refused.exception, InputError)
    assert "--out" in str(refused.exception)
    done = omnisila("calibrate", "compact", "--decisions", decisions, "--footage", tmp_path, "--out", mine)
    assert done.exit_code == 0, done.stderr
    assert "left out" in done.stderr  # the video that is gone
    assert "false alarms per hour" in done.stdout
    calibration = run_calibration(mine)
    assert calibration is not None
    assert calibration.split == "decisions of decisions.jsonl"
    assert calibration.label_sets["explicit"].operating_points[0].videos == 1
    again = omnisila("calibrate", "compact", "--decisions", decisions, "--footage", tmp_path, "--out", mine)
    assert isinstance(again.exception, InputError)
    both = omnisila("calibrate", mine, decisions, "--decisions", decisions)
    assert isinstance(both.exception, InputError)


def test_thresholds_of_a_pair_hold_for_the_pair_alone(tmp_path: Path, decisions: Path, omnisila: Omnisila) -> None:
    mine, video = tmp_path / "mine", tmp_path / "astronaut.mp4"
    given = ("--first", "compact", "--first-threshold", "0.7")
    done = omnisila("calibrate", "compact", "--decisions", decisions, "--footage", tmp_path, "--out", mine, *given)
    assert done.exit_code == 0, done.stderr
    assert "explicit: the first model rules out" in done.stderr
    calibration = run_calibration(mine)
    assert calibration is not None
    assert calibration.shortcuts.first_threshold == 0.7
    asked = ("analyze", video, "--model", mine, "--labels", "explicit", "--max-fnr", "0.5", "--out", tmp_path / "out")
    assert "other choices of --first" in str(omnisila(*asked).exception)
    assert "other choices of --first" in str(omnisila(*asked, "--first", "compact", "--first-threshold", "1").exception)
    done = omnisila(*asked, "--first", "compact")  # at the threshold that was calibrated
    assert done.exit_code == 0, done.stderr
    told = json.loads((tmp_path / "out/astronaut.mp4.json").read_text())["warnings"]
    assert any("scores of at least 0.7" in text for text in told)
    assert not any("Calibrate again" in text for text in told)


def test_findings_of_other_thresholds_are_not_kept(tmp_path: Path, decisions: Path, omnisila: Omnisila) -> None:
    mine = copy_run(run_folder("compact"), tmp_path / "mine")
    asked = ("analyze", tmp_path / "astronaut.mp4", "--model", mine, "--labels", "explicit", "--out", tmp_path / "out")
    first = ("--first", "compact")
    for option, ended in (((), "1 analysed"), ((), "1 unchanged"), (first, "1 analysed"), (first, "1 unchanged")):
        assert omnisila(*asked, *option).stderr.splitlines()[-1].startswith(ended)
    given = ("calibrate", mine, "--decisions", decisions, "--footage", tmp_path, *first, "--first-threshold", "0.7")
    assert omnisila(*given).exit_code == 0
    for option, ended in ((first, "1 analysed"), (first, "1 unchanged"), ((), "1 analysed")):
        assert omnisila(*asked, *option).stderr.splitlines()[-1].startswith(ended)


def test_ratings_flow_into_score(tmp_path: Path, decisions: Path, omnisila: Omnisila) -> None:
    example = {
        "id": "e", "video": "a.mp4", "start_s": 0.0, "end_s": 1.0, "task": "identify", "labels": "explicit",
        "instruction": "?", "answer": "positive", "truth": [], "split": "test", "group": "a",
    }  # fmt: skip
    (tmp_path / "examples.jsonl").write_text(json.dumps(example) + "\n")
    (tmp_path / "answers.csv").write_text("example_id,answer\ne,positive\n")
    out = tmp_path / "scores.json"
    given = (tmp_path / "examples.jsonl", tmp_path / "answers.csv", "--decisions", decisions, "--out", out)
    done = omnisila("score", *given, "--draws", "0")
    assert done.exit_code == 0, done.stderr
    systems = {one["system"]: one["scores"] for one in json.loads(out.read_text())}
    rated = [one for one in systems["compact@1"] if one["metric"] == "Atr-R"]
    assert rated[0]["value"] == 5.0
    assert "human 1-6" in rated[0]["variant"]
