"""Streams that are watched: a real RTSP server that is killed, frozen and started again; files; a webhook."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from omnisila.inference.analyzer import Analyzer
from omnisila.media.video import VideoReader
from omnisila.schema import Analysis
from omnisila.watch.address import Address
from omnisila.watch.settings import WatchSettings
from omnisila.watch.targets import target
from omnisila.watch.watching import Watch
from tests.waiting import wait_for

PASSWORD = "pass-word"
Flagging = Callable[[float, float], Analyzer]


def lines(out: Path, kind: str) -> list[dict[str, Any]]:
    """Events of a kind, in order, of all hours."""
    texts = [path.read_text() for path in sorted(out.glob("*/????-??-??/??.jsonl"))]
    return [line for text in texts for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def quick(out: Path, **changes: Any) -> WatchSettings:
    return WatchSettings(out=out, retry_s=0.2, retry_max_s=0.5, refused_s=0.2, stall_s=1.0, pre_s=1, post_s=1).replace(
        **changes
    )


@contextmanager
def running(watch: Watch, metrics_port: int | None = None) -> Iterator[Watch]:
    """The watch in a thread, ended afterwards."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, kwargs={"stop": stop, "metrics_port": metrics_port})
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def outages(out: Path) -> int:
    """Gaps after which the stream came back; on a loaded machine there may be others."""
    return sum(line["reason"] != "too slow" for line in lines(out, "gap"))


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def no_password(out: Path, *said: str) -> bool:
    files = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    return not any(PASSWORD.encode() in content for content in (*files, *(one.encode() for one in said)))


def test_a_stream_gives_what_an_offline_analysis_gives(flagging: Flagging, clip: Path, tmp_path: Path):
    offline = flagging(0.5, 0.5).analyze(clip)
    score = np.array([point.score for point in offline.anomaly_curve])
    middle = float(np.median(score))
    analyzer = flagging(min(middle + 0.02, 1.0), middle)
    offline = analyzer.analyze(clip)
    assert offline.findings
    Watch([Address.parse(f"cam={clip}")], analyzer, quick(tmp_path), say=lambda _: None).run()
    found = lines(tmp_path, "score")
    assert [line["score"] for line in found] == pytest.approx(list(score), abs=2e-3)
    closed = [line for line in lines(tmp_path, "finding") if line["event"] == "close"]
    begin = np.datetime64(found[0]["start_utc"].rstrip("Z"))
    told = [
        tuple(
            (np.datetime64(line[end].rstrip("Z")) - begin) / np.timedelta64(1, "s") for end in ("start_utc", "end_utc")
        )
        for line in closed
    ]
    assert np.array(told) == pytest.approx(
        np.array([(f.span.start_s, f.span.end_s) for f in offline.findings]), abs=2e-3
    )
    assert [line["label"] for line in closed] == [finding.label for finding in offline.findings]
    assert [line["cause"] for line in closed] == [finding.cause for finding in offline.findings]
    clips = sorted(tmp_path.glob("cam/*/*/*.mp4"))
    assert len(clips) == len(closed)
    for path in clips:
        analysis = Analysis.model_validate_json(path.with_name(f"{path.name}.json").read_text())
        reader = VideoReader(path)
        assert sum(1 for _ in reader) > 12
        assert not reader.warnings
        assert analysis.findings[0].span.end_s <= reader.info.duration_s + 0.1


def test_a_camera_is_killed_frozen_and_comes_back(flagging: Flagging, rtsp, webhook, tmp_path: Path):
    webhook.refused = [503, 500]
    said: list[str] = []
    watch = Watch(
        [Address.parse(f"yard={rtsp.url}"), Address.parse(f"dead=rtsp://user:{PASSWORD}@127.0.0.1:9/none")],
        flagging(0.0, 0.0),
        quick(tmp_path),
        [target(webhook.url, b"secret")],
        said.append,
    )
    watch.outbox._retry_s = 0.1  # a second would only make the test slower
    meter = watch.streams[0].meter
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(watch, port):
        wait_for(lambda: meter.windows >= 3)
        rtsp.kill()
        wait_for(lambda: not meter.connected)
        rtsp.start()
        wait_for(lambda: outages(tmp_path) >= 1)
        rtsp.freeze()
        began_s = time.monotonic()
        wait_for(lambda: not meter.connected)
        assert time.monotonic() - began_s < 20
        rtsp.kill()
        rtsp.start()
        wait_for(lambda: outages(tmp_path) >= 2)
        wait_for(lambda: len(webhook.got) >= 2)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            told = answer.read().decode()
    metrics = {line.split()[0]: float(line.split()[1]) for line in told.splitlines() if line[0] != "#"}
    prefix = "omnisila_watch_"
    for name in ("connected", "lag_seconds", "queued_frames", "dropped_frames_total", "latency_p95_seconds"):
        assert f'{prefix}{name}{{camera="yard"}}' in metrics
    assert metrics[f'{prefix}reconnects_total{{camera="yard"}}'] >= 2
    assert metrics[f'{prefix}last_frame_age_seconds{{camera="dead"}}'] == float("inf")
    assert f"{prefix}notices_waiting" in metrics
    events = [json.loads(body) for _, body in webhook.got]
    assert [one["event"] for one in events[:2]] == ["open", "close"]
    assert events[0]["finding"] == events[1]["finding"]
    assert len({headers["Idempotency-Key"] for headers, _ in webhook.got}) == len(webhook.got)
    for headers, body in webhook.got:
        at_s, signed = (part.split("=")[1] for part in headers["X-Omnisila-Signature"].split(","))
        assert signed == hmac.new(b"secret", f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    gaps = lines(tmp_path, "gap")
    assert all(one["start_utc"] < one["end_utc"] for one in gaps)
    judged = [line["start_utc"] for line in lines(tmp_path, "score")]
    assert not any(gap["start_utc"] < at < gap["end_utc"] for gap in gaps for at in judged)
    assert list(tmp_path.glob("yard/*/*/*.mp4"))
    assert any(line.startswith("dead:") for line in said)
    assert no_password(tmp_path, told, *said)


def test_a_stream_over_udp_that_falls_silent(flagging: Flagging, udp, tmp_path: Path):
    said: list[str] = []
    settings = quick(tmp_path, transport="udp")
    watch = Watch([Address.parse(f"yard={udp.url}")], flagging(1.0, 1.0), settings, say=said.append)
    meter = watch.streams[0].meter
    with running(watch):
        wait_for(lambda: meter.windows >= 3)
        udp.fall_silent()
        wait_for(lambda: lines(tmp_path, "lost"))
    assert len(lines(tmp_path, "score")) >= 3
    assert no_password(tmp_path, *said)


def test_ten_reconnects_leave_nothing_behind(flagging: Flagging, rtsp, tmp_path: Path):
    watch = Watch([Address.parse(f"yard={rtsp.url}")], flagging(1.0, 1.0), quick(tmp_path), say=lambda _: None)
    meter = watch.streams[0].meter
    with running(watch):
        wait_for(lambda: meter.windows >= 1)
        threads, descriptors = threading.active_count(), open_descriptors()
        for count in range(2, 12):
            rtsp.kill()
            rtsp.start()
            wait_for(lambda wanted=count: meter.connections >= wanted)
        wait_for(lambda: outages(tmp_path) >= 10)
        assert threading.active_count() <= threads
        assert open_descriptors() <= descriptors + 2
        assert len(watch.streams[0].reader.rings) <= 1


def test_a_slow_consumer_drops_and_says_so(flagging: Flagging, rtsp, tmp_path: Path):
    watch = Watch(
        [Address.parse(f"yard={rtsp.url}")], flagging(1.0, 1.0), quick(tmp_path, queue_s=2), say=lambda _: None
    )
    camera = watch.streams[0]
    with running(watch):
        wait_for(lambda: camera.meter.windows >= 1)
        with camera._lock:  # another stream holds the model
            wait_for(lambda: camera.meter.dropped > 0)
            assert len(camera._queue) <= 8
        gap = wait_for(lambda: lines(tmp_path, "gap"))[0]
    assert gap["reason"] == "too slow"
    assert gap["frames"] >= 4


def test_refused_and_missing_streams_are_told_apart(flagging: Flagging, webhook, tmp_path: Path):
    del webhook
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401 if "locked" in self.path else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://user:{PASSWORD}@127.0.0.1:{server.server_port}"
    said: list[str] = []
    addresses = [Address.parse(f"a={base}/locked.ts"), Address.parse(f"b={base}/none.ts")]
    Watch(addresses, flagging(1.0, 1.0), quick(tmp_path), say=said.append).run(for_s=3)
    server.shutdown()
    server.server_close()
    assert [line for line in said if line.startswith("a:")] == ["a: the server refuses user or password (401)"]
    assert [line for line in said if line.startswith("b:")] == ["b: the server has no such stream (404)"]
    assert no_password(tmp_path, *said)


def test_a_folder_that_fills(flagging: Flagging, clip: Path, tmp_path: Path):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    watch = Watch([Address.parse(str(inbox))], flagging(0.0, 0.0), quick(out), say=lambda _: None)
    with running(watch):
        (inbox / "a.mp4").write_bytes(clip.read_bytes())
        (inbox / "broken.mp4").write_bytes(b"no video")
        wait_for(lambda: lines(out, "analysed") and lines(out, "failed"))
    assert [line["file"] for line in lines(out, "analysed")] == ["a.mp4"]
    assert lines(out, "finding")
    assert (out / "inbox" / "a.mp4.json").is_file()
