"""``omnisila score`` and ``predict`` on a user's own set: which split, what was left out, and how it is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from omnisila.cli.predict import predict
from omnisila.cli.score import score
from omnisila.errors import InputError
from omnisila.evaluation.score_files import read_scores
from omnisila.labels import EXPLICIT
from omnisila.schema import Example, Span, Truth


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in the test's folder."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(score)
    app.command()(predict)
    return lambda *words: CliRunner().invoke(app, list(words))


def example(video: str, split: str = "train") -> Example:
    truth = (Truth(span=Span(start_s=1.0, end_s=3.0), label="negative"),)
    return Example.model_validate({
        "id": f"set/{video}#locate", "video": f"{video}.mp4", "start_s": 0.0, "end_s": 9.0, "task": "locate",
        "labels": "explicit", "instruction": EXPLICIT.locate, "answer": "negative from 1s to 3s", "truth": truth,
        "split": split, "group": video,
    })  # fmt: skip


def write(*examples: Example) -> None:
    Path("examples.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in examples))


def test_a_set_with_one_split_is_scored_by_it_and_everything_odd_is_told(run: Callable[..., Result]) -> None:
    write(example("a"), example("b"))
    Path("theirs.csv").write_text(
        "video,start_s,end_s,label,score\na,1,3,n,0.5\na,2,9999,p,0.5\na,4,4,n,0.5\nzzz,1,2,n,0.9\n"
    )
    result = run("score", "examples.jsonl", "theirs.csv", "--draws", "0")
    assert result.exit_code == 0, result.exception
    assert result.stdout.splitlines() == [
        "examples.jsonl: 2 examples of split train",
        "theirs: 2 predictions of 2 examples",
        "  no example: zzz",
        "  videos without a span in it: 1, taken as nothing found",
        "  explicit spans that fit no video: 1 unknown video, 1 empty or inverted, 1 clipped; average precision takes "
        "them as they were said",
        "scores.json: tables and figures with omnisila report scores.json",
    ]


def test_of_several_splits_test_is_scored_and_the_others_answers_are_no_strangers(run: Callable[..., Result]) -> None:
    write(example("a"), example("b", "test"))
    Path("theirs.csv").write_text("video,start_s,end_s,label,score\na,1,3,n,0.5\nb,1,3,n,0.5\n")
    result = run("score", "examples.jsonl", "theirs.csv", "--draws", "0")
    assert "1 examples of split test" in result.stdout
    assert "no example" not in result.stdout
    found = {(s.metric, s.variant): s.value for s in read_scores(Path("scores.json"))[0].scores}
    rule = "mean of 0.1, 0.2, 0.3; ActivityNet interpolation, ties by input order"
    assert found["mAP@tIoU", f"explicit; {rule}"] == 1.0


@pytest.mark.parametrize("command", ["score", "predict"])
def test_a_split_that_is_not_there_is_told_before_the_work(run: Callable[..., Result], command: str) -> None:
    write(example("a"), example("b", "val"))
    words = {"score": ("none.jsonl",), "predict": ("--footage", ".", "--model", "compact")}[command]
    result = run(command, "examples.jsonl", *words, "--split", "test")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).endswith("no example of split 'test'. Choose with --split from: train (1), val (1).")
    if command == "score":
        assert "no example of split 'test'" in str(run(command, "examples.jsonl", *words).exception)


def test_old_answers_are_told_and_redone(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(example, video):\n    return example.answer\n")
    for name in ("a.mp4", "b.mp4"):
        Path(name).write_bytes(b"a video")
    answer = ("predict", "examples.jsonl", "--footage", ".", "--model", "mine:answer")
    both = [example("a"), example("b")]
    write(*both)
    assert run(*answer).exit_code == 0
    write(both[0], both[1].replace(end_s=8.0))
    told = run("score", "examples.jsonl", "predictions.jsonl", "--draws", "0").stdout
    assert "mine:answer: 1 predictions of 2 examples\n  1 left out: they answer other times" in told
    again = run(*answer)
    assert "predictions.jsonl: 1 answers, 1 from before" in again.stderr
    assert "1 answers from before were to other times, questions or footage" in again.stderr
    told = run("score", "examples.jsonl", "predictions.jsonl", "--draws", "0").stdout
    assert "2 predictions of 2 examples\nscores.json" in told
    (line,) = Path("predictions.outdated.jsonl").read_text().splitlines()
    assert json.loads(line)["example_id"] == "set/b#locate"
