"""``omnisila judge`` and ``omnisila rate`` as a user meets them, one after the other on one scores.json."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from omnisila.cli.judge import judge
from omnisila.cli.rate import rate
from omnisila.errors import InputError
from omnisila.evaluation.score_files import read_scores
from omnisila.records import append
from omnisila.schema import Example, Prediction, Span, Truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two examples with causes, answered by two systems."""
    append(
        tmp_path / "examples.jsonl",
        [
            Example(
                id=f"{k}#why", video=f"{k}.mp4", start_s=0.0, end_s=4.0, task="attribute", labels="explicit",
                instruction="?", answer="true", truth=(Truth(span=Span(start_s=0.0, end_s=4.0), label="negative"),),
                split="test", group=str(k),
            )
            for k in range(2)
        ],
    )  # fmt: skip
    for system in ("ours", "other"):
        said = [Prediction(example_id=f"{k}#why", system=system, answer=f"{system} says {k}") for k in range(2)]
        append(tmp_path / f"{system}.jsonl", said)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[..., Result]:
    """Run a command in the folder."""
    app = typer.Typer()
    app.command("judge")(judge)
    app.command("rate")(rate)

    def run(*words: str) -> Result:
        files = {name: str(folder / name) for name in words if name.endswith((".jsonl", ".csv", ".json"))}
        return CliRunner().invoke(app, [files.get(word, word) for word in words])

    return run


def _asked(server: Any) -> list[str]:
    return ["--base-url", server.base_url, "--model", "seer", "--key-variable", "TEST_KEY", "--retries", "0"]


FILES = ("examples.jsonl", "ours.jsonl", "other.jsonl")


def test_judged_then_rated_then_summed(
    chat_server: Callable[..., Any], run: Callable[..., Result], folder: Path
) -> None:
    server = chat_server(answer=lambda prompt, _: "Rating: 9" if "ours says" in prompt else "Rating: 5")
    command = ("judge", *FILES, "--out", "judged.jsonl", "--scores", "scores.json", *_asked(server))
    estimate = run(*command, "--estimate", "--price-in", "1", "--price-out", "1")
    assert estimate.stdout.startswith("4 causes to judge, 0 done, 0 empty: about 4 requests, about ")
    assert server.requests == 0
    judged = run(*command)
    assert judged.exit_code == 0, judged.output
    assert "ours\n  Atr-R: 9 [9, 9] of 2  explicit; LLM judge 1-10, seer-2026, temperature 0, prompt 1" in judged.stdout
    server.refused = [500] * 9
    assert run(*command).exit_code == 0, "nothing is left to ask"
    assert server.requests == 4

    assert run("rate", *FILES, "--sheet", "sheet.csv").exit_code == 0
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for rater, rating in (("anna", 3), ("ben", 5)):
        lines = [f"{row['id']},{rating}" for row in rows]
        (folder / f"{rater}.csv").write_text("\n".join(["id,rating", *lines]))
    read = run("rate", "--read", "anna.csv", "--read", "ben.csv", "--scores", "scores.json")
    assert read.exit_code == 0, read.output

    scores = {one.system: {s.variant: s.value for s in one.scores} for one in read_scores(folder / "scores.json")}
    judge_recipe = "seer-2026, temperature 0, prompt 1"
    assert scores["other"][f"explicit; LLM judge 1-10, {judge_recipe}"] == 5
    assert scores["other"]["explicit; human 1-6, mean of 2 raters"] == 4
    both = f"explicit; LLM judge 1-10 + human 1-6, {judge_recipe}, as summed in Omni-SILA Table 3"
    assert (scores["ours"][both], scores["other"][both]) == (13, 9)


def test_the_key_beside_the_rated_tables_is_the_one_that_holds_their_rows(
    run: Callable[..., Result], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for seed, name in (("0", "one.csv"), ("1", "two.csv")):
        assert run("rate", *FILES, "--sheet", name, "--seed", seed).exit_code == 0
    assert run("rate", "--read", "two.csv").exit_code == 0
    elsewhere = tmp_path_factory.mktemp("sent") / "two.csv"
    elsewhere.write_bytes((folder / "two.csv").read_bytes())
    alone = run("rate", "--read", str(elsewhere))
    assert "no key beside it. Give the .key.jsonl" in str(alone.exception)
    (folder / "two.key.jsonl").unlink()
    assert "none of them holds these rows" in str(run("rate", "--read", "two.csv").exception)


def test_a_failure_is_named_and_tried_again(chat_server: Callable[..., Any], run: Callable[..., Result]) -> None:
    server = chat_server(answer=lambda *_: "Rating: 5", refused=[400])
    command = ("judge", *FILES[:2], "--out", "judged.jsonl", "--parallel", "1", "--temperature", "-1", *_asked(server))
    result = run(*command)
    assert result.exit_code == 1
    assert "failed: ours, 0#why: " in result.stderr
    assert "1 of 2 causes stay without a verdict" in result.stderr
    assert "temperature" not in server.asked[0]
    assert run(*command, "--quiet").output == ""
    assert server.requests == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rate", "examples.jsonl"), "give either --sheet"),
        (("rate", "--sheet", "sheet.csv", "--read", "examples.jsonl"), "give either --sheet"),
        (("rate", "--sheet", "sheet.csv"), "no causes to rate"),
        (("rate", *FILES, "--sheet", "sheet.csv", "--split", "val"), "no example of split 'val'"),
    ],
)
def test_wrong_usage_is_explained(run: Callable[..., Result], words: tuple[str, ...], says: str) -> None:
    result = run(*words)
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception)


def test_a_wrong_setting_is_named(chat_server: Callable[..., Any], run: Callable[..., Result]) -> None:
    result = run("judge", *FILES, "--out", "j.jsonl", *_asked(chat_server()), "--requests-per-minute", "0")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("requests_per_minute: wanted greater than 0 (given: 0.0)")
