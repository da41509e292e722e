"""Clips of findings: the right pictures under telling names, whole or not at all."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from omnisila.errors import MediaError, OutputError
from omnisila.inference.batch import Outcome
from omnisila.inference.inputs import Input
from omnisila.report.cuts import cut_name, write_cuts
from omnisila.report.exports import json
from omnisila.report.faces import FaceFinderConfig
from omnisila.report.writer import Report


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_each_finding_is_cut_exactly_and_in_full_size(make_video, make_analysis, make_finding, frame_level, tmp_path):
    video = make_video(frames=120, width_px=640, height_px=480)
    record = make_analysis(make_finding(2, 4), make_finding(6.5, 7, "Traffic Accidents"), duration_s=10.0)
    files, failed = write_cuts(video, record, tmp_path / "cuts")
    assert failed == ()
    assert [path.name for path in files] == ["001_2.000-4.000s_Fighting.mp4", "002_6.500-7.000s_Traffic-Accidents.mp4"]
    assert sorted(path.name for path in (tmp_path / "cuts").iterdir()) == [path.name for path in files]
    first, second = (decoded(path) for path in files)
    assert (len(first), len(second)) == (24, 6)
    assert first[0].shape == (480, 640, 3)
    assert first[0][-5, -5].mean() == pytest.approx(frame_level(24), abs=4)
    assert first[-1][-5, -5].mean() == pytest.approx(frame_level(47), abs=4)


def test_a_stopped_run_goes_on_and_old_clips_leave(make_video, make_analysis, make_finding, tmp_path):
    video, folder = make_video(frames=48), tmp_path / "cuts"
    first, second = write_cuts(video, make_analysis(make_finding(0, 1), make_finding(2, 3)), folder).files
    before_ns = first.stat().st_mtime_ns
    second.unlink()
    (folder / "holiday.mp4").write_bytes(b"mine")
    write_cuts(video, make_analysis(make_finding(0, 1), make_finding(2, 3)), folder, again=False)
    assert second.is_file()
    assert first.stat().st_mtime_ns == before_ns
    write_cuts(video, make_analysis(make_finding(1, 2)), folder)
    assert {path.name for path in folder.iterdir()} == {"001_1.000-2.000s_Fighting.mp4", "holiday.mp4"}
    assert write_cuts(video, make_analysis(), tmp_path / "none").files == ()
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_cut_is_named_and_the_rest_is_cut(make_bad_file, make_analysis, make_finding, tmp_path):
    video = make_bad_file("a.mkv", "short")
    files, failed = write_cuts(video, make_analysis(make_finding(0, 2), make_finding(15, 17)), tmp_path / "cuts")
    assert [path.name for path in files] == ["001_0.000-2.000s_Fighting.mp4"]
    (reason,) = failed
    assert "a.mkv" in reason
    assert "15.0 and 17.0 s" in reason
    with pytest.raises(MediaError, match=r"text\.mp4"):
        write_cuts(make_bad_file("text.mp4", "text"), make_analysis(make_finding(0, 1)), tmp_path / "cuts")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="taken"):
        write_cuts(video, make_analysis(make_finding(0, 2)), tmp_path / "taken")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("../../etc/passwd", "001_1.000-2.000s_etc-passwd.mp4"),
        ("Überfall 強盗", "001_1.000-2.000s_Überfall-強盗.mp4"),
        ("<|:\n?>", "001_1.000-2.000s_finding.mp4"),
        ("long " * 40, "001_1.000-2.000s_" + ("long-" * 40)[:40] + ".mp4"),
    ],
)
def test_names_hold_on_any_file_system(make_finding, label, name):
    assert cut_name(1, make_finding(1, 2, label)) == name
    assert len(cut_name(123456, make_finding(1e5, 2e5, "強" * 300)).encode()) < 255


def test_faces_are_hidden_where_a_finder_is_given(make_video, make_analysis, make_finding, tmp_path):
    photograph = Image.open(Path(__file__).parents[2] / "fixtures" / "astronaut.jpg").crop((72, 18, 152, 98))
    head = np.array(photograph.resize((90, 90), Image.Resampling.LANCZOS))

    def paint(index, width_px, height_px):
        picture = np.full((height_px, width_px, 3), 120, np.uint8)
        picture[30:120, 20 + 3 * index : 110 + 3 * index] = head
        return picture

    def detail(path):
        """Of the middle of the face, on its way."""
        faces = [picture[52:96, 44 + 3 * k : 86 + 3 * k].mean(2) for k, picture in enumerate(decoded(path))]
        return max(float(np.abs(np.diff(face, axis=1)).mean()) for face in faces)

    video = make_video(frames=12, width_px=320, height_px=180, paint=paint)
    record = make_analysis(make_finding(0, 1), duration_s=1.0)
    (plain,) = write_cuts(video, record, tmp_path / "plain").files
    (hidden,) = write_cuts(video, record, tmp_path / "hidden", finder=FaceFinderConfig().build()).files
    assert detail(hidden) < detail(plain) / 2
    assert hidden.name == "001_0.000-1.000s_Fighting_faces-hidden.mp4"
    write_cuts(video, record, tmp_path / "plain", finder=FaceFinderConfig().build(), again=False)
    assert not plain.exists(), "no clip that shows faces stays beside those that hide them"


def test_a_report_cuts_what_is_done_and_what_an_earlier_run_left(make_video, make_analysis, make_finding, tmp_path):
    report = Report(tmp_path, ("json",), blur_faces=False, model_card=None, calibration_note="", cuts=True)
    item, record = Input(make_video(frames=24), "a/clip.mp4"), make_analysis(make_finding(0, 1), duration_s=2.0)
    assert report.cut(Outcome(item, "done", analysis=record)) == ()
    clip = tmp_path / "a" / "clip.mp4.cuts" / "001_0.000-1.000s_Fighting.mp4"
    assert clip.is_file()
    clip.unlink()
    (tmp_path / "a" / "clip.mp4.json").write_text(json.export(record), encoding="utf-8")
    assert report.cut(Outcome(item, "skipped")) == ()
    assert clip.is_file()
    late = record.replace(findings=(make_finding(50, 51),))
    (reason,) = report.cut(Outcome(item, "done", analysis=late))
    assert "no pictures between 50.0 and 51.0 s" in reason
