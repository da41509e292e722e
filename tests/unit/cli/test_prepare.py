"""The command: what it writes, what it says, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from omnisila.cli.prepare import prepare
from omnisila.errors import DataSetError, InputError
from omnisila.media.video import probe, sha256


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(prepare)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def write_tsl300(folder: Path, durations_s: dict[str, float]) -> Path:
    folder.mkdir()
    segments = [{"segment": ["1.0", "2.0"], "label": "n"}, {"segment": ["3.0", "4.0"], "label": "p"}]
    database = {name: {"subset": "train", "annotations": segments} for name in durations_s}
    (folder / "videosenti_gt.json").write_text(json.dumps({"database": database}))
    (folder / "len_duration_dict.json").write_text(json.dumps(durations_s))
    return folder


def lines_of(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "examples.jsonl").read_text().splitlines()]


def test_counts_are_printed_and_files_written(tmp_path: Path):
    folder = write_tsl300(tmp_path / "set", {"1_Ekman6_a": 5.0})
    result = run("tsl300", folder, "--out", tmp_path / "out", "--format", "jsonl,llava")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "tsl300: train identify 6", "tsl300: train locate 1", f"tsl300: 7 examples in {tmp_path / 'out'}",
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"examples.jsonl", "llava_train.json"}
    assert run("tsl300", folder, "--out", tmp_path / "out", "--window", 2, "--quiet").stdout == ""
    assert len(lines_of(tmp_path / "out")) == 5


def test_nothing_prepared_is_a_failure_that_says_why(tmp_path: Path):
    folder = write_tsl300(tmp_path / "set", {"1_Ekman6_a": 5.0})
    result = run("tsl300", folder, "--out", tmp_path / "out", "--footage", tmp_path)
    assert result.exit_code == 1
    assert f"1 left out: footage missing in {tmp_path} (1_Ekman6_a.mp4)" in result.stdout


def test_s_s_is_negative_faceless_and_muted(make_video: Callable[..., Path], tmp_path: Path):
    make_video("videos/1_Ekman6_a.mp4", frames=60, audio_s=5.0)
    folder = write_tsl300(tmp_path / "set", {"1_Ekman6_a": 5.0, "2_Ekman6_b": 5.0})
    result = run("tsl300", folder, "--out", tmp_path / "out", "--footage", tmp_path / "videos", "--subset", "s-s")
    assert result.exit_code == 0
    assert "1 left out: footage missing" in result.stdout
    (located,) = (line for line in lines_of(tmp_path / "out") if line["task"] == "locate")
    assert located["answer"] == "negative from 1s to 2s"
    assert str(located["id"]).startswith("tsl300-s-s/")
    assert f"the muted videos are in {tmp_path / 'out' / 'footage'}" in result.stdout
    assert probe(tmp_path / "out/footage" / str(located["video"])).duration_s == pytest.approx(5.0)


def test_a_muted_copy_follows_its_footage(make_video: Callable[..., Path], tmp_path: Path):
    folder = write_tsl300(tmp_path / "set", {"1_Ekman6_a": 5.0})
    copy = tmp_path / "out/footage/1_Ekman6_a.mp4"
    arguments = ("tsl300", folder, "--out", tmp_path / "out", "--footage", tmp_path / "videos", "--subset", "s-s")

    def prepared() -> tuple[bytes, int]:
        assert run(*arguments).exit_code == 0
        return copy.read_bytes(), copy.stat().st_ino

    make_video("videos/1_Ekman6_a.mp4", frames=60, audio_s=5.0)
    first = prepared()
    assert prepared() == first, "not made twice"
    make_video("videos/1_Ekman6_a.mp4", frames=72, audio_s=6.0)
    assert prepared()[0] != first[0]
    assert probe(copy).duration_s == pytest.approx(6.0)
    assert {line["video_sha256"] for line in lines_of(tmp_path / "out")} == {sha256(copy)}


def test_s_d_is_by_the_users_times_or_named_weak(tmp_path: Path):
    folder, segments, durations = tmp_path / "set", tmp_path / "segments.csv", tmp_path / "durations.csv"
    folder.mkdir()
    (folder / "Temporal_Anomaly_Annotation.txt").write_text("Arson011_x264  Arson  30  90  -1  -1\n")
    calm = "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4"
    (folder / "Anomaly_Train.txt").write_text(f"Abuse/Abuse001_x264.mp4\nAbuse/Abuse002_x264.mp4\n{calm}\n")
    segments.write_text("video,start_s,end_s\nAbuse001_x264.mp4,2,4.5\n")
    videos = ("Arson/Arson011_x264.mp4", "Abuse/Abuse001_x264.mp4", "Abuse/Abuse002_x264.mp4", calm)
    durations.write_text("video,duration_s\n" + "".join(f"{video},6\n" for video in videos))
    arguments = ("ucf_crime", folder, "--out", tmp_path / "out", "--subset", "s-d", "--durations", durations)

    def located(*more: object) -> dict[str, object]:
        result = run(*arguments, *more)
        assert result.exit_code == 0, result.output
        return {str(line["id"]): line["answer"] for line in lines_of(tmp_path / "out") if line["task"] == "locate"}

    nothing = "nothing"
    assert located("--segments", segments) == {
        "ucf_crime-s-d/Arson011_x264#locate": "Arson from 1s to 3s",
        "ucf_crime-s-d/Abuse001_x264#locate": "Abuse from 2s to 4.5s",
        "ucf_crime-s-d/Normal_Videos001_x264#locate": nothing,
    }
    assert located() == {
        "ucf_crime-s-d-weak/Arson011_x264#locate": "Arson from 1s to 3s",
        "ucf_crime-s-d-weak/Abuse001_x264#locate": "Abuse from 0s to 6s",
        "ucf_crime-s-d-weak/Abuse002_x264#locate": "Abuse from 0s to 6s",
        "ucf_crime-s-d-weak/Normal_Videos001_x264#locate": nothing,
    }


def test_scene_tuning_mixes_the_sets_that_are_there(tmp_path: Path):
    root = tmp_path / "root"
    places, motions = root / "places365", root / "humanml3d"
    for folder in (places, motions / "new_joints", motions / "texts"):
        folder.mkdir(parents=True)
    (places / "categories_places365.txt").write_text("/a/airfield 0\n")
    (places / "places365_train_standard.txt").write_text("".join(f"/a/airfield/{i}.jpg 0\n" for i in range(5)))
    np.save(motions / "new_joints/000001.npy", np.random.default_rng(0).normal(size=(20, 22, 3)))
    (motions / "train.txt").write_text("000001\n")
    (motions / "texts/000001.txt").write_text("a person walks.#a/DET#0.0#0.0\n")
    result = run("scene-tuning", root, "--out", tmp_path / "out", "--cap", 3, "--render")
    assert result.exit_code == 0
    lines = lines_of(tmp_path / "out")
    assert sorted(str(line["labels"]) for line in lines) == ["action", "background", "background", "background"]
    (action,) = (line for line in lines if line["labels"] == "action")
    assert (action["video"], action["group"]) == ("humanml3d/new_joints/000001.mp4", "humanml3d/000001")
    assert probe(tmp_path / "out/footage" / str(action["video"])).duration_s == pytest.approx(1.0)
    assert all(str(line["video"]).startswith("places365/train/") for line in lines if line is not action)


@pytest.mark.parametrize(("name", "file"), [("folder_csv", "annotations.csv"), ("activitynet", "annotations.json")])
def test_a_template_is_filled_in_and_prepared(
    name: str, file: str, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    folder, out = tmp_path / "mine", tmp_path / "out"
    for video in ("gate/a.mp4", "b, c.mp4"):
        make_video(f"mine/{video}", frames=36, rate_hz=12)
    result = run(name, folder, "--template", "--labels", "implicit")
    assert result.stdout == f"{folder / file}: 2 videos to fill in, as docs/own_videos.md says\n"
    text = (folder / file).read_text()
    footage = () if name == "folder_csv" else ("--footage", folder)
    arguments = (name, folder, *footage, "--out", out, "--labels", "implicit")
    if name == "folder_csv":
        assert text.splitlines()[0] == "video,start_s,end_s,label,cause,split,group"
        with pytest.raises(DataSetError, match="column label is empty"):
            run(*arguments)
        filled = text.replace("gate/a.mp4,,,", "gate/a.mp4,1,2,Fire").replace('c.mp4",,,', 'c.mp4",,,Normal')
    else:
        run(*arguments)
        assert lines_of(out) == [], "nothing is said of them yet"
        stated = json.loads(text)
        stated["database"]["b, c.mp4"]["annotations"] = []
        stated["database"]["gate/a.mp4"]["annotations"] = [{"segment": [1, 2], "label": "Fire"}]
        filled = json.dumps(stated)
    (folder / file).write_text(filled)
    assert run(*arguments).exit_code == 0
    located = {line["video"]: line["answer"] for line in lines_of(out) if line["task"] == "locate"}
    assert located == {"gate/a.mp4": "Fire from 1s to 2s", "b, c.mp4": "nothing"}
    assert all(line["video_sha256"] == sha256(folder / str(line["video"])) for line in lines_of(out))
    with pytest.raises(DataSetError, match=r"exists\. Fill it in"):
        run(name, folder, "--template")


def test_a_template_needs_annotations_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("folder_csv", tmp_path / "empty", "--template").exit_code == 0
    with pytest.raises(DataSetError, match=r"Choose from: activitynet, folder_csv\."):
        run("tsl300", tmp_path, "--template")
    with pytest.raises(InputError, match="no --out"):
        run("tsl300", tmp_path)
