"""Models behind an endpoint by likelihood: posteriors of letters, servers that state none or false ones, cost."""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnisila.endpoint import RequestConfig
from omnisila.errors import InputError, OmnisilaError
from omnisila.inference.asking import answers_in_order
from omnisila.inference.endpoint_llm import EndpointLLM
from omnisila.inference.lettered import LetteredAnalyzer, describe_estimate, estimate_answers
from omnisila.inference.load import load
from omnisila.inference.predict import predict
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.systems import system
from omnisila.labels import IMPLICIT
from omnisila.media.video import probe
from omnisila.records import append, records
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Example, Prediction

FIRE, NORMAL = "I", "L"  # the letters of IMPLICIT's labels


def settings(server: Any, **more: Any) -> AnalyzerConfig:
    return AnalyzerConfig(**{"labels": ("implicit",), "base_url": server.base_url, "key_variable": "TEST_KEY", **more})


def logs(**weights: float) -> dict[str, float]:
    return {token: math.log(weight) for token, weight in weights.items()}


def honest(question: str) -> dict[str, float] | None:
    """What a server that can be believed states when it is asked for a letter by name."""
    for letter in "AB":
        if question.startswith(f"Answer with the capital letter {letter} "):
            return logs(**{letter: 0.9, "AB".replace(letter, ""): 0.05})
    return None


def fire_from_two_seconds(question: str, _pictures: Any) -> dict[str, float]:
    time.sleep(random.random() / 50)  # answers come in another order than questions were asked in
    if (said := honest(question)) is not None:
        return said
    first_s = float(question.split(" at ")[1].split("s")[0])
    return logs(**({FIRE: 0.7, f" {FIRE}": 0.1, NORMAL: 0.1} if first_s > 1.4 else {NORMAL: 0.8, FIRE: 0.05}))


@pytest.fixture
def clip(make_video: Callable[..., Path]) -> Path:
    return make_video("a.mp4", frames=48, rate_hz=12)


def test_letters_give_posteriors_curve_and_spans(chat_server: Any, clip: Path, tmp_path: Path):
    server = chat_server(weights=fire_from_two_seconds)
    analyzer = load("openai:seer", settings(server), FeatureCache(tmp_path / "cache"))
    assert isinstance(analyzer, LetteredAnalyzer)
    told = describe_estimate(analyzer, [clip, tmp_path / "none.mp4"])
    assert told.startswith("openai:seer: about 4 requests with 32 pictures, about ")
    before = server.requests
    found = analyzer.analyze(clip)
    assert (found.model.name, found.labels) == ("openai:seer", ("implicit",))
    starts, scores = zip(*((point.start_s, point.score) for point in found.anomaly_curve), strict=True)
    assert starts == (0.0, 1.0, 2.0, 3.0)
    posteriors = [point.posterior["implicit"] for point in found.anomaly_curve]
    # the letter behind a space counts too; letters that are not listed share what is left, up to the least listed
    others = [0.015, 0.01]
    assert posteriors[2]["Fire"] == pytest.approx(0.8 / (0.9 + 10 * 0.01), abs=1e-3)
    assert posteriors[0]["Normal"] == pytest.approx(0.8 / (0.85 + 10 * others[0]), abs=1e-3)
    assert scores[0] < 0.5 < scores[3]
    (fire,) = found.findings
    assert (fire.label, fire.span.end_s, fire.cause, fire.cause_by) == ("Fire", 4.0, "a man runs away", "model")
    assert 0.4 < fire.score < 1.0
    assert any("not trained for these labels" in warning for warning in found.warnings)
    assert server.requests - before == 4 + 1  # and the cause
    assert sum(map(len, server.pictures)) == 32 + 8
    assert 1 < server.most_at_once <= 4
    assert "secret" not in found.model_dump_json()


LIES: dict[str, tuple[Any, str]] = {
    "omits them": (None, "gives no log-probabilities"),
    "gives the chosen token alone": (lambda *_: {"A": -0.1}, "gives no log-probabilities"),
    "sums to more than 1": (lambda *_: {"A": -0.1, "B": -0.1}, "add up to 1.81"),
    "gives positive ones": (lambda *_: {"A": 3.0, "B": -2.0}, "no numbers up to 0"),
    "always says the same": (lambda *_: {"A": -0.1, "B": -3.0}, "asked for the letter B"),
    "thinks aloud first": (lambda *_: {"<think>": -0.01, "A": -6.0}, "thinks aloud first"),
    "knows no letters": (lambda *_: {"The": -0.1, "It": -3.0}, "none of the 2 tokens"),
    "refuses the question": (lambda *_: (400, "logprobs are not supported"), "logprobs are not supported"),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_who_states_no_likelihoods_is_asked_in_words(chat_server: Any, clip: Path, tmp_path: Path, lie: str):
    weights, reason = LIES[lie]
    server = chat_server(weights=weights, answer=lambda *_: "nothing")
    analyzer = load("openai:seer", settings(server, window_s=2.0, contextual=True), FeatureCache(tmp_path / "cache"))
    found = analyzer.analyze(clip)
    assert found.model.name == "query:openai:seer"
    assert (found.findings, found.anomaly_curve) == ((), ())
    (told,) = (warning for warning in found.warnings if "states no likelihoods" in warning)
    assert reason in told
    named = system("openai:seer", settings=settings(server))
    assert named.name.startswith("query:openai:seer@")
    assert reason in getattr(named, "notice", "")


def test_numbers_of_another_answer_are_not_believed(chat_server: Any):
    server = chat_server(answer=lambda *_: "B")
    llm = EndpointLLM.of_settings("seer", settings(server))
    with llm.endpoint as endpoint:
        assert endpoint.weigh("Answer.", "AB").fault
        server.weights = lambda *_: {"B": -0.1, "A": -3.0}
        assert endpoint.weigh("Answer.", "AB").weights["B"] > 0.9


def test_a_server_that_stops_stating_them_costs_its_video_alone(chat_server: Any, clip: Path, tmp_path: Path):
    server = chat_server(weights=lambda question, _: honest(question) or {})
    analyzer = load("openai:seer", settings(server), FeatureCache(tmp_path / "cache"))
    with pytest.raises(OmnisilaError, match=r"seer at http.*gives no log-probabilities.*ask it in words") as told:
        analyzer.analyze(clip)
    assert not isinstance(told.value, InputError)
    assert "\n" not in str(told.value)


def test_labels_beyond_what_can_be_weighed_are_asked_in_words(
    chat_server: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    many = IMPLICIT.replace(name="many", labels=tuple(f"l{k}" for k in range(21)), negative=(), quiet=None, signs={})
    monkeypatch.setitem(__import__("omnisila.labels").labels.LABEL_SETS, "many", many)
    server = chat_server(weights=fire_from_two_seconds, answer=lambda *_: "nothing")
    found = load("openai:seer", settings(server, labels=("many",)), FeatureCache(tmp_path / "cache")).analyze(clip)
    assert any("many has 21 labels, of which 20 can be weighed" in warning for warning in found.warnings)
    asked = system("openai:seer", FeatureCache(tmp_path / "cache"), settings(server))
    example = _example("identify", 0).replace(labels="many")
    with pytest.raises(InputError, match=r"Ask in words, with --model query:openai:seer"):
        list(asked.predictions(clip, [example]))


def test_by_option_they_are_relative_to_an_empty_video_and_what_was_seen_is_told(
    chat_server: Any, make_video: Callable[..., Path], paint: Callable[..., Any], tmp_path: Path
):
    def weights(question: str, _pictures: Any) -> dict[str, float]:
        return honest(question) or logs(**{FIRE: 0.5, NORMAL: 0.25})  # the same of every video, empty or not

    server = chat_server(weights=weights)
    clip = make_video("face.mp4", frames=24, rate_hz=12, width_px=160, height_px=120, paint=paint([(30, 80)]))
    ways = settings(server, contextual=True, scene_text=True)
    found = load("openai:seer", ways, FeatureCache(tmp_path / "cache")).analyze(clip)
    values = [point.posterior["implicit"].values() for point in found.anomaly_curve]
    assert all(value == pytest.approx(1 / 12, abs=1e-3) for row in values for value in row)
    windows = [prompt for prompt in server.prompts if "Which event" in prompt and " at " in prompt]
    assert len(windows) == 2
    assert all("Detectors saw in this clip: " in prompt for prompt in windows)
    plain = load("openai:seer", settings(server), FeatureCache(tmp_path / "cache"))
    assert plain.identity.digest != load("openai:seer", ways, FeatureCache(tmp_path / "cache")).identity.digest


def _example(task: Any, number: int) -> Example:
    instruction = {"identify": IMPLICIT.identify, "locate": IMPLICIT.locate, "attribute": "Why?"}[task]
    return Example(
        id=f"set/a#{task}{number}", video="a.mp4", start_s=2.0 * number, end_s=2.0 * number + 2.0, task=task,
        labels="implicit", instruction=instruction, answer="", split="test", group="a",
    )  # fmt: skip


@pytest.mark.usefixtures("clip")
def test_examples_are_answered_in_order_and_a_stopped_run_goes_on(chat_server: Any, tmp_path: Path):
    examples = [_example(task, number) for task in ("identify", "locate", "attribute") for number in range(2)]
    append(tmp_path / "examples.jsonl", examples)
    server = chat_server(weights=fire_from_two_seconds, answer=lambda *_: (400, "too large"))
    cache, ways = FeatureCache(tmp_path / "cache"), settings(server, requests=RequestConfig(parallel=3))
    seer, out = system("openai:seer", cache, ways), tmp_path / "out.jsonl"
    cost = estimate_answers(seer, examples, ways)
    before = server.requests
    ended = predict(tmp_path / "examples.jsonl", tmp_path, seer, out)
    assert (ended.answered, len(ended.failed)) == (4, 1)  # windows and letters are answered, words are not
    assert "too large" in ended.failed[0].reason
    assert server.requests - before == cost.requests == 4 + 2 + 2
    server.answer = lambda *_: "A fire."
    again = predict(tmp_path / "examples.jsonl", tmp_path, seer, out)
    assert (again.answered, again.before, again.failed) == (2, 4, ())
    said = list(records(out, Prediction))
    assert [one.example_id for one in said] == [one.id for one in examples]
    assert [one.answer for one in said[:2]] == ["Normal", "Fire"]
    assert said[1].posterior is not None
    assert said[1].anomaly == pytest.approx(1 - said[1].posterior["Normal"])
    assert said[3].findings[0].label == "Fire"
    assert said[3].findings[0].span.end_s == 4.0
    assert {one.system for one in said} == {seer.name}
    assert seer.name.startswith("openai:seer@")
    assert all(one.seconds is not None and one.parse_ok for one in said)


@pytest.mark.parametrize("model", ["openai:seer", "query:openai:seer"])
def test_answers_of_another_server_have_another_name(chat_server: Any, model: str):
    servers = [chat_server(weights=fire_from_two_seconds) for _ in range(2)]
    first, other = (settings(server) for server in servers)
    secret = first.replace(base_url=f"{first.base_url}/?key=secret".replace("://", "://me:word@"))
    assert secret.server == first.base_url
    names = [system(model, settings=ways).name for ways in (first, other)]
    assert len(set(names)) == 2
    assert names[0] == system(model, settings=first.replace(base_url=f"{first.base_url}/")).name


def test_a_stretch_is_sent_as_a_video_by_option(chat_server: Any, clip: Path, tmp_path: Path):
    server = chat_server()
    llm = EndpointLLM.of_settings("seer", settings(server, send_video=True))
    llm.ask(clip, (0.0, 4.0), "What?")
    llm.ask(clip, (1.0, 3.0), "What?")
    assert server.prompts[0] == "Watch the video.\nWhat?"
    assert "its first picture is at 1.00s" in server.prompts[1]
    for (data,), duration_s in zip(server.pictures, (4.0, 2.0), strict=True):
        (tmp_path / "sent.mp4").write_bytes(data)
        assert probe(tmp_path / "sent.mp4").duration_s == pytest.approx(duration_s, abs=0.1)


def test_what_is_asked_costs_what_its_prices_say(chat_server: Any):
    ways = settings(chat_server(), requests=RequestConfig(price_in_per_million=2.0, price_out_per_million=10.0))
    llm = EndpointLLM.of_settings("seer", ways)
    assert llm.parallel == 4
    cost = estimate_answers(object(), [_example("identify", 0)] * 10, ways)
    assert str(cost) == (
        "about 10 requests with 80 pictures, about 21900 tokens to read and 600 to write, price about 0.05"
    )
    assert estimate_answers(object(), [_example("identify", 0)], ways.replace(send_video=True)).pictures == 0


def test_no_more_questions_are_on_their_way_than_allowed_and_an_error_ends_them():
    drawn: list[int] = []

    def ask(number: int) -> int:
        if number == 5:
            raise InputError("no key")
        return number * 10

    def numbers() -> Any:
        for number in range(100):
            drawn.append(number)
            yield number

    answers = answers_in_order(ask, numbers(), 3)
    assert [next(answers) for _ in range(5)] == [0, 10, 20, 30, 40]
    with pytest.raises(InputError, match="no key"):
        next(answers)
    assert len(drawn) <= 9
