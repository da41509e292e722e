"""Every way in which an endpoint can answer or not, against a real server on this machine."""

import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from omnisila.endpoint import EndpointConfig
from omnisila.errors import EndpointError, InputError, OmnisilaError
from tests.chat_server import ERRORS


def _config(base_url: str, **settings: Any) -> EndpointConfig:
    return EndpointConfig(base_url=base_url, model="seer", key_variable="TEST_KEY", **settings)


def test_a_refused_request_is_repeated_and_pictures_arrive_whole(chat_server: Callable[..., Any]) -> None:
    server = chat_server(refused=[429])
    with _config(server.base_url, max_tokens=50, temperature=0.0).build() as endpoint:
        reply = endpoint.ask("what is this?", [b"\xff\xd8one", b"\xff\xd8two"])
    assert reply == ("a man runs away", "seer-2026", 100, 7)
    assert server.requests == 2
    assert server.pictures == [[b"\xff\xd8one", b"\xff\xd8two"]]
    assert server.prompts == ["what is this?"]
    assert server.keys == {"Bearer secret"}
    assert (server.asked[0]["max_tokens"], server.asked[0]["temperature"]) == (50, 0.0)


def test_what_is_left_to_the_endpoint_is_not_sent(chat_server: Callable[..., Any]) -> None:
    server = chat_server()
    with _config(server.base_url, max_tokens=None).build() as endpoint:
        endpoint.ask("what?")
    assert not {"max_tokens", "temperature"} & server.asked[0].keys()


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, EndpointError, r"the key \(TEST_KEY\) was refused"),
        (404, EndpointError, "no such address or model"),
        (429, OmnisilaError, "still too many requests after 3 tries"),
        (503, OmnisilaError, "the server failed after 3 tries"),
        (400, OmnisilaError, "the request was refused, status 400.*come back later"),
    ],
)
def test_each_refusal_says_what_to_do(
    chat_server: Callable[..., Any], status: int, kind: type[OmnisilaError], says: str
) -> None:
    server = chat_server(refused=[status] * 9)
    with _config(server.base_url, retries=2).build() as endpoint, pytest.raises(OmnisilaError, match=says) as raised:
        endpoint.ask("what?")
    assert type(raised.value) is kind
    assert "secret" not in str(raised.value)
    assert server.requests == (3 if status in (429, 503) else 1)


@pytest.mark.parametrize("form", list(ERRORS))
def test_what_a_server_says_is_told_however_it_says_it(chat_server: Callable[..., Any], form: str) -> None:
    said = "This model's maximum context length is 4096 tokens, your messages have 9000"
    server = chat_server(answer=lambda *_: (400, said), weights=lambda *_: (400, said), error=form)
    with _config(server.base_url).build() as endpoint:
        for ask in (lambda: endpoint.ask("what?"), lambda: endpoint.weigh("what?", "AB")):
            with pytest.raises(OmnisilaError, match=r"refused, status 400: \S*This model.*9000\S*\. Change"):
                ask()


def test_a_model_that_is_not_there_is_told_with_those_that_are(chat_server: Callable[..., Any]) -> None:
    server = chat_server(models=("qwen3-vl:8b", "llava"), error="vllm")
    with _config(server.base_url).build() as endpoint, pytest.raises(EndpointError, match="It has: qwen3-vl:8b, llava"):
        endpoint.ask("what?")


class _NoApi(BaseHTTPRequestHandler):
    """A web server that knows no models: pages or JSON of another kind."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json" if self.body.startswith((b"{", b"[")) else "text/html")
        self.end_headers()
        self.wfile.write(self.body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("body", [b"<html></html>", b"[]", b"{}", b'{"data": null}', b'{"data": []}'])
def test_an_address_that_is_no_endpoint_is_told(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret")
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_NoApi,), {"body": body})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with _config(address).build() as endpoint, pytest.raises(EndpointError, match="Check the base URL"):
            endpoint.ask("what?")
        server.shutdown()


def test_letters_are_weighed_at_temperature_1(chat_server: Callable[..., Any]) -> None:
    server = chat_server(weights=lambda *_: {"A": -0.1, "B": -3.0})
    with _config(server.base_url, temperature=0.0).build() as endpoint:
        assert endpoint.weigh("what?", "AB").weights["A"] > 0.9
    sent = {"max_tokens": 1, "temperature": 1.0, "logprobs": True, "top_logprobs": 20}
    assert {name: server.asked[0][name] for name in sent} == sent


def test_what_a_refusal_says_of_when_to_come_back_is_kept(chat_server: Callable[..., Any]) -> None:
    server = chat_server(refused=[429], retry_after_s=1)
    began = time.monotonic()
    with _config(server.base_url).build() as endpoint:
        endpoint.ask("what?")
    assert time.monotonic() - began >= 1.0
    assert server.requests == 2


def test_a_slow_server_is_named(chat_server: Callable[..., Any]) -> None:
    server = chat_server(answer=lambda *_: None)
    with (
        _config(server.base_url, retries=0, timeout_s=0.2).build() as endpoint,
        pytest.raises(OmnisilaError, match=r"no answer within 0\.2 s after 1 tries"),
    ):
        endpoint.ask("what?")


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_is_no_answer(chat_server: Callable[..., Any], text: str) -> None:
    server = chat_server(answer=lambda *_: text)
    with _config(server.base_url).build() as endpoint, pytest.raises(OmnisilaError, match="the answer is empty"):
        endpoint.ask("what?")


def test_a_cut_answer_is_no_answer(chat_server: Callable[..., Any]) -> None:
    server = chat_server()
    server.finish_reason = "length"
    with _config(server.base_url).build() as endpoint, pytest.raises(OmnisilaError, match="Raise max_tokens"):
        endpoint.ask("what?")


def test_a_wrong_path_and_a_closed_port_are_told_apart(chat_server: Callable[..., Any]) -> None:
    server = chat_server()
    wrong_path = _config(server.base_url.removesuffix("/v1"), retries=0)
    with wrong_path.build() as endpoint, pytest.raises(InputError, match="no such address or model"):
        endpoint.ask("what?")
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        closed = _config(f"http://127.0.0.1:{held.getsockname()[1]}/v1", retries=0)
        with closed.build() as endpoint, pytest.raises(InputError, match="cannot be reached"):
            endpoint.ask("what?")


def test_a_password_in_the_address_is_in_no_message() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}/v1"
    config = EndpointConfig(base_url=f"http://mary:secret@{address}?key=hidden", model="m", key_variable="", retries=0)
    with config.build() as endpoint, pytest.raises(InputError) as failure:
        endpoint.ask("What is it?")
    assert f"http://{address}" in str(failure.value)
    assert not any(word in str(failure.value) for word in ("mary", "secret", "hidden"))


def test_no_address_and_no_key_fail_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no web address"):
        _config("localhost:8000").build()
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(InputError, match=re.escape("environment variable TEST_KEY holds no key")):
        _config("http://localhost:8000/v1").build()


def test_the_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=re.escape('pip install "omnisila[annotate]"')):
        _config("http://localhost:8000/v1").build()


def test_a_server_without_keys_is_sent_none_of_ours(
    chat_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "private")
    server = chat_server()
    with EndpointConfig(base_url=server.base_url, model="seer", key_variable="").build() as endpoint:
        endpoint.ask("what?")
    assert server.keys == {"Bearer none"}


def test_the_rate_holds_over_threads_and_retries(chat_server: Callable[..., Any]) -> None:
    server = chat_server(refused=[429])
    with _config(server.base_url, requests_per_minute=600).build() as endpoint:
        begun_s = time.monotonic()
        threads = [threading.Thread(target=endpoint.ask, args=("what?",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.requests == 4
    assert time.monotonic() - begun_s >= 0.3  # four requests, a tenth of a second apart
