"""A folder of analyses as ``analyze`` writes them, of videos that were drawn, and a server of it in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from omnisila.digests import file_digest
from omnisila.schema import (
    Analysis,
    Box,
    CurvePoint,
    Evidence,
    ExpertWeightsPoint,
    FaceEvidence,
    Finding,
    ModelIdentity,
    Span,
    VideoIdentity,
)
from omnisila.serve.app import build_app
from omnisila.serve.settings import ServeSettings
from tests.conftest import write_video

LABELS = ("Fighting", "Robbery", "Theft", "Fire")


def analysed(video: Path, findings: int, duration_s: float, warnings: tuple[str, ...] = ()) -> Analysis:
    """An analysis of a video with findings of falling score, each half a second long."""
    face = FaceEvidence(
        time_s=0.25,
        box=Box(left_frac=0.2, top_frac=0.2, right_frac=0.4, bottom_frac=0.5),
        score=0.9,
        expressions={"happy": 0.7},
    )
    times_s = range(int(duration_s))
    return Analysis(
        video=VideoIdentity(
            path=str(video),
            sha256=file_digest(video),
            duration_s=duration_s,
            rate_hz=12.0,
            width_px=64,
            height_px=48,
            decoded_ratio=1.0,
        ),
        labels=("implicit",),
        labels_not_scored=(),
        model=ModelIdentity(name="compact", version="1", digest="d" * 64),
        findings=tuple(
            Finding(
                span=Span(start_s=0.25 * k, end_s=0.25 * k + 0.5),
                label=LABELS[k % len(LABELS)],
                labels="implicit",
                score=0.99 - 0.01 * k,
                cause=f"<b>cause</b> {k}",
                evidence=Evidence(faces=(face,)),
            )
            for k in range(findings)
        ),
        anomaly_curve=tuple(CurvePoint(start_s=k, end_s=k + 1, score=0.5) for k in times_s),
        expert_weights=tuple(
            ExpertWeightsPoint(**{"start_s": k, "end_s": k + 1, "face": 0.4, "action": 0.6})  # type: ignore[arg-type]
            for k in times_s
        ),
        warnings=warnings,
    )


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two videos in two folders: five findings, and three with a warning."""
    folder = tmp_path / "reports"
    for name, findings, warnings in (("north/a", 5, ()), ("south/<i>b", 3, ("damaged at 1 s",))):
        video = folder / f"{name}.mp4"
        video.parent.mkdir(parents=True)
        write_video(video, frames=36, rate_hz=12, width_px=64 if findings == 5 else 80)
        text = analysed(video, findings, 3.0, warnings).model_dump_json()
        video.with_suffix(".mp4.json").write_text(text, encoding="utf-8")
    (folder / "other.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def serve(reports: Path) -> Iterator[Callable[..., TestClient]]:
    """A client of a server of ``reports`` with the settings given; its library has been searched."""
    clients: list[TestClient] = []

    def start(**settings: object) -> TestClient:
        app = build_app(ServeSettings(reports=reports, **settings))  # type: ignore[arg-type]
        client = TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False)
        client.__enter__()
        clients.append(client)
        app.state.services.library.scan()
        return client

    yield start
    for client in clients:
        client.__exit__()
