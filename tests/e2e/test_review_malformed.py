"""Some 300 requests that nobody should send: each is refused in one line, none is served, none breaks the server."""

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.conftest import write_video
from tests.e2e.review_pages import Server, exported
from tests.unit.serve.conftest import analysed

SECRET = "the content of a file outside"
ODD = ("", "\x00", "a" * 5000, "\ud800", "../..", "%", "'; DROP TABLE decisions; --", "<script>", "-1", "1e400", "NaN")
NUMBERS = (-1, 2**31, 2**63, 10**400, 1.5, "1", None, True, [], {}, "NaN", -0.0)


CONTENTS = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"request": "\\ud800\\ud800\\ud800\\ud800"}',
    b"null",
    b"1" * 9000,
)


def paths() -> Iterator[str]:
    """Ways out of the folders, and places that there are not."""
    steps = (
        "..",
        "%2e%2e",
        "..%2f",
        "%252e%252e",
        "..\\",
        "..%5c",
        "....//",
        "%00",
        "//",
        "/etc/passwd",
        "file:///etc",
    )
    for base, step, count in itertools.product(("/static/", "/api/videos/", "/"), steps, (1, 4)):
        yield f"{base}{'/'.join([step] * count)}/secret.txt"
    for number in ("-1", "0", "99999", str(2**63), "1" * 400, "x", "1;2", "1%20OR%201=1", "%F0%9F%92%A9"):
        for part in ("", "/media", "/original", "/preview?start_s=0&end_s=1", "/findings/x"):
            yield f"/api/videos/{number}{part}"
    yield from (f"/api/findings/{name}" for name in ("x", "%00", "a" * 5000, "%ED%A0%80"))


def queries() -> Iterator[str]:
    for name, value in itertools.product(("after", "limit", "min_score", "max_score", "undecided", "other"), ODD):
        if (name, value) not in (("undecided", ""), ("min_score", ""), ("max_score", "")):
            yield f"/api/queue?{name}={quote(value, errors='surrogatepass')}"
    yield "/api/queue?after=nan:1"
    yield f"/api/queue?after=0.5:{2**70}"
    yield "/api/queue?after=inf:x"


def bodies(finding: str, report: int) -> Iterator[tuple[str, Any]]:
    good = {"request": "a-good-request", "findings": [finding], "change": {"verdict": "accepted"}}
    for name, value in itertools.product(good, NUMBERS[:8]):
        yield "/api/edits", {**good, name: value}
    for start_s, end_s in itertools.product(NUMBERS[:4], (0.0, -1, 10**400)):
        yield "/api/edits", {**good, "change": {"start_s": start_s, "end_s": end_s}}
    for odd in ODD:
        yield "/api/edits", {**good, "change": {"label": odd}}
        yield "/api/edits", {**good, "findings": [odd]}
    span = {"start_s": 0.5, "end_s": 1.0}
    addition = {"request": "another-request", "report": report, "labels": "implicit", "label": "Fire", "span": span}
    for name, value in itertools.product(("report", "label", "span", "request"), NUMBERS[:8]):
        if name != "report" or value not in (True, "1"):  # these are taken for numbers
            yield "/api/findings", {**addition, name: value}
    yield "/api/findings", {**addition, "labels": "implicit", "label": "Nonsense"}
    yield "/api/undo", {}
    yield "/api/redo", {"request": "x"}


class Answer(NamedTuple):
    status: int
    text: str


def ask(server: Server, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
    """A request as it is written here: no library may tidy it up."""
    given = {"Host": f"127.0.0.1:{server.port}", "Connection": "close", **headers}
    if body is not None:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + (body or b""))
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    return Answer(int(said.split(b" ", 2)[1]), said.partition(b"\r\n\r\n")[2].decode(errors="replace"))


def test_none_is_served_and_none_breaks_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    video = write_video(folder / "a.mp4", frames=36)
    (folder / "a.mp4.json").write_text(analysed(video, 3, 3.0).model_dump_json())
    (tmp_path / "secret.txt").write_text(SECRET)
    with Server(folder) as server:
        listed = json.loads(ask(server, "GET", "/api/queue").text)["findings"][0]
        asked = 0
        for path in (*paths(), *queries()):
            answer = ask(server, "GET", path)
            assert 300 <= answer.status < 500, (path, answer)
            assert SECRET not in answer.text
            asked += 1
        for path, body in bodies(listed["finding"], listed["report"]):
            answer = ask(server, "POST", path, json.dumps(body).encode())
            assert 400 <= answer.status < 500, (path, body, answer)
            assert json.loads(answer.text)["error"]["message"]
            asked += 1
        for content in CONTENTS:
            for path in ("/api/edits", "/api/findings", "/api/undo"):
                answer = ask(server, "POST", path, content)
                assert 400 <= answer.status < 500, (path, content[:20], answer)
                asked += 1
        for method, path in itertools.product(
            ("PUT", "DELETE", "POST", "TRACE", "X"), ("/", "/api/queue", "/static/keys.js")
        ):
            assert ask(server, method, path).status in (400, 403, 404, 405)
            asked += 1
        for host in ("", "evil.example", "127.0.0.1.evil.example", "[::1", "127.0.0.1:x", "a" * 10_000):
            assert 400 <= ask(server, "GET", "/api/queue", Host=host).status < 500
            asked += 1
        for ranges in ("bytes=9-1", "bytes=-", "bytes=99999999999999999999-", "bytes=" + "0-1," * 5000, "lines=1-2"):
            assert ask(server, "GET", f"/api/videos/{listed['report']}/original", Range=ranges).status in (
                200,
                206,
                400,
                416,
            )
            asked += 1
        assert asked > 300
        assert json.loads(ask(server, "GET", "/api/queue").text)["findings"][0]["state"]["verdict"] is None
    assert exported(folder) == []
