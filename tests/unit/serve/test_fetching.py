"""Videos from web addresses: of listed hosts, of public machines, whole, in time and of bounded size."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from omnisila.errors import InputError
from omnisila.serve.fetching import FetchSettings, fetch
from omnisila.serve.settings import ServeSettings

CONTENT = bytes(range(256)) * 1000


class _Footage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        match self.path.partition("?")[0]:
            case "/a%20clip.mp4":
                self._send(200, CONTENT)
            case "/chunks":
                self._begin(200, {"Transfer-Encoding": "chunked"})
                for start in range(0, len(CONTENT), 50_000):
                    piece = CONTENT[start : start + 50_000]
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            case "/short":
                self._begin(200, {"Content-Length": str(len(CONTENT) + 1)})
                self.wfile.write(CONTENT)
                self.close_connection = True
            case "/slow":
                self._begin(200, {"Content-Length": "1000"})
                with suppress(OSError):  # the client leaves before the end
                    for _ in range(100):
                        self.wfile.write(bytes(10))
                        time.sleep(0.1)
                self.close_connection = True
            case "/moved":
                self._send(302, b"", {"Location": f"http://127.0.0.1:{port}/a%20clip.mp4"})
            case "/inside":
                self._send(302, b"", {"Location": f"http://localhost:{port}/a%20clip.mp4"})
            case "/round":
                self._send(307, b"", {"Location": "/round"})
            case "/file":
                self._send(302, b"", {"Location": "file:///etc/passwd"})
            case _:
                self._send(404, b"nothing")

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self._begin(status, {"Content-Length": str(len(content)), **(headers or {})})
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that leaves is what is tested."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Footage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def received(
    address: str, hosts: tuple[str, ...] = ("127.0.0.1",), max_bytes: int = 10**6, timeout_s: float = 20.0
) -> tuple[str, bytes]:
    with fetch(address, FetchSettings(hosts, max_bytes, timeout_s)) as found:
        pieces = []
        while piece := found.read(2**20):
            pieces.append(piece)
    return found.name, b"".join(pieces)


@pytest.mark.parametrize("path", ["a%20clip.mp4", "chunks", "moved"])
def test_a_listed_host_gives_its_video(port: int, path: str) -> None:
    name, content = received(f"http://127.0.0.1:{port}/{path}?x=1")
    assert content == CONTENT
    assert name == ("chunks" if path == "chunks" else "a clip.mp4")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:{port}/inside", "localhost is not among the hosts"),
        ("http://127.0.0.1:{port}/round", "more than 5 redirects"),
        ("http://127.0.0.1:{port}/file", "no web address"),
        ("http://127.0.0.1:{port}/nothing", "answers 404"),
        ("http://127.0.0.1:{port}/short", "sent less than it announced"),
        ("http://127.0.0.1:1/a.mp4", "cannot be asked"),
        ("http://user:word@127.0.0.1:{port}/chunks", "is not among the hosts"),
        ("http://[::1]:{port}/chunks", "is not among the hosts"),
        ("http://2130706433:{port}/chunks", "is not among the hosts"),
        ("https://127.0.0.1:{port}/chunks", "cannot be asked"),
        ("ftp://127.0.0.1/a.mp4", "no web address"),
        ("http://[/a.mp4", "no web address"),
        ("http://127.0.0.1:99999/a.mp4", "no web address"),
        ("nonsense", "no web address"),
    ],
)
def test_what_may_not_or_cannot_be_fetched_is_one_line(port: int, address: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        received(address.format(port=port))


def test_names_of_machines_inside_the_network_are_refused_even_where_they_are_listed(port: int) -> None:
    with pytest.raises(InputError, match="inside a network"):
        received(f"http://localhost:{port}/chunks", ("localhost",))
    with pytest.raises(InputError, match="fetches no addresses"):
        received(f"http://127.0.0.1:{port}/chunks", ())


@pytest.mark.parametrize("path", ["a%20clip.mp4", "chunks"])
def test_a_video_that_is_too_long_is_left(port: int, path: str) -> None:
    with pytest.raises(InputError, match="longer than 1000 bytes"):
        received(f"http://127.0.0.1:{port}/{path}", max_bytes=1000)


def test_a_server_that_drips_is_left_in_time(port: int) -> None:
    began_s = time.monotonic()
    with pytest.raises(InputError, match=r"not received within 0.5 s"):
        received(f"http://127.0.0.1:{port}/slow", timeout_s=0.5)
    assert time.monotonic() - began_s < 8, "the server goes on for 10 s"


@pytest.mark.parametrize("host", ["", ".", "https://cdn.example.org", "a b", "user@host"])
def test_what_is_no_host_is_refused_at_the_start(host: str) -> None:
    with pytest.raises(ValidationError, match="is no host"):
        ServeSettings(reports=Path(), fetch_from=(host,))
