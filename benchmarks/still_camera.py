"""What it saves not to look again where nothing moved, and what it changes.

    python -m benchmarks.still_camera FOLDER... [--videos 10] [--out benchmarks/results/still_camera.json]

So many videos of each folder, drawn by seed, are analysed with the embedded model: every picture looked at, then with
the threshold in use and with a higher one. Told are the seconds of extraction, findings that differ, and how far the
anomaly curves are apart. What a camera that stands still saves is measured on a minute of the first video's first
picture with sensor noise (4 grey levels), as H.264.
"""

import argparse
import os
import random
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from benchmarks.keeping import keep_result
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.inputs import VIDEO_SUFFIXES
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.media.video import VideoReader
from omnisila.scenes import chunked
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Analysis

ALL = -1.0  # every picture that is not the same to the bit
LEVELS = (ALL, chunked.STILL_LEVELS, 2 * chunked.STILL_LEVELS)
NOISE, SECONDS, RATE_HZ = 4.0, 60, 12


def write_still(source: Path, target: Path) -> Path:
    """A minute of the source's first picture through a noisy sensor."""
    picture = next(iter(VideoReader(source).at_rate(1.0, long_side_px=416))).image.numpy()
    random_numbers = np.random.default_rng(0)
    with av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=RATE_HZ, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width = (side // 2 * 2 for side in picture.shape[:2])
        for number in range(SECONDS * RATE_HZ):
            shown = picture[: stream.height, : stream.width] + random_numbers.normal(
                0, NOISE, (stream.height, stream.width, 1)
            )
            frame = VideoFrame.from_ndarray(shown.clip(0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE_HZ)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target


def analyse(files: list[Path], levels: float) -> tuple[list[Analysis], dict[str, float]]:
    """All files with an empty cache, and the seconds of extraction by stage."""
    chunked.STILL_LEVELS = levels
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        analyzer = load("compact", AnalyzerConfig(), FeatureCache(Path(folder)))
        assert isinstance(analyzer, Analyzer)
        found = [analyzer.analyze(path) for path in files]
    for analysis in found:
        for stage, spent_s in analysis.timings_s.items():
            seconds[stage] = round(seconds.get(stage, 0.0) + spent_s, 2)
    return found, seconds


def events(analysis: Analysis) -> list[tuple[str, float, float]]:
    """What stands in the result, and when."""
    return [(finding.label, finding.span.start_s, finding.span.end_s) for finding in analysis.findings]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--videos", type=int, default=10, help="of each folder")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    files: list[Path] = []
    for folder in arguments.folders:
        there = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        files += random.Random(0).sample(there, min(arguments.videos, len(there)))
    with tempfile.TemporaryDirectory() as aside:
        still = write_still(files[0], Path(aside) / "still.mp4")
        analyse([still], ALL)  # loads what is loaded once
        runs = {levels: analyse(files, levels) for levels in LEVELS}
        stills = {levels: analyse([still], levels)[1] for levels in LEVELS}
    every = runs[ALL][0]
    result: dict[str, Any] = {
        "command": "python -m benchmarks.still_camera FOLDER... --out benchmarks/results/still_camera.json",
        "cores": os.cpu_count(),
        "videos": len(files),
        "findings": sum(len(analysis.findings) for analysis in every),
    }
    for levels, (found, seconds) in runs.items():
        apart = [
            abs(a.score - b.score)
            for whole, other in zip(every, found, strict=True)
            for a, b in zip(whole.anomaly_curve, other.anomaly_curve, strict=True)
        ]
        result["every picture" if levels == ALL else f"{levels:g} levels"] = {
            "videos_with_other_findings": sum(events(a) != events(b) for a, b in zip(every, found, strict=True)),
            "largest_difference_of_curves": round(max(apart), 4),
            "features_s": seconds["features"],
            "still_camera_60_s": stills[levels],
        }
    keep_result(result, arguments.out)


if __name__ == "__main__":
    main()
