"""How fast and in how much memory examples are prepared and written in all three formats.

    python -m benchmarks.preparing --examples 1000000 --out benchmarks/results/preparing.json

Videos of 60 s with two events are made up one by one, so that only what preparation itself holds is measured. Peak
memory is the process's, read after a tenth of the examples and at the end: that it does not grow is the claim.
"""

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pydantic

from benchmarks.keeping import keep_result
from omnisila import __version__
from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.preparation.durations import Durations
from omnisila.data.preparation.example_files import FORMATS, write_examples
from omnisila.data.preparation.implicit_subsets import Kept
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.preparing import video_examples
from omnisila.data.preparation.requests import Preparation
from omnisila.schema import Example, Span, Truth

DURATION_S = 60.0
EXAMPLES_A_VIDEO = 64  # 60 windows, identify, locate and two causes


def videos(count: int) -> Iterator[Kept]:
    """Made-up videos, each with two events and their causes."""
    truth = (
        Truth(span=Span(start_s=8.0, end_s=14.0), label="Fighting", cause="two people strike each other; one falls"),
        Truth(span=Span(start_s=30.5, end_s=41.25), label="Fire", cause="flames rise from a car"),
    )
    for index in range(count):
        name = f"video-{index:07d}"
        yield Kept(
            AnnotatedVideo(
                id=name, path=f"{name}.mp4", labels={"implicit": None}, truth=truth, duration_s=DURATION_S,
                sources=(name,),
            )
        )  # fmt: skip


def watched(examples: Iterator[Example], at: int, peaks_mb: list[float]) -> Iterator[Example]:
    """The examples; notes the peak memory when ``at`` of them have passed."""
    for index, example in enumerate(examples):
        if index == at:
            peaks_mb.append(peak_memory_mb())
        yield example


def peak_memory_mb() -> float:
    """The process's peak memory so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """Prepare, write, and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    left_out = LeftOut()
    kept = videos(-(-arguments.examples // EXAMPLES_A_VIDEO))
    made = video_examples("made-up", kept, Durations(None, left_out), left_out, Preparation())
    peaks_mb: list[float] = []
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        counts = write_examples(watched(made, arguments.examples // 10, peaks_mb), Path(folder), tuple(FORMATS))
        sizes_mb = {path.name: round(path.stat().st_size / 2**20, 1) for path in sorted(Path(folder).iterdir())}
    cpu_s = time.process_time() - cpu
    result = {
        "command": f"python -m benchmarks.preparing --examples {arguments.examples} --out {arguments.out}",
        "machine": f"one core, {platform.machine()}, {platform.system()}, shared with other work",
        "versions": {"omnisila": __version__, "pydantic": pydantic.VERSION, "pyarrow": pyarrow.__version__},
        "examples": counts.total(),
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(cpu_s, 1),
        "examples_per_cpu_s": round(counts.total() / cpu_s),
        "peak_memory_mb_after_a_tenth": peaks_mb[0],
        "peak_memory_mb": peak_memory_mb(),
        "sizes_mb": sizes_mb,
    }
    keep_result(result, arguments.out)


if __name__ == "__main__":
    main()
