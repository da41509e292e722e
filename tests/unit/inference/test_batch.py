"""A batch finishes what can be finished, once."""

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from omnisila.errors import MediaError, OutputError
from omnisila.inference.batch import Batch, BatchReport, RunIdentity, summary
from omnisila.inference.inputs import Input, expand
from omnisila.schema import Analysis, ModelIdentity, VideoIdentity

IDENTITY = RunIdentity(model_digest="d1", labels=("implicit",), settings={"window_s": 1.0, "max_fnr": None})


class Watching:
    """An analysis that any file gets, unless its content says it is bad; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, path: Path) -> Analysis:
        self.asked.append(path.name)
        content = path.read_bytes()
        if content == b"bad":
            raise MediaError(f"{path.name}: no video stream")
        if content == b"bug":
            raise ZeroDivisionError("division by zero")
        video = VideoIdentity(
            path=str(path), sha256=hashlib.sha256(content).hexdigest(), duration_s=1.0, rate_hz=25.0, width_px=32,
            height_px=32, decoded_ratio=1.0,
        )  # fmt: skip
        model = ModelIdentity(name="tiny", version="1", digest="d1")
        return Analysis(
            video=video, labels=("implicit",), labels_not_scored=(), model=model, findings=(), anomaly_curve=(),
            expert_weights=(),
        )  # fmt: skip


def as_json(analysis: Analysis, _item: Input) -> str:
    return analysis.model_dump_json()


def as_text(analysis: Analysis, item: Input) -> str:
    return f"{item.name}: {len(analysis.findings)} findings"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"a/clip.mp4": b"good", "b.mp4": b"bad", "c.mp4": b"bug", "d é.mp4": b"fine"}.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "in"


def run(folder: Path, *, identity: RunIdentity = IDENTITY, formats: str = "json") -> tuple[BatchReport, list[str]]:
    analyze = Watching()
    writers = {name: {"json": as_json, "txt": as_text, "html": as_text}[name] for name in formats.split()}
    batch = Batch(folder.parent / "out", analyze, writers, identity, suffixes=("json", "html", "txt"))
    return summary(batch.run(expand([folder]).files)), analyze.asked


def test_bad_files_are_named_and_the_others_finished(folder: Path) -> None:
    report, _ = run(folder, formats="json txt")

    assert report.done == ("a/clip.mp4", "d é.mp4")
    assert [failure.name for failure in report.failed] == ["b.mp4", "c.mp4"]
    assert report.failed[0].reason == "b.mp4: no video stream"
    assert "ZeroDivisionError" in report.failed[1].reason
    assert (folder.parent / "out" / "d é.mp4.txt").read_text() == "d é.mp4: 0 findings"
    Analysis.model_validate_json((folder.parent / "out" / "a" / "clip.mp4.json").read_bytes())


def test_a_second_run_continues(folder: Path) -> None:
    run(folder)
    report, asked = run(folder)

    assert report.skipped == ("a/clip.mp4", "d é.mp4")
    assert asked == ["b.mp4", "c.mp4"]


@pytest.mark.parametrize(
    "identity",
    [
        IDENTITY.replace(model_digest="d2"),
        IDENTITY.replace(labels=("implicit", "explicit")),
        IDENTITY.replace(settings={"window_s": 2.0, "max_fnr": None}),
        IDENTITY.replace(version="0.0.0"),
    ],
)
def test_another_model_label_set_or_setting_starts_afresh(folder: Path, identity: RunIdentity) -> None:
    run(folder)

    assert run(folder, identity=identity)[0].skipped == ()


def test_changed_content_a_lost_output_or_a_new_format_are_done_again(folder: Path) -> None:
    run(folder)
    (folder / "a" / "clip.mp4").write_bytes(b"better")
    assert run(folder)[0].done == ("a/clip.mp4",)

    (folder.parent / "out" / "d é.mp4.json").unlink()
    assert run(folder)[0].done == ("d é.mp4",)

    assert run(folder, formats="json txt")[0].done == ("a/clip.mp4", "d é.mp4")
    assert run(folder)[0].skipped == ("a/clip.mp4", "d é.mp4")


def test_a_run_stopped_between_two_outputs_does_that_input_again(folder: Path) -> None:
    def stop(_analysis: Analysis, _item: Input) -> str:
        raise KeyboardInterrupt

    batch = Batch(folder.parent / "out", Watching(), {"json": as_json, "txt": stop}, IDENTITY)
    with pytest.raises(KeyboardInterrupt):
        list(batch.run(expand([folder]).files))

    assert "a/clip.mp4" in run(folder, formats="json txt")[0].done


def test_a_damaged_marker_is_not_trusted(folder: Path) -> None:
    run(folder)
    (folder.parent / "out" / ".omnisila" / "a" / "clip.mp4.done").write_text("{half")
    (folder.parent / "out" / "a" / "clip.mp4.txt").write_text("of who knows when")

    assert run(folder)[0].done == ("a/clip.mp4",)
    assert not (folder.parent / "out" / "a" / "clip.mp4.txt").exists()


def test_an_output_place_that_is_a_file_stops_before_any_work(folder: Path) -> None:
    (folder.parent / "out").write_text("in the way")

    with pytest.raises(OutputError, match="out: cannot be written"):
        run(folder)


def test_arguments_without_files_are_among_the_failed(folder: Path) -> None:
    inputs = expand([folder / "a", folder / "missing.mp4"])
    batch = Batch(folder.parent / "out", Watching(), {"json": as_json}, IDENTITY)

    report = summary(batch.run(inputs.files), inputs.failed)

    assert report.done == ("clip.mp4",)
    assert report.failed[0].reason.endswith("no such file or folder. Check the path.")


def outputs(folder: Path) -> dict[str, str]:
    """What stands in the output folder, by its name there."""
    out = folder.parent / "out"
    files = [path for path in out.rglob("*") if path.is_file() and ".omnisila" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_text() for path in sorted(files)}


def test_outputs_of_another_analysis_leave_and_those_of_the_same_stay(folder: Path) -> None:
    run(folder, formats="json html txt")
    (folder.parent / "out" / "a" / "clip.mp4.vtt").write_text("someone's own")
    _, asked = run(folder, formats="json")
    assert asked == ["b.mp4", "c.mp4"]
    assert {"a/clip.mp4.html", "a/clip.mp4.txt"} <= outputs(folder).keys()

    run(folder, formats="json", identity=IDENTITY.replace(labels=("explicit",)))
    assert set(outputs(folder)) == {"a/clip.mp4.json", "a/clip.mp4.vtt", "d é.mp4.json"}


def test_what_was_there_before_the_first_run_is_not_ours(folder: Path) -> None:
    (folder.parent / "out" / "a").mkdir(parents=True)
    (folder.parent / "out" / "a" / "clip.mp4.txt").write_text("someone's own")
    run(folder)
    run(folder, identity=IDENTITY.replace(version="0.0.0"))

    assert outputs(folder)["a/clip.mp4.txt"] == "someone's own"


@pytest.mark.parametrize("damage", ["half", "bit", "gone", "folder"])
@pytest.mark.parametrize("suffix", ["json", "html"])
def test_a_damaged_output_heals(folder: Path, damage: str, suffix: str) -> None:
    run(folder, formats="json html")
    whole = outputs(folder)
    path = folder.parent / "out" / "a" / f"clip.mp4.{suffix}"
    content = path.read_text()
    path.unlink()
    if damage == "half":
        path.write_text(content[: len(content) // 2])
    elif damage == "bit":
        path.write_text(content.replace("1", "2").replace("0", "3"))
    elif damage == "folder":
        path.mkdir()

    report, asked = run(folder, formats="json html")
    if damage == "folder":
        assert "A folder has that name" in next(one.reason for one in report.failed if one.name == "a/clip.mp4")
        assert "clip.mp4" not in asked, "told before the work"
    else:
        assert report.done == ("a/clip.mp4",)
        assert outputs(folder) == whole
        assert ("clip.mp4" in asked) == (suffix == "json"), "a page needs no new analysis"


def test_what_a_person_made_of_an_export_stays_until_the_analysis_is_another(folder: Path) -> None:
    run(folder, formats="json txt")
    (folder.parent / "out" / "a" / "clip.mp4.txt").write_text("corrected")
    assert "a/clip.mp4" in run(folder, formats="json txt")[0].skipped
    run(folder, formats="json html txt")
    assert outputs(folder)["a/clip.mp4.txt"] == "corrected"


def test_a_moved_video_is_told_where_it_lies_now_without_a_new_analysis(folder: Path) -> None:
    run(folder, formats="json html")
    moved = folder.rename(folder.parent / "elsewhere")
    report, asked = run(moved, formats="json html")

    assert report.done == ("a/clip.mp4", "d é.mp4")
    assert asked == ["b.mp4", "c.mp4"]
    found = Analysis.model_validate_json(outputs(moved)["a/clip.mp4.json"])
    assert found.video.path == str(moved / "a" / "clip.mp4")
    assert run(moved, formats="json html")[0].skipped == report.done


def test_where_an_output_fails_nothing_stale_stays_beside_the_new_json(folder: Path) -> None:
    def fail(_analysis: Analysis, _item: Input) -> str:
        raise OutputError("out: cannot be written (No space left on device).")

    run(folder, formats="json html txt")
    other = IDENTITY.replace(version="2")
    batch = Batch(folder.parent / "out", Watching(), {"json": as_json, "html": fail}, other)
    assert {one.state for one in batch.run(expand([folder]).files)} == {"failed"}
    assert set(outputs(folder)) == {"a/clip.mp4.json", "d é.mp4.json"}
    _, asked = run(folder, formats="json html", identity=other)
    assert asked == ["b.mp4", "c.mp4"], "a finished analysis is not made again"


@pytest.mark.parametrize(
    "video", ["v" * 251, "v" * 247 + ".mp4", "é" * 125 + ".mp4", "v" * 238 + ".mp4", "v." + "w" * 250]
)
def test_long_names_are_shortened_where_they_must_and_stay_unique(tmp_path: Path, video: str) -> None:
    twin = video[:-1] + "x"
    paths = [tmp_path / "in" / "a" / name for name in (video, twin)]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_bytes(b"good " + path.name[-1:].encode())
    inputs = expand(paths).files
    for state in ("done", "skipped"):
        batch = Batch(tmp_path / "out", Watching(), {"json": as_json, "labelstudio.json": as_text}, IDENTITY)
        assert [one.state for one in batch.run(inputs)] == [state, state]
    written = outputs(tmp_path / "in")
    assert len(written) == 4
    assert max(len(os.fsencode(name)) for name in written) <= 255
    fits = len(os.fsencode(f"{video}.json")) <= 255
    assert (f"{video}.json" in written) == fits
    if video.endswith(".mp4"):
        assert any(name.startswith(video[:100]) and name.endswith(".mp4.json") for name in written)


def test_names_that_are_no_text_are_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "in" / os.fsdecode(b"caf\xe9.mp4")
    path.parent.mkdir()
    try:
        path.write_bytes(b"good")
        path.with_name(os.fsdecode(b"\xff.mp4")).write_bytes(b"bad")
    except OSError:
        pytest.skip("this file system takes text alone")

    def analyze(video: Path) -> Analysis:
        found = Watching()(video.rename(tmp_path / "plain"))
        (tmp_path / "plain").rename(video)
        return found

    batch = Batch(tmp_path / "out", analyze, {"json": as_json}, IDENTITY)
    done, failed = sorted(batch.run(expand([path.parent]).files), key=lambda one: one.state)
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.mp4.json")).is_file()
    assert (done.state, failed.state) == ("done", "failed")
    (failed.reason or "").encode()
    again = list(batch.run(expand([path]).files))
    assert [one.state for one in again] == ["skipped"]


def test_an_input_never_replaces_the_results_of_another(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("clip.mp4", "clip.mp4.txt", "index"):
        (tmp_path / "in" / name).write_bytes(b"good")
    writers = {"json": as_json, "txt.json": as_text, "html": as_text}
    inputs = expand([tmp_path / "in" / name for name in ("clip.mp4", "clip.mp4.txt", "index")]).files
    found = {one.input.name: one for one in Batch(tmp_path / "out", Watching(), writers, IDENTITY).run(inputs)}
    assert found["clip.mp4"].state == "done"
    assert "would replace that of clip.mp4." in (found["clip.mp4.txt"].reason or "")
    assert "would replace that of the index of the run" in (found["index"].reason or "")


@pytest.mark.parametrize("same", [True, False])
def test_a_disk_that_takes_two_names_for_one_loses_no_result(tmp_path: Path, same: bool) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("Clip.mp4", "clip.mp4"):
        (tmp_path / "in" / name).write_bytes(b"good " + name.encode())
    if same:
        (tmp_path / "out" / "clip.mp4.json").symlink_to("Clip.mp4.json")  # as a disk that ignores case shows it
    batch = Batch(tmp_path / "out", Watching(), {"json": as_json}, IDENTITY)
    states = [one.state for one in batch.run(expand([tmp_path / "in"]).files)]
    assert states == ["done", "failed" if same else "done"]


def test_a_full_disk_is_told_before_the_work(
    folder: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    with full_disk():
        report, asked = run(folder)
    assert asked == []
    assert [failure.reason.partition("(")[0].split(": ")[1] for failure in report.failed] == ["cannot be written "] * 4
