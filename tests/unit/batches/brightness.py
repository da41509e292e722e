"""A small analyzer for batches: how bright each second of a video is. Some names make it fail as real files do."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from omnisila.batches.ledger import End
from omnisila.batches.listing import Source
from omnisila.batches.storage import Storage
from omnisila.batches.work import Work, scratch_folder
from omnisila.digests import finding_id
from omnisila.media.video import VideoReader, sha256
from omnisila.report.exports import exporter
from omnisila.schema import Analysis, CurvePoint, Finding, ModelIdentity, Span, VideoIdentity

BRIGHT = 0.5
MODEL = ModelIdentity(name="brightness", version="1", digest="brightness")


def analyze(path: Path) -> Analysis:
    """A finding a second that is brighter than half."""
    reader = VideoReader(path)
    seconds: dict[int, list[float]] = {}
    for frame in reader:
        seconds.setdefault(int(frame.time_s), []).append(float(frame.image.float().mean()) / 255)
    curve = tuple(
        CurvePoint(start_s=second, end_s=second + 1, score=round(sum(levels) / len(levels), 4), posterior={})
        for second, levels in seconds.items()
    )
    content = sha256(path)
    spans = [(Span(start_s=point.start_s, end_s=point.end_s), point.score) for point in curve if point.score > BRIGHT]
    return Analysis(
        video=VideoIdentity(
            path=str(path),
            sha256=content,
            duration_s=reader.info.duration_s,
            rate_hz=reader.info.rate_hz,
            width_px=reader.info.width_px,
            height_px=reader.info.height_px,
            decoded_ratio=reader.decoded_ratio,
        ),
        labels=("implicit",),
        labels_not_scored=(),
        model=MODEL,
        findings=tuple(
            Finding(
                id=finding_id(content, "implicit", "Fire", span.start_s, span.end_s),
                span=span,
                label="Fire",
                labels="implicit",
                score=score,
                cause=None,
            )
            for span, score in spans
        ),
        anomaly_curve=curve,
        expert_weights=(),
    )


def start(out: str, log: str, slow_s: float = 0.0) -> Callable[[Source], End]:
    """As ``task.prepare``; notes each analysis in a file of ``log``, and takes its time."""

    def analyze_noted(path: Path) -> Analysis:
        time.sleep(slow_s)
        if "kills" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hangs" in path.name:
            time.sleep(600)
        analysis = analyze(path)
        with noted.open("a") as file:
            file.write(f"{path.name}\n")
        return analysis

    noted = Path(log) / str(os.getpid())
    noted.touch()
    form = exporter("json")
    return Work(analyze_noted, {form.suffix: lambda analysis, _: form.export(analysis)}, Storage(out), scratch_folder())
