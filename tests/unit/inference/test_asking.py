"""Models that are asked about whole videos: what is sent, what is read, and what an endpoint may do wrong."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from omnisila.endpoint import RequestConfig
from omnisila.errors import InputError, OmnisilaError
from omnisila.inference.load import load
from omnisila.inference.predict import predict
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.systems import system
from omnisila.labels import IMPLICIT
from omnisila.records import append, records
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Example, Prediction


def settings(server: Any, **more: Any) -> AnalyzerConfig:
    return AnalyzerConfig(labels=("implicit",), base_url=server.base_url, key_variable="TEST_KEY", **more)


def says(located: str) -> Callable[[str, list[bytes]], str]:
    """Answers "when" with that, and "why" with a sentence."""
    return lambda question, _pictures: "People run away." if "Why does" in question else located


def test_an_endpoint_is_sent_frames_with_their_times_and_its_answer_is_findings(
    chat_server: Any, make_video: Callable[..., Path], tmp_path: Path
):
    seen: list[tuple[str, list[bytes]]] = []

    def answer(question: str, pictures: list[bytes]) -> str:
        seen.append((question, pictures))
        return says("Fire from 0.5s to 1.25s; Robbery from 1.5s to 9s; Theft from 60s to 61s")(question, pictures)

    server = chat_server(answer=answer)
    analyzer = load("query:openai:seer", settings(server), FeatureCache(tmp_path / "cache"))
    found = analyzer.analyze(make_video("a.mp4", frames=24, rate_hz=12))
    question, pictures = next(asked for asked in seen if asked[1])
    assert "at 0.00s, 0.29s, 0.57s, 0.86s, 1.14s, 1.43s, 1.71s, 2.00s." in question
    assert all(label in question for label in IMPLICIT.labels)
    assert len(pictures) == 8
    assert Image.open(io.BytesIO(pictures[0])).size == (64, 48)
    spans = [(one.label, one.span.start_s, one.span.end_s) for one in found.findings]
    assert spans == [("Fire", 0.5, 1.25), ("Robbery", 1.5, 2.0)]  # within the video; what begins behind it is none
    assert {(one.cause, one.cause_by, one.score) for one in found.findings} == {("People run away.", "model", 1.0)}
    assert any("at 0.50s, 0.61s" in question for question, _ in seen)
    assert "secret" not in found.model_dump_json()
    assert found.model.name == "query:openai:seer"
    assert all(one.id for one in found.findings)


def test_prose_is_kept_and_counted(chat_server: Any, make_video: Callable[..., Path], tmp_path: Path):
    server = chat_server(answer=says("I see a fire\nsomewhere."))
    found = load("query:openai:seer", settings(server), FeatureCache(tmp_path / "cache")).analyze(make_video("a.mp4"))
    assert found.findings == ()
    assert any("not of the form" in warning and "I see a fire somewhere." in warning for warning in found.warnings)


def test_nothing_is_nothing(chat_server: Any, make_video: Callable[..., Path], tmp_path: Path):
    server = chat_server(answer=says("nothing"), refused=[429, 500])  # refused for the moment: asked again
    found = load("query:openai:seer", settings(server), FeatureCache(tmp_path / "cache")).analyze(make_video("a.mp4"))
    assert found.findings == ()
    assert not any("form" in warning for warning in found.warnings)


def test_a_plain_video_llm_is_asked_too(video_llava_folder: Path, make_video: Callable[..., Path], tmp_path: Path):
    model = f"query:{video_llava_folder}"
    analyzer = load(model, AnalyzerConfig(labels=("explicit",)), FeatureCache(tmp_path / "cache"))
    found = analyzer.analyze(make_video("a.mp4"))  # untrained: what it says is kept
    assert found.model.name == model
    assert any(warning.startswith("explicit: the answer is not") for warning in found.warnings)


def test_what_was_answered_before_a_failure_is_not_asked_again(
    chat_server: Any, make_video: Callable[..., Path], tmp_path: Path
):
    make_video("1.mp4", frames=36, rate_hz=12)
    asked = [
        Example(
            id=f"set/1#{number}", video="1.mp4", start_s=number, end_s=number + 1, task="identify", labels="implicit",
            instruction=IMPLICIT.identify, answer="", split="val", group="1",
        )
        for number in range(3)
    ]  # fmt: skip
    append(tmp_path / "examples.jsonl", asked)
    answers = iter(["A", "Fire.", "Robbery", (400, "too large"), "prose"])
    server = chat_server(answer=lambda *_: next(answers))
    alone = settings(server, requests=RequestConfig(parallel=1))
    one, out = system("query:openai:seer", settings=alone), tmp_path / "out.jsonl"
    ended = predict(tmp_path / "examples.jsonl", tmp_path, one, out)
    assert (ended.answered, len(ended.failed)) == (2, 1)
    assert "too large" in ended.failed[0].reason
    assert "secret" not in ended.failed[0].reason
    again = predict(tmp_path / "examples.jsonl", tmp_path, one, out)
    assert (again.answered, again.before, again.unparsed, again.failed) == (1, 2, 1, ())
    assert [said.answer for said in records(out, Prediction)] == ["Fire.", "Robbery", "prose"]


def test_a_cut_answer_costs_its_video_alone(chat_server: Any, make_video: Callable[..., Path], tmp_path: Path):
    server = chat_server(answer=says("Fire from"))
    server.finish_reason = "length"
    analyzer = load("query:openai:seer", settings(server), FeatureCache(tmp_path / "cache"))
    with pytest.raises(OmnisilaError, match="cut off"):
        analyzer.analyze(make_video("a.mp4"))


def test_what_means_nothing_to_a_model_that_is_asked_is_refused(chat_server: Any, monkeypatch: pytest.MonkeyPatch):
    server = chat_server()
    with pytest.raises(InputError, match="no address"):
        load("openai:seer", AnalyzerConfig())
    with pytest.raises(InputError, match="is on this machine"):
        load("compact", settings(server))
    with pytest.raises(InputError, match="is on this machine"):
        load("compact", AnalyzerConfig(send_video=True))
    with pytest.raises(InputError, match="--window mean nothing"):
        load("query:openai:seer", settings(server, window_s=2.0))
    with pytest.raises(InputError, match="not a plain Video-LLM"):
        load("query:openai:seer", settings(server, contextual=True))
    with pytest.raises(InputError, match="reactions are asked with"):
        load("openai:seer", settings(server).replace(labels=("reaction",)))
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(InputError, match="TEST_KEY holds no key"):
        load("openai:seer", settings(server))
