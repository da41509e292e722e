"""A camera on loopback, a real RTSP server of a drawn clip in a loop; and a webhook that keeps what it got."""

import base64
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

import av
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


class UdpServer:
    """A small RTSP server of one H.264 file that sends by UDP, to one client at a time; it may fall silent."""

    def __init__(self, path: Path) -> None:
        self._path, self._silent, self._stop = path, threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        port = self._listening.getsockname()[1]
        self.url = f"rtsp://user:pass-word@127.0.0.1:{port}/cam"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def fall_silent(self) -> None:
        self._silent.set()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(0.1)
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        got, ended, sender, ports = b"", threading.Event(), None, ""
        while not self._stop.is_set():
            try:
                if not (part := client.recv(4096)):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
            got += part
            while b"\r\n\r\n" in got:
                request, _, got = got.partition(b"\r\n\r\n")
                words = request.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (word.partition(": ") for word in words[1:])}
                answer, body = [f"CSeq: {headers['cseq']}"], b""
                match words[0].split()[0]:
                    case "DESCRIBE":
                        body = self._description()
                        answer += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
                    case "SETUP":
                        assert "RTP/AVP/TCP" not in headers["transport"]
                        ports = headers["transport"].partition("client_port=")[2].partition("-")[0]
                        answer += [f"Transport: {headers['transport']};server_port=40000-40001", "Session: 1"]
                    case "PLAY":
                        answer += ["Session: 1"]
                        sender = threading.Thread(target=self._send, args=(int(ports), ended))
                        sender.start()
                client.sendall("\r\n".join(["RTSP/1.0 200 OK", *answer, "", ""]).encode() + body)
        ended.set()
        if sender is not None:
            sender.join()

    def _description(self) -> bytes:
        with av.open(str(self._path)) as opened:
            facts = opened.streams.video[0].codec_context.extradata
        assert facts is not None
        first = 8 + int.from_bytes(facts[6:8])
        other = first + 3 + int.from_bytes(facts[first + 1 : first + 3])
        sets = ",".join(base64.b64encode(part).decode() for part in (facts[8:first], facts[first + 3 : other]))
        lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=cam", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 0 RTP/AVP 96",
                 "a=rtpmap:96 H264/90000", f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={sets}",
                 "a=control:track0", "")  # fmt: skip
        return "\r\n".join(lines).encode()

    def _send(self, port: int, ended: threading.Event) -> None:
        began_s, shift_s = time.monotonic(), 0.0
        with av.open(f"rtp://127.0.0.1:{port}", "w", format="rtp") as output, av.open(str(self._path)) as opened:
            source = opened.streams.video[0]
            stream = output.add_stream_from_template(source)
            assert source.time_base is not None
            while not ended.is_set():
                opened.seek(0)
                time_s = 0.0
                for packet in opened.demux(source):
                    if packet.pts is None:
                        continue
                    time_s = float(packet.pts * source.time_base)
                    ended.wait(max(began_s + shift_s + time_s - time.monotonic(), 0.0))
                    if ended.is_set():
                        break
                    packet.pts += round(shift_s / source.time_base)
                    packet.dts = packet.pts
                    packet.stream = stream
                    if not self._silent.is_set():
                        output.mux(packet)
                shift_s += time_s + 1 / RATE_HZ


@pytest.fixture
def udp(clip: Path) -> Iterator[UdpServer]:
    server = UdpServer(clip)
    yield server
    server.stop()


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
