"""``omnisila batch`` as a user runs it: what ``analyze`` gives, with a ledger."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

from omnisila.schema import Analysis

Run = Callable[..., Result]
Make = Callable[..., Path]


def test_a_folder_becomes_a_ledger_and_the_results_of_analyze(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    make_video("in/a/clip.mp4", frames=24)
    make_video("in/b.mp4", frames=36)
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    given: tuple[Any, ...] = (tmp_path / "in", "--labels", "implicit", "--format", "html")
    out, command = tmp_path / "out", ("--engine", "pool", "--workers", "1")
    ended = omnisila("batch", *given, "--out", out, *command)
    assert ended.exit_code == 1, ended.output
    assert ended.stderr.count("failed: ") == 1
    assert "2 done, 0 skipped, 1 failed" in ended.stderr
    ends = {end["name"]: end for end in map(json.loads, (out / "ledger.jsonl").read_text().splitlines())}
    assert {name: end["state"] for name, end in ends.items()} == {
        "a/clip.mp4": "done", "b.mp4": "done", "bad.mp4": "failed",
    }  # fmt: skip
    assert str(tmp_path / "in" / "bad.mp4") in ends["bad.mp4"]["reason"]
    assert omnisila("analyze", *given, "--out", tmp_path / "one").exit_code == 1
    for name in ("a/clip.mp4", "b.mp4"):
        made, wanted = (
            Analysis.model_validate_json((folder / f"{name}.json").read_bytes()).replace(timings_s={})
            for folder in (out, tmp_path / "one")
        )
        assert made == wanted
        assert "Open the original video" in (out / f"{name}.html").read_text()
    page = (out / "index.html").read_text()
    assert 'href="a/clip.mp4.html"' in page
    assert "3 videos" in page
    assert 'http-equiv="refresh"' not in page
    again = omnisila("batch", *given, "--out", out, *command)
    assert "going on: 3 of 3 have ended before" in again.stderr
    other = omnisila("batch", *given, "--out", out, *command, "--max-fnr", "0.1")
    assert "max_fnr None, not 0.1" in str(other.exception)


def test_a_cluster_is_not_for_the_pool(omnisila: Run, tmp_path: Path) -> None:
    given = ("--out", tmp_path / "out", "--engine", "pool", "--address", "ray://head:10001")
    ended = omnisila("batch", "a.mp4", *given)
    assert ended.exit_code == 2
    assert "a cluster needs --engine ray" in ended.stderr
