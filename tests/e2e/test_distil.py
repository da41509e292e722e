"""From a teacher and footage that nobody labelled to a compact model of the teacher's labels."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from omnisila.digests import file_digest
from omnisila.errors import InputError, LabelError
from omnisila.models.checkpoint import load_run
from omnisila.models.run_files import CALIBRATION
from omnisila.operating_points import Calibration
from omnisila.recipes.shipping.lessons import TeacherAnswers, select_believed
from omnisila.schema import Analysis, CurvePoint
from tests.conftest import write_video

Omnisila = Callable[..., Result]
MOVES = "name: moves\nquiet: Still\nlabels:\n  Moving: something moves\n  Still: nothing moves\n"
WINDOWS = 3


def paint(moves: bool, number: int) -> Callable[[int, int, int], np.ndarray]:
    """Noise of a brightness of its own; a bright block crosses it, or stands."""
    noise = np.random.default_rng(number).integers(0, 60, (48, 64, 3)) + 15 * (number % 8)

    def picture(index: int, width_px: int, height_px: int) -> np.ndarray:
        drawn = noise[:height_px, :width_px].astype(np.uint8).copy()
        left = (5 * index if moves else 20) % (width_px - 16)
        drawn[16:32, left : left + 16] = (250, 250, 250)
        return drawn

    return picture


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    (tmp_path / "footage").mkdir()
    (tmp_path / "moves.yaml").write_text(MOVES)
    for number in range(8):
        write_video(tmp_path / f"footage/{number}.mp4", frames=12 * WINDOWS, paint=paint(number % 2 == 0, number))
    return tmp_path / "footage"


def examples(path: Path, numbers: list[int], split: str = "train") -> Path:
    lines = [
        {
            "id": f"{n}#0", "video": f"{n}.mp4", "start_s": 0.0, "end_s": float(WINDOWS), "task": "identify",
            "labels": "moves", "instruction": "?", "answer": "Still" if n % 2 else "Moving", "split": split,
            "group": f"{n}.mp4",
        }
        for n in numbers
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def curve(omnisila: Omnisila, model: Path, labels: Path, clip: Path, out: Path) -> np.ndarray:
    """P(Moving) of each window."""
    done = omnisila("analyze", clip, "--model", model, "--labels", labels, "--out", out, "--format", "json")
    assert done.exit_code == 0, done.stderr
    found = Analysis.model_validate_json((out / f"{clip.name}.json").read_text())
    return np.array([point.posterior["moves"]["Moving"] for point in found.anomaly_curve])


def test_a_student_with_a_teacher_is_better_than_one_without(footage: Path, tmp_path: Path, omnisila: Omnisila):
    labels = tmp_path / "moves.yaml"
    given = ("train", "distil", "--footage", footage, "--labels", labels)
    teacher, alone, taught = (tmp_path / name for name in ("teacher", "alone", "taught"))
    many = examples(tmp_path / "many.jsonl", list(range(6)))
    few = examples(tmp_path / "few.jsonl", [6, 7])
    done = omnisila(*given, "--examples", many, "--out", teacher)
    assert done.exit_code == 0, done.stderr
    assert load_run(teacher).record.labels == {"moves": ("Moving", "Still")}
    assert omnisila(*given, "--examples", few, "--out", alone).exit_code == 0
    done = omnisila(*given, "--examples", few, "--teacher", teacher, "--taught", many, "--out", taught)
    assert done.exit_code == 0, done.stderr
    assert "answers 2 of 8 videos" in done.stderr, "six are of sources that it was trained on"
    (tmp_path / "few.jsonl").touch()
    unheld = omnisila(*given, "--examples", few, "--teacher", teacher, "--out", taught)
    assert "nothing is held back" in unheld.stderr
    assert "answers 8 of 8 videos" in unheld.stderr
    held_out = examples(tmp_path / "held_out.jsonl", [0, 1], "val")
    calibration = Calibration(label_sets={}, split="drawn", grid_hz=8.0)
    (teacher / CALIBRATION).write_text(calibration.model_dump_json())
    given_more = ("--examples", few, "--teacher", teacher, "--taught", held_out, "--out", tmp_path / "tested")
    tested = omnisila(*given, *given_more)
    assert "2 of 8 videos are of val or test splits" in tested.stderr
    assert "answers 6 of 6 videos" in tested.stderr
    answers = [kept.parent.name for out in (taught, tmp_path / "tested") for kept in out.rglob("teachers/*/*.json")]
    assert len(set(answers)) == 2, "answers of the teacher as it was calibrated then are others"
    wrong = {alone: 0.0, taught: 0.0}
    for number in (8, 9, 10, 11):
        clip = write_video(tmp_path / f"{number}.mp4", frames=12 * WINDOWS, paint=paint(number % 2 == 0, number + 3))
        for model in wrong:
            moving = curve(omnisila, model, labels, clip, tmp_path / "out" / model.name)
            wrong[model] += float(-np.log(moving if number % 2 == 0 else 1 - moving).sum())
    assert wrong[taught] < wrong[alone]


@pytest.mark.parametrize("agreement", ["windows", "asked"])
def test_any_video_llm_teaches_labels_of_ones_own(
    agreement: str, footage: Path, video_llava_folder: Path, tmp_path: Path, omnisila: Omnisila
):
    for path in sorted(footage.iterdir())[3:]:
        path.unlink()
    given = ("train", "distil", "--footage", footage, "--labels", tmp_path / "moves.yaml", "--out", tmp_path / "mine")
    done = omnisila(*given, "--teacher", video_llava_folder, "--agreement", agreement)
    kept = list((tmp_path / "mine/state/teachers").rglob("*.json"))
    assert len(kept) == 3
    said = TeacherAnswers.model_validate_json(kept[0].read_bytes())
    assert all(finding.cause_by == "model" for finding in said.analysis.findings)
    if agreement == "asked":  # an untrained model names no label
        assert said.asked == {"moves": (None,) * WINDOWS}
        assert "no window that a teacher answers" in str(done.exception)
        return
    assert done.exit_code == 0, done.stderr
    assert "windows with a teacher's answer are believed" in done.stderr
    digests = {path: file_digest(path) for path in kept}
    assert omnisila(*given, "--teacher", video_llava_folder).exit_code == 0
    assert {path: file_digest(path) for path in kept} == digests
    moving = curve(omnisila, tmp_path / "mine", tmp_path / "moves.yaml", footage / "0.mp4", tmp_path / "out")
    heard = [point.posterior["moves"]["Moving"] for point in said.analysis.anomaly_curve]
    assert len(moving) == len(heard)
    known = examples(tmp_path / "known.jsonl", [0])
    told = omnisila(
        "calibrate", tmp_path / "mine", known, "--labels", tmp_path / "moves.yaml", "--split", "train",
        "--footage", footage,
    )  # fmt: skip
    assert "nothing to calibrate on" in str(told.exception), "the labels are known; the examples have no times"


def points(*labels: str) -> list[CurvePoint]:
    shares = {"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.2, "b": 0.8}}
    return [
        CurvePoint(start_s=float(n), end_s=n + 1.0, score=0.0, posterior={"set": shares[label]})
        for n, label in enumerate(labels)
    ]


def test_a_label_that_no_neighbour_shares_is_not_believed():
    assert select_believed(points(*"aabaa"), "set", None, "windows") == [True, True, False, True, True]
    assert select_believed(points(*"abb"), "set", None, "windows") == [False, True, True]
    assert select_believed(points("a"), "set", None, "windows") == [True]
    assert select_believed(points(*"ab"), "set", ("a", None), "asked") == [True, False]
    assert select_believed(points(*"ab"), "set", None, "none") == [True, True]


def test_what_cannot_teach_is_refused(footage: Path, omnisila: Omnisila):
    assert "nothing teaches" in str(omnisila("train", "distil", "--footage", footage).exception)
    reaction = omnisila("train", "distil", "--footage", footage, "--teacher", "compact-reaction")
    assert isinstance(reaction.exception, InputError)
    assert isinstance(omnisila("train", "distil", "--footage", footage, "--teacher", "no").exception, InputError)
    unknown = omnisila("train", "distil", "--footage", footage, "--teacher", "compact", "--labels", "none")
    assert isinstance(unknown.exception, LabelError)
