"""``omnisila analyze`` and ``predict`` with a model behind an endpoint, as a user meets them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from omnisila.cli.app import app
from omnisila.errors import EndpointError, InputError
from omnisila.schema import Analysis

KEY = "sk-314159"


@pytest.fixture
def run(
    chat_server: Any, tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Analyse a folder of two videos; the server and more options follow."""
    del chat_server  # sets another key
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEST_KEY", KEY)
    for name in ("a", "b"):
        make_video(f"videos/{name}.mp4", frames=24 if name == "a" else 36, rate_hz=12)

    def run(server: Any, *options: str) -> Result:
        fixed = ["analyze", str(tmp_path / "videos"), "--out", str(tmp_path / "out"), "--labels", "implicit"]
        asked = ["--base-url", server.base_url, "--key-variable", "TEST_KEY"]
        model = [] if "--model" in options else ["--model", "openai:seer"]
        return CliRunner().invoke(app, [*fixed, *asked, *model, *options])

    return run


def weights(question: str, _pictures: Any) -> dict[str, float]:
    if "capital letter B" in question:
        return {"B": -0.1, "A": -3.0}
    return {"A": -0.1, "L": -3.0}  # A: Fighting


def test_what_it_will_cost_is_told_first_and_alone_by_option(
    chat_server: Callable[..., Any], run: Callable[..., Result], tmp_path: Path
) -> None:
    server = chat_server(weights=weights)
    result = run(server, "--estimate", "--price-in", "2.5", "--price-out", "10")
    assert result.exit_code == 0
    assert result.stdout.startswith("openai:seer: about 5 requests with 40 pictures, about ")
    assert "price about 0.03; the cause of each finding is one request more" in result.stdout
    assert all(not pictures for pictures in server.pictures)
    assert not list((tmp_path / "out").glob("*.json"))
    result = run(server, "--window", "2", "--rate", "4")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("openai:seer: about 3 requests with 24 pictures")
    found = Analysis.model_validate_json((tmp_path / "out" / "a.mp4.json").read_text())
    assert [finding.label for finding in found.findings] == ["Fighting"]
    page = (tmp_path / "out" / "a.mp4.html").read_text()
    assert "own unchecked words" in page
    assert server.keys == {f"Bearer {KEY}"}
    written = [path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert KEY not in "".join([result.stderr, result.stdout, *written])
    local = run(server, "--model", "compact", "--estimate")
    assert local.exit_code == 2
    assert "costs nothing" in local.stderr


FAULTS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "too slow": ({"answer": None}, ["--timeout-s", "0.3"], "no answer within 0.3 s after 1 tries"),
    "too many": ({"answer": (429, "slow down")}, [], "still too many requests after 1 tries"),
    "server fault": ({"answer": (503, "no memory")}, [], "the server failed after 1 tries"),
    "cut off": ({"answer": "Fire from", "finish_reason": "length"}, [], "was cut off at its limit of tokens"),
    "empty": ({"answer": " "}, [], "the answer is empty"),
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_what_fails_costs_its_video_alone_and_a_second_run_asks_for_the_rest(
    chat_server: Callable[..., Any], run: Callable[..., Result], tmp_path: Path, kind: str
) -> None:
    fault, options, reason = FAULTS[kind]

    def answer(question: str, pictures: Any) -> Any:
        if pictures and " 3.00s" in question:  # of the second video, which is longer
            server.finish_reason = fault.get("finish_reason", "stop")
            return fault["answer"]
        server.finish_reason = "stop"
        return "nothing"

    server = chat_server(answer=answer)
    told = ["--model", "query:openai:seer", "--retries", "0", *options]
    result = run(server, *told)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 1
    assert reason in lines[0]
    assert (tmp_path / "out" / "a.mp4.json").is_file()
    assert not (tmp_path / "out" / "b.mp4.json").exists()
    server.answer, server.finish_reason = lambda *_: "Fire from 0s to 1s", "stop"
    before = server.requests
    again = run(server, *told)
    assert again.exit_code == 0, again.stderr
    assert "1 analysed, 1 unchanged" in again.stderr
    assert server.requests - before == 1 + 1 + 1  # whether it is there; when, why
    assert json.loads((tmp_path / "out" / "b.mp4.json").read_text())["findings"][0]["label"] == "Fire"


def test_prose_is_no_failure_and_a_refused_key_ends_before_any_work(
    chat_server: Callable[..., Any], run: Callable[..., Result], tmp_path: Path
) -> None:
    prose = run(chat_server(answer=lambda *_: "I see people."), "--model", "query:openai:seer")
    assert prose.exit_code == 0
    assert prose.stderr.count("the answer is not of the form that was asked for: 'I see people.'") == 2
    (tmp_path / "cache").rename(tmp_path / "before")
    refused = run(chat_server(refused=[401] * 9), "--out", str(tmp_path / "other"))
    assert isinstance(refused.exception, InputError)  # one line and status 2 in a process of its own
    assert "the key (TEST_KEY) was refused" in str(refused.exception)
    assert "\n" not in str(refused.exception)
    assert not list((tmp_path / "other").glob("*.json"))
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_key_that_is_refused_on_the_way_ends_the_run_and_keeps_what_is_finished(
    chat_server: Callable[..., Any], run: Callable[..., Result], tmp_path: Path
) -> None:
    server = chat_server(answer=lambda *_: "nothing")
    told = ["--model", "query:openai:seer", "--retries", "0"]
    assert run(server, *told).exit_code == 0
    (tmp_path / "out" / "b.mp4.json").unlink()
    server.answer = lambda _, pictures: (401, "expired") if pictures else "nothing"
    ended = run(server, *told)
    assert isinstance(ended.exception, EndpointError)
    assert "was refused, status 401: expired" in str(ended.exception)
    assert (tmp_path / "out" / "a.mp4.json").is_file()
    server.answer = lambda *_: "nothing"
    assert "1 analysed, 1 unchanged" in run(server, *told).stderr


def test_examples_cost_what_is_told_first(
    chat_server: Callable[..., Any], run: Callable[..., Result], tmp_path: Path
) -> None:
    del run  # only its videos
    example = {
        "id": "set/a#0", "video": "a.mp4", "start_s": 0.0, "end_s": 2.0, "task": "identify", "labels": "implicit",
        "instruction": "Which event does this video show?", "answer": "Fighting", "split": "test", "group": "a",
    }  # fmt: skip
    (tmp_path / "examples.jsonl").write_text(json.dumps(example) + "\n")
    server = chat_server(weights=weights)
    given = ["predict", str(tmp_path / "examples.jsonl"), "--footage", str(tmp_path / "videos"), "--model"]
    asked = ["openai:seer", "--base-url", server.base_url, "--key-variable", "TEST_KEY", "--out", str(tmp_path / "p")]
    told = CliRunner().invoke(app, [*given, *asked, "--estimate"])
    assert told.stdout.startswith("about 1 requests with 8 pictures")
    assert not (tmp_path / "p").exists()
    done = CliRunner().invoke(app, [*given, *asked])
    assert done.exit_code == 0, done.stderr
    assert "about 1 requests with 8 pictures" in done.stderr
    assert json.loads((tmp_path / "p").read_text())["answer"] == "Fighting"
    local = CliRunner().invoke(app, [*given, "compact", "--window", "2"])
    assert isinstance(local.exception, InputError)
    assert "--window and --rate mean nothing to it" in str(local.exception)
