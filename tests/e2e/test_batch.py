"""``omnisila batch`` as a user runs it: what ``analyze`` gives, with a ledger."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from omnisila.cli.app import app
from omnisila.errors import EndpointError
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


def test_it_has_the_options_of_analyze() -> None:
    commands: Any = get_command(app)
    has = {name: {param.name: param for param in commands.commands[name].params} for name in ("analyze", "batch")}
    assert has["analyze"].keys() - has["batch"].keys() == {"videos", "cut", "as_json"}
    for name in has["analyze"].keys() & has["batch"].keys() - {"out", "formats"}:
        mine, other = has["batch"][name], has["analyze"][name]
        assert (mine.opts, mine.default, mine.help) == (other.opts, other.default, other.help)


def test_a_cluster_is_not_for_the_pool(omnisila: Run, tmp_path: Path) -> None:
    given = ("--out", tmp_path / "out", "--engine", "pool", "--address", "ray://head:10001")
    ended = omnisila("batch", "a.mp4", *given)
    assert ended.exit_code == 2
    assert "a cluster needs --engine ray" in ended.stderr


def test_a_first_model_goes_before_a_larger_one(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip = make_video("clip.mp4", frames=36)
    asked = ("--model", "compact-hawkeye", "--labels", "anomaly", "--first", "compact", "--first-threshold", "0.5")
    ended = omnisila("batch", clip, *asked, "--out", tmp_path / "out", "--engine", "pool", "--workers", "1")
    assert ended.exit_code == 0, ended.output
    assert omnisila("analyze", clip, *asked, "--out", tmp_path / "one").exit_code == 0
    made, wanted = (
        Analysis.model_validate_json((tmp_path / folder / "clip.mp4.json").read_bytes()).replace(timings_s={})
        for folder in ("out", "one")
    )
    assert made == wanted
    other = omnisila("batch", clip, *asked[:-1], "0.6", "--out", tmp_path / "out", "--engine", "pool")
    assert "another run" in str(other.exception)


KEY = "sk-271828"


@pytest.fixture
def asked(chat_server: Any, make_video: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, tuple[Any, ...]]:
    """A server and the options to ask it about a folder of two videos."""

    def weights(question: str, pictures: Any) -> Any:
        if pictures and server.fault is not None:
            return server.fault
        return {"B": -0.1, "A": -3.0} if "capital letter B" in question else {"A": -0.1, "L": -3.0}  # A: Fighting

    server = chat_server(weights=weights)
    server.fault = None
    monkeypatch.setenv("TEST_KEY", KEY)
    folder = make_video("in/a.mp4", frames=24, rate_hz=12).parent
    make_video("in/b.mp4", frames=36, rate_hz=12)
    model = (
        "--model",
        "openai:seer",
        "--base-url",
        server.base_url,
        "--key-variable",
        "TEST_KEY",
        "--labels",
        "implicit",
    )
    return server, (folder, *model, "--engine", "pool", "--retries", "0")


def test_a_model_behind_an_endpoint_works_through_a_batch(omnisila: Run, asked: Any, tmp_path: Path) -> None:
    server, given = asked
    out = tmp_path / "out"
    told = omnisila("batch", *given, "--out", out, "--estimate", "--price-in", "2.5", "--price-out", "10")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("openai:seer: about 5 requests with 40 pictures, about ")
    assert "price about 0.03" in told.stdout
    assert not any(server.pictures)
    assert not out.exists()
    began, pace = len(server.asked), ("--workers", "2", "--parallel", "2", "--requests-per-minute", "6000")
    ended = omnisila("batch", *given, "--out", out, *pace)
    assert ended.exit_code == 0, ended.output
    assert "2 done, 0 skipped, 0 failed" in ended.stderr
    assert len(server.asked) - began == 2 * 2 + 5 + 2  # by each process whether it can be believed; windows; causes
    assert server.keys == {f"Bearer {KEY}"}
    found = Analysis.model_validate_json((out / "a.mp4.json").read_bytes())
    assert [finding.label for finding in found.findings] == ["Fighting"]
    written = [path.read_text(errors="replace") for path in out.rglob("*") if path.is_file()]
    assert KEY not in "".join([ended.output, told.output, *written])
    before = len(server.asked)
    assert omnisila("batch", *given, "--out", out, "--parallel", "3").exit_code == 0
    assert len(server.asked) == before, "nothing is asked twice"
    assert omnisila("batch", given[0], "--out", out, "--estimate").exit_code == 2


def test_an_endpoints_faults_are_no_inputs_fault(omnisila: Run, asked: Any, tmp_path: Path) -> None:
    server, given = asked[0], (*asked[1], "--workers", "1")
    out = tmp_path / "out"
    server.fault = (401, f"Incorrect API key provided: {KEY}")
    ended = omnisila("batch", *given, "--out", out)
    assert isinstance(ended.exception, EndpointError)
    assert "the key (TEST_KEY) was refused, status 401: Incorrect API key provided: [key]" in str(ended.exception)
    assert KEY not in str(ended.exception)
    assert not list((out / ".omnisila" / "ledger").rglob("ends/*/*.json"))
    server.fault = (503, "no memory")
    ended = omnisila("batch", *given, "--out", out)
    assert ended.exit_code == 1
    assert ended.stderr.count("the server failed after 1 tries, status 503") == 2
    server.fault = None
    ended = omnisila("batch", *given, "--out", out, "--retry-failed")
    assert ended.exit_code == 0, ended.output
    assert "2 done, 0 skipped, 0 failed" in ended.stderr
