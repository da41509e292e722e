"""A reverse proxy as people put one before the server: another port, a path in front, the Host of the inner server."""

from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self


class Proxy:
    """Shows what is at ``port`` below ``path``.

    Args:
        port: of the server.
        path: in front, such as ``/review``.
        strips: whether the path is taken off before a request goes on.
    """

    def __init__(self, port: int, path: str, *, strips: bool) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                inner = HTTPConnection("127.0.0.1", port, timeout=60)
                target = self.path.removeprefix(path) if strips else self.path
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                inner.request(self.command, target or "/", self.rfile.read(length), headers)
                answer = inner.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                inner.close()

            do_POST = do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_port}"
        self.address = f"{self.origin}{path}/"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
