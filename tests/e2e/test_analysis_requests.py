"""Programs send videos: uploads and paths, the same findings as the command's, cancelled, refused, over a restart."""

import base64
import http.client
import http.server
import json
import secrets
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest

from omnisila.predictions.analyses import parse_analysis
from tests.conftest import write_video
from tests.e2e.review_pages import Server
from tests.unit.serve.conftest import analysed
from tools.page_picture import draw

DONE_S = 240.0  # of a busy machine


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    video = write_video(folder / "known.mp4", frames=36)
    (folder / "known.mp4.json").write_text(analysed(video, 1, 3.0).model_dump_json())
    return folder


def ask(
    server: Server, path: str, body: bytes | None = None, method: str = "GET", kind: str = "application/json"
) -> Any:
    request = urllib.request.Request(f"{server.address}{path}", body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def post(server: Server, **body: Any) -> Any:
    return ask(server, "v1/analyses", json.dumps(body).encode(), "POST")


def upload(server: Server, video: Path, **fields: str) -> Any:
    """As ``curl -F file=@video`` does it."""
    border = secrets.token_hex(8)
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="../../{video.name}"\r\n\r\n'.encode()
    body = b"".join([*parts, head, video.read_bytes(), f"\r\n--{border}--\r\n".encode()])
    return ask(server, "v1/analyses", body, "POST", f"multipart/form-data; boundary={border}")


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The address at which a folder's files are."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def finished(server: Server, name: str) -> Any:
    end_s = time.monotonic() + DONE_S
    while time.monotonic() < end_s:
        said = ask(server, f"v1/analyses/{name}")
        if said.get("status") not in ("queued", "running"):
            return said
        time.sleep(0.3)
    raise AssertionError(f"{name} was not done within {DONE_S:g} s")


def test_an_upload_gives_the_findings_of_the_command_and_reaches_the_queue(
    tmp_path: Path, reports: Path, cache_folder: Path, omnisila: Any
) -> None:
    video = tmp_path / "smile.mp4"
    draw(video)
    with Server(reports, "--fetch-from", "127.0.0.1") as server:
        asked = upload(server, video, labels="explicit")
        assert asked["status"] in ("queued", "running")
        analysis = parse_analysis(json.dumps(finished(server, asked["id"])))
        assert upload(server, video, labels="explicit")["id"] == asked["id"]
        assert upload(server, video, labels="explicit")["status"] == "done"
        with serve_folder(tmp_path) as address:
            fetched = post(server, video_url=f"{address}/smile.mp4", labels=["explicit"])
        assert (fetched["id"], fetched["status"]) == (asked["id"], "done"), "the same video by its address"
        events = urllib.request.urlopen(f"{server.address}v1/analyses/{asked['id']}/events", timeout=30).read().decode()
        assert events.startswith("event: done\ndata: {")
        end_s = time.monotonic() + 60
        while len(found := ask(server, "api/queue")["findings"]) < 1 + len(analysis.findings):
            assert time.monotonic() < end_s
            time.sleep(0.2)
        mine = next(one for one in found if one["labels"] == "explicit")
        assert ask(server, f"api/videos/{mine['report']}/media")["show"] == "original"
    assert list(cache_folder.glob(f"features/*/{analysis.video.sha256}-*/video.json")), "what was found is kept"
    omnisila("analyze", video, "--labels", "explicit", "--out", tmp_path / "out", "--format", "json")
    by_command = parse_analysis((tmp_path / "out/smile.mp4.json").read_text())
    assert analysis.findings == by_command.findings
    assert analysis.video.sha256 == by_command.video.sha256
    kept = Path(analysis.video.path)  # below the folder of uploads, whatever the name asked for
    assert kept.name == "smile.mp4"
    assert kept.is_relative_to((reports / ".omnisila/review/uploads").resolve())


def test_a_queue_survives_a_killed_server_and_is_cancelled(reports: Path) -> None:
    with Server(reports) as server:
        first = post(server, path="known.mp4")
        second = post(server, path="known.mp4", labels=["implicit"])
        assert first["id"] != second["id"]
        server.end(signal.SIGKILL)
        server.start()
        assert ask(server, f"v1/analyses/{second['id']}", method="DELETE")["status"] == "cancelled"
        assert finished(server, first["id"])["schema_version"] == 1
        assert ask(server, f"v1/analyses/{second['id']}")["status"] == "cancelled"


def test_what_cannot_be_is_refused_or_fails_in_a_line(reports: Path) -> None:
    (reports.parent / "outside.mp4").write_bytes(b"x")
    (reports / "link.mp4").symlink_to(reports.parent / "outside.mp4")
    (reports / "text.mp4").write_text("this is no video")
    with Server(reports, "--videos", str(reports)) as server:
        for body in (
            {"path": "../outside.mp4"},
            {"path": str(reports.parent / "outside.mp4")},
            {"path": "link.mp4"},
            {"path": "nowhere.mp4"},
            {"path": "known.mp4", "model": "gpt"},
            {"path": "known.mp4", "labels": ["nonsense"]},
            {"path": "known.mp4\x00"},
            {"video_url": "http://127.0.0.1/x.mp4"},
            {},
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(server, **body)
            assert refused.value.code == 422
            refused.value.close()
        failed = finished(server, post(server, path="text.mp4")["id"])
        assert failed["status"] == "failed"
        assert "not a video" in failed["error"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/v1/analyses/" + "0" * 24)
        assert connection.getresponse().status == 404
        connection.close()
        assert {one["id"] for one in ask(server, "v1/models")["data"]} == {"compact", "compact-hawkeye"}


def test_openai_clients_ask_about_a_video_unchanged(tmp_path: Path, reports: Path, omnisila: Any) -> None:
    video = tmp_path / "smile.mp4"
    draw(video)
    address = f"data:video/mp4;base64,{base64.b64encode(video.read_bytes()).decode()}"
    question = "When is the sentiment conveyed in this video?"
    content: list[Any] = [{"type": "video_url", "video_url": {"url": address}}, {"type": "text", "text": question}]
    messages: list[Any] = [{"role": "system", "content": "Answer."}, {"role": "user", "content": content}]
    with Server(reports) as server:
        client = openai.OpenAI(base_url=f"{server.address}v1", api_key="none", max_retries=0)
        assert "compact" in {one.id for one in client.models.list()}
        said = client.chat.completions.create(model="compact", messages=messages)
        assert said.choices[0].finish_reason == "stop"
        pieces = client.chat.completions.create(model="compact", messages=messages, stream=True)
        streamed = "".join(one.choices[0].delta.content or "" for one in pieces)
        for wrong in ({"model": "gpt"}, {"messages": [{"role": "user", "content": question}]}):
            with pytest.raises(openai.APIStatusError) as refused:
                client.chat.completions.create(**{"model": "compact", "messages": messages, **wrong})
            assert refused.value.status_code in (404, 422)
        client.close()
    by_command = omnisila("chat", video, "--ask", question).stdout.strip()
    assert said.choices[0].message.content == streamed == by_command
    assert "positive from" in by_command
