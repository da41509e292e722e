"""``omnisila report``: what it writes from little and from much, and how it ends on bad input."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from omnisila.cli.report import report
from omnisila.errors import InputError, RecordError
from omnisila.evaluation.score_files import write_scores
from omnisila.evaluation.scoring import score_systems
from omnisila.records import append
from omnisila.schema import Example, Finding, Prediction, Span, Truth
from omnisila.systems import System

pytest.importorskip("matplotlib")


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos with an event each: the system ``half`` misses half of the first, and all of the second."""
    examples, said = [], []
    for name, label in (("a", "Arson"), ("b", "Abuse")):
        span = Span(start_s=2.0, end_s=6.0)
        examples.append(
            Example(
                id=name, video=f"{name}.mp4", start_s=0.0, end_s=10.0, task="locate", labels="anomaly", instruction="?",
                answer="", truth=(Truth(span=span, label=label),), split="test", group=name,
            )
        )  # fmt: skip
        found = Finding(span=Span(start_s=2.0, end_s=4.0), label=label, labels="anomaly", score=0.9, cause=None)
        said.append(
            Prediction(example_id=name, system="half", answer="", findings=(found,) if name == "a" else (), seconds=5.0)
        )
    append(tmp_path / "examples.jsonl", examples)
    append(tmp_path / "half.jsonl", said)
    write_scores(tmp_path / "scores.json", score_systems(examples, [System("half", said)], draws=0))
    return tmp_path


def test_scores_alone_give_tables_and_say_what_is_missing(folder: Path) -> None:
    ended = run(folder / "scores.json", "--out", folder / "out")
    assert ended.exit_code == 0
    assert "left out: Systems side by side on one video: no eventful locate example" in ended.output
    assert "left out: Emotional reaction, Table 3" in ended.output
    text = (folder / "out" / "tables.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| half | ours | 100.00 |"))
    assert row.split(" | ")[2:5] == ["100.00", "–", "50.00"]  # FNR of Abuse, none of Arrest, half of Arson's
    assert "| Hawkeye | printed | 62.50 |" in text
    assert "FNR of each label: anomaly, frames, macro over its videos" in text
    assert (folder / "out" / "tables" / "hawkeye-2.tex").is_file()
    assert (folder / "out" / "index.html").is_file()


def test_predictions_add_figures_and_inference_time(folder: Path) -> None:
    ended = run(
        folder / "scores.json", "--out", folder / "out", "--examples", folder / "examples.jsonl",
        "--predictions", folder / "half.jsonl", "--format", "markdown",
    )  # fmt: skip
    assert ended.exit_code == 0
    figures = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert {"side-by-side.svg", "inference-time.png", "per-label-anomaly-fnr-frames-micro.svg"} <= figures
    assert not (folder / "out" / "index.html").exists()
    row = next(
        line
        for line in (folder / "out" / "tables.md").read_text().splitlines()
        if line.startswith("| inference time |")
    )
    assert "30.0000" in row  # 10 s for 20 s of video


def test_bad_input_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="format 'pdf' does not exist"):
        run(folder / "scores.json", "--format", "pdf")
    with pytest.raises(InputError, match="Give --examples too"):
        run(folder / "scores.json", "--predictions", folder / "half.jsonl")
    with pytest.raises(InputError, match="no example of split 'val'"):
        run(folder / "scores.json", "--examples", folder / "examples.jsonl", "--split", "val")
    with pytest.raises(RecordError, match=r"half\.jsonl"):
        run(folder / "half.jsonl")
