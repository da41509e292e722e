"""``omnisila analyze`` on good and bad files: results, exit statuses, continuing."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from omnisila.errors import OmnisilaError
from omnisila.predictions.read import read_predictions
from omnisila.report import exports
from omnisila.schema import Analysis, Example
from tools import page_picture

Run = Callable[..., Result]
Make = Callable[..., Path]


def analysis_of(folder: Path, name: str) -> Analysis:
    return Analysis.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_one_video_gives_json_page_subtitles_and_table(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    result = omnisila(
        "analyze", make_video("clip.mp4", frames=36, rate_hz=12), "--out", tmp_path / "out", "--format", "html,vtt,csv"
    )
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in (tmp_path / "out").glob("clip*")} == {
        "clip.mp4.json", "clip.mp4.html", "clip.mp4.vtt", "clip.mp4.csv",
    }  # fmt: skip
    analysis = analysis_of(tmp_path / "out", "clip.mp4")
    assert analysis.video.duration_s == pytest.approx(3.0, abs=0.05)
    assert analysis.labels == ("implicit", "explicit")
    assert "Water Incidents" in analysis.labels_not_scored
    assert [point.start_s for point in analysis.anomaly_curve] == [0.0, 1.0, 2.0]
    for point in analysis.expert_weights:
        total = sum(point.weights.values())
        assert total == pytest.approx(1.0, abs=0.01)
        assert point.weights["face"] == 0.0  # no face was drawn


def portrait(_index: int, width_px: int, height_px: int) -> np.ndarray:
    """A painter of the photograph of a face (NASA, public domain)."""
    head = Image.open(Path(__file__).parents[1] / "fixtures" / "astronaut.jpg").crop((60, 10, 164, 114))
    return np.array(head.resize((width_px, height_px)))


@pytest.fixture
def holed(make_video: Make, tmp_path: Path) -> Path:
    """Two recordings of a face, 3 s each, with a thousand seconds between them."""
    shape: dict[str, Any] = {"frames": 36, "rate_hz": 12, "width_px": 128, "height_px": 128, "paint": portrait}
    parts = [make_video(f"{start_s}.ts", start_s=start_s, **shape) for start_s in (1.0, 1004.0)]
    path = tmp_path / "holed.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_a_hole_in_the_video_is_one_in_the_curve_and_no_finding_spans_it(
    omnisila: Run, holed: Path, tmp_path: Path
) -> None:
    result = omnisila("analyze", holed, "--out", tmp_path / "out", "--format", "html")
    assert result.exit_code == 0, result.stderr
    analysis = analysis_of(tmp_path / "out", "holed.ts")
    starts_s = [point.start_s for point in analysis.anomaly_curve]
    assert starts_s == pytest.approx([0.0, 1.0, 2.0, 1003.0, 1004.0, 1005.0], abs=0.25)
    assert [point.start_s for point in analysis.expert_weights] == starts_s
    for one in (*analysis.anomaly_curve, *(finding.span for finding in analysis.findings)):
        assert one.end_s <= 3.25 or one.start_s >= 1002.9
    assert analysis.video.duration_s == pytest.approx(1006.0, abs=0.05)
    assert analysis.video.decoded_ratio == 1.0
    assert any("no pictures for 3.0-1003.0 s: that time is not judged" in line for line in analysis.warnings)


def test_reactions_are_not_measured_in_a_hole(omnisila: Run, holed: Path, tmp_path: Path) -> None:
    result = omnisila("analyze", holed, "--labels", "reaction", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    spans = [(point.start_s, point.end_s) for point in analysis_of(tmp_path / "out", "holed.ts").intensity_curve]
    assert spans == [pytest.approx((0.0, 3.0), abs=0.05), pytest.approx((1003.0, 1006.0), abs=0.05)]


@pytest.fixture
def smiling(make_video: Make) -> Path:
    """12 s that move from a space suit to the smiling face of its wearer, and from 10 s on back again."""
    shape = {"width_px": page_picture.WIDTH_PX, "height_px": page_picture.HEIGHT_PX, "paint": page_picture.paint}
    return make_video("smiling.mp4", frames=page_picture.FRAMES, rate_hz=page_picture.RATE_HZ, **shape)


def test_what_a_clip_shows_is_found_where_it_is(omnisila: Run, smiling: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = omnisila("analyze", smiling, "--labels", "explicit", "--out", out, "--format", "html,vtt,csv", "--cut")
    assert result.exit_code == 0, result.stderr
    analysis = analysis_of(out, "smiling.mp4")
    (finding,) = analysis.findings
    assert (finding.label, finding.labels, finding.cause) == ("positive", "explicit", "A happy face.")
    assert (finding.span.start_s, finding.span.end_s) == (pytest.approx(4.5, abs=1.0), pytest.approx(9.5, abs=1.0))
    assert finding.score > 0.5
    assert {point.score > 0.5 for point in analysis.anomaly_curve if 5 <= point.start_s < 9} == {True}
    assert {point.score for point in analysis.anomaly_curve if point.end_s <= 4 or point.start_s >= 11} == {0.0}
    for face in finding.evidence.faces:
        assert max(face.expressions, key=lambda name: face.expressions[name]) == "happy"
    assert finding.evidence.faces
    for name, said in (("html", "Positive sentiment"), ("vtt", "positive · explicit"), ("csv", "A happy face.")):
        assert said in (out / f"smiling.mp4.{name}").read_text(encoding="utf-8"), name
    (cut,) = (out / "smiling.mp4.cuts").iterdir()
    assert cut.name.endswith("_positive.mp4")


SLOW = ("transformers", "sympy", "torch._dynamo", "torch.distributed.tensor", "sklearn", "pandas", "matplotlib")
LOADED = f"""
import sys
import omnisila

analysis = omnisila.load("compact").analyze(sys.argv[1])
print([finding.cause for finding in analysis.findings], [name for name in {SLOW!r} if name in sys.modules])
"""


def test_a_finding_with_its_cause_needs_no_library_that_takes_seconds_to_import(smiling: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, str(smiling)], capture_output=True, text=True, check=True,
        env={**os.environ, "OMNISILA_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert ended.stdout == "['A happy face.'] []\n"


def test_every_format_of_the_help_is_written(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    names = ", ".join(exports.formats())
    assert names in " ".join(omnisila("analyze", "--help").stdout.replace("│", " ").split())
    shape: dict[str, Any] = {"frames": 24, "rate_hz": 12, "width_px": 128, "height_px": 128, "paint": portrait}
    clip, out = make_video("clip.mp4", **shape), tmp_path / "out"
    arguments = ("analyze", clip, "--out", out, "--format", names, "--cut", "--blur-faces")
    assert omnisila(*arguments).exit_code == 0
    found = analysis_of(out, "clip.mp4").findings
    assert found
    for name in exports.formats():
        text = (out / f"clip.mp4.{exports.exporter(name).suffix}").read_text(encoding="utf-8")
        assert all(finding.label in text for finding in found), name
    asked = tuple(
        Example(
            id=f"clip#{labels}", video="clip.mp4", start_s=0.0, end_s=2.0, task="locate", labels=labels,
            instruction="When?", answer="", truth=(), split="test", group="clip",
        )
        for labels in ("implicit", "explicit")
    )  # fmt: skip
    wanted = {(one.label, round(one.span.start_s, 2), round(one.span.end_s, 2)) for one in found}
    for name in sorted({*exports.formats()} - {"vtt"}):  # subtitles are read by players alone
        read = read_predictions(out / f"clip.mp4.{exports.exporter(name).suffix}", asked)
        back = {
            (one.label, round(one.span.start_s, 2), round(one.span.end_s, 2))
            for said in read.predictions
            for one in said.findings
        }
        assert back == wanted, name
    assert len(list((out / "clip.mp4.cuts").glob("*.mp4"))) == len(found)
    assert "already analysed" in omnisila(*arguments).stderr


def test_bad_files_are_named_and_the_others_finished(
    omnisila: Run, make_video: Make, make_bad_file: Make, tmp_path: Path
) -> None:
    good = make_video("schön 視頻.mp4", frames=12)
    bad = [make_bad_file(f"{kind}.mp4", kind) for kind in ("empty", "text", "sound", "cut")]
    damaged = make_bad_file("damaged.mp4", "damaged")
    result = omnisila("analyze", *bad, damaged, tmp_path / "missing.mp4", good, "--out", tmp_path / "out")
    assert result.exit_code == 1
    failures = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 5
    for path in (*bad, tmp_path / "missing.mp4"):
        assert any(path.name in line for line in failures)
    assert analysis_of(tmp_path / "out", "schön 視頻.mp4").video.decoded_ratio == 1.0
    assert analysis_of(tmp_path / "out", "damaged.mp4").video.decoded_ratio < 1.0
    assert any("decoded" in warning for warning in analysis_of(tmp_path / "out", "damaged.mp4").warnings)
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "missing.mp4" in index


@pytest.mark.parametrize(
    ("name", "options", "duration_s"),
    [
        ("single.mp4", {"frames": 1}, None),
        ("odd.mkv", {"frames": 12, "width_px": 61, "height_px": 47, "codec": "ffv1", "pixel_format": "bgr0"}, 1.0),
        ("deep.mkv", {"frames": 12, "pixel_format": "yuv420p10le"}, 1.0),
        ("late.mp4", {"frames": 12, "start_s": 5.0}, 1.0),
        ("varying.mkv", {"frames": 5, "times_s": (0.0, 0.1, 0.9, 1.0, 2.0)}, None),
        ("turned.mp4", {"frames": 12, "turn_deg": 90}, 1.0),
    ],
)
def test_unusual_videos_are_ordinary(
    omnisila: Run, make_video: Make, tmp_path: Path, name: str, options: dict[str, object], duration_s: float | None
) -> None:
    result = omnisila("analyze", make_video(name, **options), "--out", tmp_path / "out", "--format", "json")
    assert result.exit_code == 0, result.stderr
    analysis = analysis_of(tmp_path / "out", name)
    assert analysis.anomaly_curve
    if duration_s is not None:
        assert analysis.video.duration_s == pytest.approx(duration_s, abs=0.2)


def test_a_second_run_goes_on_and_a_changed_wish_starts_anew(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip, out = make_video("clip.mp4", frames=12), tmp_path / "out"
    assert omnisila("analyze", clip, "--out", out, "--format", "json").exit_code == 0
    written = (out / "clip.mp4.json").stat().st_mtime_ns
    assert "already analysed" in omnisila("analyze", clip, "--out", out, "--format", "json").stderr
    assert (out / "clip.mp4.json").stat().st_mtime_ns == written
    assert omnisila("analyze", clip, "--out", out, "--format", "json", "--labels", "implicit").exit_code == 0
    assert analysis_of(out, "clip.mp4").labels == ("implicit",)


def test_json_lines_for_machines(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    result = omnisila("analyze", make_video("clip.mp4", frames=12), "--out", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["schema_version"] == 1


def test_wrong_usage(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip = make_video("clip.mp4", frames=12)
    (tmp_path / "empty").mkdir()
    for arguments in (
        (clip, "--labels", "astrology"),
        (clip, "--format", "docx"),
        (clip, "--model", tmp_path / "no-model"),
        (tmp_path / "empty",),
        (clip, "--out", clip),
        (clip, "--max-fnr", "2"),
    ):
        result = omnisila("analyze", *arguments, *(() if "--out" in arguments else ("--out", tmp_path / "out")))
        assert isinstance(result.exception, OmnisilaError), arguments
        assert "\n" not in str(result.exception)
    assert omnisila("analyze").exit_code == 2


def test_models_lists_verifies_and_shows_the_card(omnisila: Run) -> None:
    assert "compact" in omnisila("models").stdout
    assert omnisila("models", "--verify").exit_code == 0
    assert "Training data" in omnisila("models", "compact").stdout


def test_extract_fills_the_cache_that_analyze_reads(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip = make_video("clip.mp4", frames=14)
    assert omnisila("extract", clip).exit_code == 0
    assert omnisila("analyze", clip, "--out", tmp_path / "out", "--format", "json").exit_code == 0
    assert "features/visual" not in analysis_of(tmp_path / "out", "clip.mp4").timings_s


def test_a_folder_tells_this_run_alone_and_heals(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip, out = make_video("in/clip.mp4", frames=12), tmp_path / "out"
    make_video("in/b.mp4", frames=13)
    first = omnisila("analyze", clip.parent, "--out", out, "--format", "html,vtt", "--cut")
    assert first.stderr.count("not scored") == 1, "once a run"
    assert ("nothing was cut" in first.stderr) == (not list(out.glob("*.cuts")))
    for content in (b"", b"{", (out / "clip.mp4.json").read_bytes()[:-100]):
        (out / "clip.mp4.json").write_bytes(content)
        again = omnisila("analyze", clip.parent, "--out", out, "--format", "html,vtt")
        assert again.exit_code == 0, again.stderr
        assert analysis_of(out, "clip.mp4").video.path == str(clip)
        assert "clip.mp4.html" in (out / "index.html").read_text(encoding="utf-8")
    own = out / "clip.mp4.cuts" / "001_0.000-1.000s_Fighting.mp4"
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(clip.read_bytes())
    alone = omnisila("analyze", clip, "--out", out, "--format", "json", "--labels", "implicit")
    assert "index.html of an earlier run" in alone.stderr
    assert {path.name for path in out.iterdir()} == {
        ".omnisila", "b.mp4.html", "b.mp4.json", "b.mp4.vtt", "clip.mp4.json",
    }  # fmt: skip


def test_results_inside_the_input_are_no_input(omnisila: Run, make_video: Make) -> None:
    clip = make_video("in/clip.mp4", frames=12)
    make_video("in/clip.mp4.cuts/001_0.000-1.000s_Fighting.mp4", frames=12)
    for _ in range(2):
        told = omnisila("analyze", clip.parent, "--out", clip.parent, "--format", "json").stderr
        assert told.splitlines()[-1].startswith("1 ")
    assert [path.name for path in clip.parent.rglob("*.json")] == ["clip.mp4.json"]


def test_names_of_every_kind_are_analysed(omnisila: Run, make_video: Make, tmp_path: Path) -> None:
    clip, out = make_video("clip.mp4", frames=12), tmp_path / "out"
    folder = tmp_path / "in" / "a b#?%"
    folder.mkdir(parents=True)
    names = [
        b"caf\xe9.mp4",
        b"\xff.mp4",
        b"a\n\x1b[31m\xe2\x80\xaeb.mp4",
        b"v" * 251 + b".mp4",
        "é".encode() * 125 + b".mp4",
    ]
    try:
        for name in names:
            shutil.copy(clip, os.fsencode(folder) + b"/" + name)
    except OSError:
        pytest.skip("this file system takes text alone")
    formats = "html," + ",".join(exports.formats())
    result = omnisila("analyze", tmp_path / "in", "--out", out, "--format", formats, "--cut")
    assert result.exit_code == 0, result.stderr
    for told in (result.stderr, (out / "index.html").read_text(encoding="utf-8")):
        assert "caf%E9.mp4" in told
        assert "a%0A%1B[31m%E2%80%AEb.mp4" in told
        assert not set("\x1b\u202e").intersection(told)
    index = (out / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"]+)"', index)
    assert len(links) == 5
    for link in links:
        page = os.fsencode(out) + b"/" + unquote_to_bytes(link)
        text = Path(os.fsdecode(page)).read_text(encoding="utf-8")
        (video,) = set(re.findall(r'"(\.\./[^"]+mp4)"', text))
        assert Path(os.fsdecode(os.path.join(os.path.dirname(page), unquote_to_bytes(video)))).is_file()  # noqa: PTH118, PTH120
    assert len(list(out.rglob("*.json"))) == 5 * 4
    for path in out.rglob("*.*"):
        if path.is_file():
            path.read_text(encoding="utf-8")
    assert omnisila("analyze", tmp_path / "in", "--out", out, "--format", formats).stderr.endswith(
        f"5 unchanged. Open {out / 'index.html'}\n"
    )


def test_where_nothing_was_analysed_nothing_is_to_be_opened(omnisila: Run, make_bad_file: Make, tmp_path: Path) -> None:
    result = omnisila("analyze", make_bad_file("bad.mp4", "text"), "--out", tmp_path / "out", "--cut")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "1 failed."
    assert "nothing was cut" not in result.stderr


def test_a_cache_that_cannot_be_written_costs_no_video(
    omnisila: Run, make_video: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("features", "reaction"):
        (tmp_path / "cache" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cache" / name).write_text("in the way")
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "cache"))
    clip = make_video("clip.mp4", frames=12)
    result = omnisila(
        "analyze", clip, "--out", tmp_path / "out", "--format", "json", "--labels", "implicit", "--labels", "reaction"
    )
    assert result.exit_code == 0, result.stderr
    assert any("features are not kept" in one for one in analysis_of(tmp_path / "out", "clip.mp4").warnings)
    extracted = omnisila("extract", clip)
    assert extracted.exit_code == 1, "what is not kept is not extracted"
    assert "features are not kept" in extracted.stderr
