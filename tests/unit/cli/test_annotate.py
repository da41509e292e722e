"""``omnisila annotate`` as a user meets it, with annotations in TSL-300's form and a server on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from omnisila.cli.annotate import annotate
from omnisila.data.causes.annotator import read_causes
from omnisila.data.causes.checking import read_sheet
from omnisila.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    """TSL-300 with two segments in a video that is there and one in a video that is not."""
    make_video("footage/a.mp4")
    segments = {
        "a": [{"segment": ["0.0", "1.0"], "label": "n"}, {"segment": ["1.0", "2.0"], "label": "p"}],
        "b": [{"segment": ["0.5", "1.0"], "label": "p"}],
    }
    videos = {name: {"subset": "train", "annotations": annotations} for name, annotations in segments.items()}
    (tmp_path / "videosenti_gt.json").write_text(json.dumps({"database": videos}))
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[..., Result]:
    """Run the command on the folder; more options may follow."""
    app = typer.Typer()
    app.command()(annotate)

    def run(base_url: str, *options: str) -> Result:
        fixed = ["tsl300", str(folder), "--footage", str(folder / "footage"), "--out", str(folder / "causes.jsonl")]
        asked = ["--base-url", base_url, "--model", "seer", "--key-variable", "TEST_KEY"]
        return CliRunner().invoke(app, [*fixed, *asked, *options])

    return run


def test_an_estimate_asks_nothing(chat_server: Callable[..., Any], run: Callable[..., Result], folder: Path) -> None:
    server = chat_server()
    result = run(server.base_url, "--estimate", "--price-in", "2.5", "--price-out", "10")
    assert result.exit_code == 0
    assert result.stdout.startswith("2 spans to write, 0 done: about 10 requests with 64 pictures, about ")
    assert "price about 0.0" in result.stdout
    assert server.requests == 0
    assert not (folder / "causes.jsonl").exists()


def test_a_missing_video_is_told_once_and_its_spans_are_not_counted(
    chat_server: Callable[..., Any], run: Callable[..., Result], folder: Path
) -> None:
    result = run(chat_server().base_url)
    assert result.exit_code == 0
    assert f"1 left out: video missing in {folder / 'footage'}" in result.stderr
    assert "(b.mp4)" in result.stderr
    assert "2 spans to write, 0 done" in result.stderr
    assert "failed" not in result.stderr
    (folder / "footage/a.mp4").unlink()
    none = run(chat_server().base_url)
    assert isinstance(none.exception, InputError)
    assert "none of the 3 spans' videos is there" in str(none.exception)


def test_causes_are_written_and_the_unreadable_video_is_named(
    chat_server: Callable[..., Any], run: Callable[..., Result], folder: Path
) -> None:
    (folder / "footage/b.mp4").write_bytes(b"no video")
    server = chat_server(refused=[429])
    result = run(server.base_url, "--sheet", str(folder / "check.csv"))
    assert result.exit_code == 1
    assert "failed: tsl300/b#500-1000-positive: " in result.stderr
    assert "1 of 3 spans stay without a cause" in result.stderr
    assert [one.cause for one in read_causes(folder / "causes.jsonl")] == ["a man runs away"] * 2
    assert len(read_sheet(folder / "check.csv").unchecked) == 2
    assert server.requests == 11
    again = run(server.base_url)
    assert again.exit_code == 1
    assert "1 spans to write, 2 done" in again.stderr
    assert server.requests == 11


def test_a_wrong_setting_is_named(chat_server: Callable[..., Any], run: Callable[..., Result]) -> None:
    result = run(chat_server().base_url, "--requests-per-minute", "0")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("requests_per_minute: wanted greater than 0 (given: 0.0)")
