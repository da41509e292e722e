"""A camera on loopback, a real RTSP server of a drawn clip in a loop; and a webhook that keeps what it got."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from omnisila.inference.analyzer import Analyzer
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.cache import FeatureCache
from omnisila.spans import ANOMALY_CURVE, SpanShape, Thresholds

RATE_HZ = 12


def moving(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A bright block that crosses a scene; the light changes every four seconds."""
    picture = np.full((height_px, width_px, 3), 60 if index // 48 % 2 else 160, np.uint8)
    left = index * 5 % (width_px - 40)
    picture[40:90, left : left + 40] = (230, 120, 20) if index // 96 % 2 else (30, 60, 200)
    return picture


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of 160x120 px with a key picture a second and none out of order."""
    from tests.conftest import write_video

    path = tmp_path_factory.mktemp("media") / "cam.mp4"
    options = {"crf": "20", "preset": "ultrafast", "bf": "0", "g": "12"}
    write_video(path, frames=20 * RATE_HZ, rate_hz=RATE_HZ, width_px=160, height_px=120, options=options, paint=moving)
    return path


class RtspServer:
    """A server process that can be frozen, killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free, socket.socket() as other:
            free.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port, self._control_port = free.getsockname()[1], other.getsockname()[1]
        self.url = f"rtsp://user:pass-word@127.0.0.1:{self.port}/cam.mp4?play_count=0"
        self.start()

    def start(self) -> None:
        program = shutil.which("rtsp-server", path=str(Path(sys.executable).parent))
        assert program is not None  # of aio-rtsp-toolkit
        self._process = subprocess.Popen(
            [
                *(program, "--dir", str(self._folder), "--host", "127.0.0.1"),
                *("--port", str(self.port), "--control-port", str(self._control_port)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + 90
        while time.monotonic() < until_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise AssertionError("the server did not start")

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def rtsp(clip: Path) -> Iterator[RtspServer]:
    server = RtspServer(clip.parent)
    yield server
    server.kill()


class Webhook(ThreadingHTTPServer):
    """Keeps what was posted; refuses the first requests with the given statuses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://user:pass-word@127.0.0.1:{self.server_port}/hook?token=pass-word"


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.refused.pop(0) if self.server.refused else 204
        if status == 204:
            self.server.got.append((dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Analyzer:
    """The embedded model with one label set."""
    cache = FeatureCache(tmp_path_factory.mktemp("features"))
    found = load("compact", AnalyzerConfig(labels=("implicit",)), cache)
    assert isinstance(found, Analyzer)
    return found


@pytest.fixture
def flagging(analyzer: Analyzer) -> Callable[[float, float], Analyzer]:
    """The analyzer with other thresholds: what a drawn clip scores is not the model's business."""

    def with_thresholds(on: float, off: float) -> Analyzer:
        shape = SpanShape(smooth_s=1.0, merge_gap_s=0.0, min_duration_s=1.0)
        thresholds = {ANOMALY_CURVE: Thresholds(on=on, off=off)}
        analyzer.scorer.calibrations = {
            "implicit": LabelSetCalibration(temperature=1.0, shape=shape, thresholds=thresholds)
        }
        return analyzer

    return with_thresholds
