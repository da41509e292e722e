"""A batch finishes what can be finished, once."""

import hashlib
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
    writers = {name: {"json": as_json, "txt": as_text}[name] for name in formats.split()}
    batch = Batch(folder.parent / "out", analyze, writers, identity)
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

    assert run(folder)[0].done == ("a/clip.mp4",)


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
