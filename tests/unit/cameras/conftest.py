"""Drawn stretches of a camera's footage: people as tracks, without any extractor."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from omnisila.cameras.camera import Camera, CameraFacts, calibration_digests
from omnisila.cameras.footage import Row, WindowsKept, row
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.extractor import OBJECTS, VISUAL, Layout, SceneShard, SceneStream
from omnisila.scenes.objects import LAYOUT
from omnisila.scenes.windows import Window, WindowConfig, windows
from omnisila.schema import ModelIdentity, Span
from omnisila.spans import ANOMALY_CURVE, SpanShape, Thresholds

Person = tuple[float, float, float]  # middle, foot and height of a box, in frame fractions
RATE_HZ = 2.0
CALIBRATION = LabelSetCalibration(
    temperature=1.0, shape=SpanShape(), thresholds={ANOMALY_CURVE: Thresholds(on=0.6, off=0.4)}
)
LABELS = {"implicit": ("Fighting", "Theft", "Normal")}


def shard(people: Sequence[Sequence[Person]]) -> SceneShard:
    """One sample of objects after the other; the n-th person is track n."""
    values, mask = torch.zeros(len(people), 12, LAYOUT.width), torch.zeros(len(people), 12, dtype=torch.bool)
    for sample, there in enumerate(people):
        for track, (middle, foot, height) in enumerate(there):
            box = (middle - height / 6, foot - height, middle + height / 6, foot)
            LAYOUT.read(values[sample, track], "box").copy_(torch.tensor(box))
            LAYOUT.read(values[sample, track], "track").fill_(track)
            mask[sample, track] = True
    look = torch.randn(len(people), 1, 8, generator=torch.Generator().manual_seed(len(people)))
    streams = {
        OBJECTS: SceneStream(0.0, RATE_HZ, values, mask),
        VISUAL: SceneStream(0.0, RATE_HZ, look, torch.ones(len(people), 1, dtype=torch.bool)),
    }
    return SceneShard(0.0, len(people) / RATE_HZ, streams, {OBJECTS: LAYOUT, VISUAL: Layout({"mean": 8})})


def cut(of: SceneShard) -> list[Window]:
    return list(windows([of], WindowConfig()))


@pytest.fixture
def learnt_row() -> Callable[..., Row]:
    """``learnt_row("a.mp4", people, scores)``: a video's row; ``scores`` are of Fighting, one a second."""

    def make(
        name: str, people: Sequence[Sequence[Person]], scores: Sequence[float] = (), events: Sequence[Span] = ()
    ) -> Row:
        drawn, kept = shard(people), WindowsKept(name)
        spans = [window.span for window in kept.passing(cut(drawn), events)]
        fighting = np.array([*scores, *[0.05] * len(spans)][: len(spans)])
        posterior = np.stack([fighting, fighting / 3, 1 - fighting * 4 / 3], axis=1)
        return row(
            Path(name), f"sha of {name}", events, spans, {"implicit": posterior}, LABELS, {"implicit": CALIBRATION},
            kept, [drawn], 4 / 3,
        )  # fmt: skip

    return make


@pytest.fixture
def camera() -> Camera:
    """One that has learnt nothing yet."""
    facts = CameraFacts(
        extractor_digest="extractors",
        model=ModelIdentity(name="small", version="1", digest="a" * 64),
        calibrations=calibration_digests({"implicit": CALIBRATION}),
        window=WindowConfig(),
        labels=LABELS,
        width_px=320,
        height_px=240,
    )
    return Camera(facts, {})
