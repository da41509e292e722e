"""``omnisila learn-camera`` and ``analyze --camera`` as a user runs them, on drawn footage of a yard."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

import omnisila as package
from omnisila.cameras.camera import Camera
from omnisila.decisions import Decision
from omnisila.errors import OmnisilaError
from omnisila.records import append
from omnisila.report.exports import exporter, formats
from omnisila.schema import Analysis

Run = Callable[..., Result]
Make = Callable[..., Path]
SHAPE: dict[str, Any] = {"rate_hz": 12, "width_px": 320, "height_px": 240}


def yard(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A lawn in which nothing moves."""
    del index
    grain = np.random.default_rng(7).integers(90, 130, (12, 16, 1), dtype=np.uint8)
    return np.array(Image.fromarray(np.repeat(grain, 3, axis=2)).resize((width_px, height_px)))


def visited(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A person who walks from right to left along the bottom (NASA, public domain)."""
    picture = yard(index, width_px, height_px)
    person = np.array(Image.open(Path(__file__).parents[1] / "fixtures" / "astronaut.jpg").resize((100, 100)))
    left = 210 - index
    picture[130:230, left : left + 100] = person
    return picture


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, write_clip: Make) -> Path:
    folder = tmp_path_factory.mktemp("yard")
    for name, frames in (("a.mp4", 60), ("b.mp4", 72)):
        write_clip(folder / name, frames=frames, paint=yard, **SHAPE)
    return folder


@pytest.fixture(scope="module")
def camera(footage: Path, tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Path:
    from typer.testing import CliRunner

    from omnisila.cli.app import app

    del cache_folder
    path = tmp_path_factory.mktemp("camera") / "yard.camera"
    ended = CliRunner().invoke(app, ["learn-camera", str(footage), "--out", str(path)])
    assert ended.exit_code == 0, ended.stderr
    assert "11 seconds of 2 videos" in ended.stderr
    return path


def analysis_of(folder: Path, name: str) -> Analysis:
    return Analysis.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_who_walks_where_nothing_ever_moved_is_unusual_and_calm_is_not(
    omnisila: Run, camera: Path, make_video: Make, tmp_path: Path
) -> None:
    clips = (
        make_video("calm.mp4", frames=48, paint=yard, **SHAPE),
        make_video("walk.mp4", frames=72, paint=visited, **SHAPE),
    )
    out = tmp_path / "out"
    ended = omnisila("analyze", *clips, "--camera", camera, "--out", out, "--format", "html,csv")
    assert ended.exit_code == 0, ended.stderr
    calm, walk = analysis_of(out, "calm.mp4"), analysis_of(out, "walk.mp4")
    assert [one for one in calm.findings if one.labels == "unusual"] == []
    assert calm.labels == ("implicit", "explicit", "unusual")
    (unusual,) = [one for one in walk.findings if one.labels == "unusual"]
    assert unusual.label == "Unusual"
    assert unusual.cause is not None
    assert "person" in unusual.cause
    assert "of the view, where a person was never seen in 11 seconds" in unusual.cause
    assert unusual.evidence.people
    assert len({one.id for one in walk.findings} - {None}) == len(walk.findings)
    assert walk.camera is not None
    assert walk.camera.alarms_per_hour == 0.2
    scored = {label for of in walk.anomaly_curve[0].posterior.values() for label in of}
    assert {one.label for one in walk.camera.limits} == scored - {"Normal", "neutral"}
    assert any("learnt from 11 seconds" in line and "no promise" in line for line in walk.warnings)
    assert "Unusual" in ended.stderr
    assert "Unusual" in (out / "walk.mp4.html").read_text(encoding="utf-8")
    assert ",unusual,Unusual," in (out / "walk.mp4.csv").read_text(encoding="utf-8")
    again = omnisila("analyze", *clips, "--camera", camera, "--out", out, "--format", "html,csv")
    assert "already analysed" in again.stderr


def test_a_watched_camera_tells_what_an_analysis_tells(
    omnisila: Run, camera: Path, make_video: Make, tmp_path: Path
) -> None:
    walk = make_video("walk.mp4", frames=96, paint=visited, **SHAPE)
    small = make_video("small.mp4", frames=24, paint=yard, rate_hz=12)
    assert omnisila("analyze", walk, "--camera", camera, "--out", tmp_path / "offline").exit_code == 0
    offline = [found for found in analysis_of(tmp_path / "offline", "walk.mp4").findings if found.label == "Unusual"]
    assert offline
    ended = omnisila("watch", walk, "--camera", camera, "--out", tmp_path / "live")
    assert ended.exit_code == 0, ended.stderr
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "live").glob("*/*/*.jsonl")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    begin = min(datetime.fromisoformat(line["start_utc"]) for line in lines if line["kind"] == "score")
    closed = [line for line in lines if line["kind"] == "finding" and line["event"] == "close"]
    closed = [line for line in closed if line["label"] == "Unusual"]
    assert [line["cause"] for line in closed] == [found.cause for found in offline]
    for line, found in zip(closed, offline, strict=True):
        told = [(datetime.fromisoformat(line[end]) - begin).total_seconds() for end in ("start_utc", "end_utc")]
        assert told == pytest.approx([found.span.start_s, found.span.end_s], abs=0.01)
        assert line["score"] == pytest.approx(found.score, abs=1e-3)
    (clip,) = (tmp_path / "live").glob("*/*/*/*_Unusual_*.json")
    shown = Analysis.model_validate_json(clip.read_text(encoding="utf-8"))
    assert shown.camera is not None
    assert shown.labels[-1] == "unusual"
    ended = omnisila("watch", small, "--camera", camera, "--out", tmp_path / "small")
    assert "64 x 48 px, but the camera was learnt from 320 x 240 px" in ended.stderr
    ended = omnisila("watch", small, walk, "--camera", camera, "--out", tmp_path / "two")
    assert "of one camera, but 2 streams" in str(ended.exception)


def test_every_format_and_reactions_beside_take_an_unusual_finding(
    omnisila: Run, camera: Path, make_video: Make, tmp_path: Path
) -> None:
    walk, out = make_video("walk.mp4", frames=36, paint=visited, **SHAPE), tmp_path / "out"
    named = ",".join(formats())
    ended = omnisila(
        "analyze", walk, "--camera", camera, "--labels", "implicit,reaction", "--out", out, "--format", named
    )
    assert ended.exit_code == 0, ended.stderr
    analysis = analysis_of(out, "walk.mp4")
    assert analysis.labels == ("implicit", "unusual", "reaction")
    assert [one.label for one in analysis.findings if one.labels == "unusual"] == ["Unusual"]
    for name in formats():
        assert "Unusual" in (out / f"walk.mp4.{exporter(name).suffix}").read_text(encoding="utf-8")


def test_python_says_the_same(camera: Path, make_video: Make, omnisila: Run) -> None:
    del omnisila  # for its cache
    walk = make_video("walk.mp4", frames=72, paint=visited, **SHAPE)
    analyzer = package.load("compact", package.AnalyzerConfig(camera=camera, alarms_per_hour=1.0))
    assert [one.label for one in analyzer.analyze(walk).findings if one.labels == "unusual"] == ["Unusual"]


def test_a_kill_costs_no_finished_video_and_the_file_is_always_whole(make_video: Make, tmp_path: Path) -> None:
    out, many = tmp_path / "yard.camera", tmp_path / "many"
    short = make_video("short.mp4", frames=24, paint=yard, **SHAPE)
    many.mkdir()
    for number in range(4):  # other bytes behind the same video are another video
        (many / f"{number}.mp4").write_bytes(short.read_bytes() + bytes([0, 0, 0, 9, *b"free", number]))
    command = [sys.executable, "-m", "omnisila", "learn-camera", str(many), "--out", str(out)]
    environment = {**os.environ, "OMNISILA_CACHE": str(tmp_path / "cache")}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 120
    while not out.exists() and time.monotonic() < ends:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = len(Camera.load(out).facts.videos)
    assert 1 <= done < 4
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert again.stderr.count("already learnt") == done
    assert len(Camera.load(out).facts.videos) == 4
    assert not list(tmp_path.glob(".*partial"))


def decision(analysis: Analysis, number: int, verdict: str) -> Decision:
    finding = analysis.findings[number]
    assert finding.id is not None
    start_s, end_s = finding.span.start_s, finding.span.end_s
    return Decision(
        finding=finding.id, verdict=verdict, labels=finding.labels, label=finding.label, start_s=start_s, end_s=end_s,
        model_start_s=start_s, model_end_s=end_s, video=analysis.video.path, video_sha256=analysis.video.sha256,
        duration_s=analysis.video.duration_s, user="ann", decided_utc=datetime(2026, 1, 1, tzinfo=UTC),
        score=finding.score, analysis="0" * 64, model="compact",
    )  # fmt: skip


def test_what_reviewers_accept_is_taken_out_of_the_ordinary(
    omnisila: Run, camera: Path, make_video: Make, tmp_path: Path
) -> None:
    walk, mine = make_video("walk.mp4", frames=72, paint=visited, **SHAPE), tmp_path / "mine.camera"
    assert omnisila("analyze", walk, "--camera", camera, "--out", tmp_path / "before").exit_code == 0
    found = analysis_of(tmp_path / "before", "walk.mp4")
    number = next(n for n, one in enumerate(found.findings) if one.labels == "unusual")
    mine.write_bytes(camera.read_bytes())
    assert omnisila("learn-camera", walk, "--out", mine).exit_code == 0  # by mistake
    assert omnisila("analyze", walk, "--camera", mine, "--out", tmp_path / "mistaken").exit_code == 0
    assert not [one for one in analysis_of(tmp_path / "mistaken", "walk.mp4").findings if one.labels == "unusual"]
    append(tmp_path / "decisions.jsonl", [decision(found, number, "accepted")])
    ended = omnisila("learn-camera", "--decisions", tmp_path / "decisions.jsonl", "--out", mine)
    assert ended.exit_code == 0, ended.stderr
    assert Camera.load(mine).facts.videos[-1].seconds == 0  # the whole video is the event
    assert Camera.load(mine).facts.verdicts["Unusual"].accepted == 1
    assert omnisila("analyze", walk, "--camera", mine, "--out", tmp_path / "after").exit_code == 0
    assert [one for one in analysis_of(tmp_path / "after", "walk.mp4").findings if one.labels == "unusual"]


def test_bad_input_is_told_in_one_line_with_the_next_step(
    omnisila: Run, camera: Path, footage: Path, make_video: Make, make_bad_file: Make, tmp_path: Path
) -> None:
    def told(*arguments: str | Path) -> str:
        out = tmp_path / ("x.camera" if arguments[0] == "learn-camera" else "x")
        ended = omnisila(*arguments, "--out", out)
        assert ended.exit_code in (1, 2)
        said = str(ended.exception) if isinstance(ended.exception, OmnisilaError) else ended.stderr
        return " ".join(said.split())

    clip, small = footage / "a.mp4", make_video("small.mp4", frames=24, width_px=160, height_px=120)
    assert "can be said of a known camera alone" in told("analyze", clip, "--alarms-per-hour", "0.5")
    assert "alarms_per_hour: wanted greater than 0" in told(
        "analyze", clip, "--camera", camera, "--alarms-per-hour", "0"
    )
    assert "both choose the thresholds" in told("analyze", clip, "--camera", camera, "--max-fnr", "0.2")
    assert "no such file" in told("analyze", clip, "--camera", tmp_path / "none.camera")
    assert "not a whole camera file" in told("analyze", clip, "--camera", clip)
    assert "learnt with model compact@" in told("analyze", clip, "--camera", camera, "--model", "compact-hawkeye")
    assert "other scene extractors or windows" in told("analyze", clip, "--camera", camera, "--window", "2")
    assert "160 x 120 px, but the camera was learnt from 320 x 240 px" in told("analyze", small, "--camera", camera)
    assert "nothing to learn from" in told("learn-camera")
    assert "no such camera file yet" in told("learn-camera", "--decisions", clip)
    for kind in ("text", "hollow", "empty"):
        assert f"{kind}.mp4: " in told("learn-camera", make_bad_file(f"{kind}.mp4", kind))
    assert not (tmp_path / "x.camera").exists()
    assert "failed: " in told("learn-camera", clip, small)
    assert len(Camera.load(tmp_path / "x.camera").facts.videos) == 1
    assert "learnt for label sets implicit, explicit" in told("learn-camera", clip, "--labels", "implicit")
    (tmp_path / "d.jsonl").write_text(json.dumps({"finding": "x"}) + "\n")
    assert "no Decision" in told("learn-camera", clip, "--decisions", tmp_path / "d.jsonl")
