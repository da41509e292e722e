"""A small chat server of the OpenAI form, for every test that asks an endpoint."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = str | tuple[int, str] | None
ERRORS: dict[str, Callable[[str, int], Any]] = {
    "vllm": lambda said, code: {"error": {"message": said, "type": "BadRequestError", "param": None, "code": code}},
    "sglang": lambda said, code: {"object": "error", "message": said, "type": "Bad", "param": None, "code": code},
    "ollama": lambda said, _: {"error": {"message": said, "type": "api_error", "param": None, "code": None}},
    "proxy": lambda said, _: f"<html>{said}</html>",
}


def _told(prompt: str, _pictures: Sequence[bytes]) -> Answer:
    return "nothing" if "faces" in prompt else "a man runs away"


class ChatServer(ThreadingHTTPServer):
    """Answers chat completions, keeps what was asked, and refuses the first requests if told so.

    Args:
        answer: text for a question and its pictures; a status with a message to fail, or None to hang.
        refused: statuses for the first requests, each with a retry after a millisecond.
        weights: log-probabilities of first tokens, the said one first, for a question and its pictures, where they are
            asked for; a status with a message to fail. By default it gives none.
        retry_after_s: what refusals say instead, in whole seconds.
        models: what it has; other names are unknown to it. By default it takes any, as SGLang does.
        error: how it writes a message of what went wrong: ``ERRORS``.
    """

    daemon_threads = True

    def __init__(
        self,
        answer: Callable[[str, Sequence[bytes]], Answer] = _told,
        refused: Sequence[int] = (),
        weights: Callable[[str, Sequence[bytes]], dict[str, float] | tuple[int, str]] | None = None,
        retry_after_s: int | None = None,
        models: Sequence[str] = (),
        error: str = "ollama",
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.weights = weights
        self.retry_after_s = retry_after_s
        self.models, self.error = models, error
        self.now, self.most_at_once = 0, 0
        self.refused = list(refused)
        self.finish_reason = "stop"
        self.requests = 0
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.lock = threading.Lock()
        self.released = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [prompt for prompt, _ in map(_question, self.asked)]

    @property
    def pictures(self) -> list[list[bytes]]:
        return [pictures for _, pictures in map(_question, self.asked)]


class _Handler(BaseHTTPRequestHandler):
    server: Any  # a ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests += 1
            self.server.keys.add(self.headers["Authorization"])
            status = self.server.refused.pop(0) if self.server.refused else None
            if status is None:
                self.server.asked.append(body)
        if status is not None:
            self._refuse(status, "come back later")
        elif self.path != "/v1/chat/completions":
            self._refuse(404, "no such path")
        elif self.server.models and body["model"] not in self.server.models:
            self._refuse(404, f"The model `{body['model']}` does not exist.")
        else:
            with self.server.lock:
                self.server.now += 1
                self.server.most_at_once = max(self.server.most_at_once, self.server.now)
            try:
                self._answer(body)
            finally:
                with self.server.lock:
                    self.server.now -= 1

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in self.server.models]
            self._send(200, {"object": "list", "data": listed})
        else:
            self._refuse(404, "no such path")

    def _refuse(self, status: int, said: str) -> None:
        self._send(status, ERRORS[self.server.error](said, status))

    def _answer(self, body: dict[str, Any]) -> None:
        logprobs = None
        if body.get("logprobs") and self.server.weights is not None:
            answer = stated = self.server.weights(*_question(body))
            if isinstance(stated, dict):
                answer = next(iter(stated), "")
                listed = [{"token": token, "logprob": value, "bytes": None} for token, value in stated.items()]
                logprobs = {"content": [{**listed[0], "top_logprobs": listed}], "refusal": None} if listed else None
        else:
            answer = self.server.answer(*_question(body))
        if answer is None:
            self.server.released.wait(5.0)
            return
        if isinstance(answer, tuple):
            self._refuse(*answer)
            return
        message = {"role": "assistant", "content": answer}
        self._send(200, {
            "id": "1", "object": "chat.completion", "created": 0, "model": f"{body['model']}-2026",
            "choices": [{"index": 0, "finish_reason": self.server.finish_reason, "message": message,
                         "logprobs": logprobs}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
        })  # fmt: skip

    def _send(self, status: int, content: Any) -> None:
        is_text = isinstance(content, str)
        data = (content if is_text else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.server.retry_after_s is None:
            self.send_header("retry-after-ms", "1")
        else:
            self.send_header("retry-after", str(self.server.retry_after_s))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Nothing on the test's standard error."""


def _question(body: dict[str, Any]) -> tuple[str, list[bytes]]:
    text, *shown = body["messages"][0]["content"]
    heads = {"image_url": "data:image/jpeg;base64,", "video_url": "data:video/mp4;base64,"}
    urls = [(part[part["type"]]["url"], heads[part["type"]]) for part in shown]
    assert all(url.startswith(head) for url, head in urls)
    return text["text"], [base64.b64decode(url.removeprefix(head)) for url, head in urls]


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatServer]]:
    """``chat_server(answer=..., refused=[429])`` starts a server: see ``ChatServer``. Its key is in TEST_KEY."""
    monkeypatch.setenv("TEST_KEY", "secret")
    started: list[tuple[ChatServer, threading.Thread]] = []

    def start(**options: Any) -> ChatServer:
        server = ChatServer(**options)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
