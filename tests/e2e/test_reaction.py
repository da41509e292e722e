"""From Hume-Reaction's files and clips to a scored model, by the commands: bad clips, resuming, both layouts."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from typer.testing import Result

from omnisila.errors import DataSetError, InputError
from omnisila.labels import REACTION

COLUMNS = [label.replace(" ", "-") for label in REACTION.labels]
SPLITS = {"00001": "train", "00002": "train", "00003": "train", "00004": "train", "00005": "devel", "00006": "devel",
          "00007": "test", "00008": "train"}  # fmt: skip
HEAD = [(4, 80)]
Run = Callable[..., Result]


def tone(seconds: float, rate_hz: int, level: float = 0.4) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * 220 * time_s)).clip(-1, 1).astype(np.float32)


def write_clip(path: Path, paint: Callable, seconds: float, sound: np.ndarray, rate_hz: int, codec: str) -> None:
    """160 x 120 pixels at 10 Hz, with that sound."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        heard = container.add_stream(codec, rate=rate_hz, layout="mono")
        for index in range(round(seconds * 10)):
            container.mux(pictures.encode(VideoFrame.from_ndarray(paint(index, 160, 120), "rgb24")))
        container.mux(pictures.encode())
        frame = AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        resampler = av.AudioResampler(format=heard.format, layout="mono", rate=rate_hz)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(heard.encode(part))
        container.mux(heard.encode())


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, paint: Callable[..., Callable]) -> Path:
    """A whole clip, and one of each way in which a clip is not; ``00008`` is no video at all."""
    folder = tmp_path_factory.mktemp("footage")
    face, aac = paint(HEAD), "aac"
    for name in ("00001", "00005", "00007"):
        write_clip(folder / f"{name}.mp4", face, 1.2, tone(1.2, 48_000, int(name) / 10), 48_000, aac)
    write_clip(folder / "00002.mp4", face, 1.2, tone(1.2, 48_000, 0.0), 48_000, aac)  # silent
    write_clip(folder / "00003.mp4", paint([]), 1.2, tone(1.2, 8_000), 8_000, aac)  # no face, telephone's rate
    write_clip(folder / "00004.mp4", face, 0.3, tone(0.3, 48_000), 48_000, aac)  # a third of a second
    both = paint([(2, 70), (90, 60)])
    write_clip(folder / "00006.mp4", both, 1.2, tone(1.2, 16_000, 3.0), 16_000, "flac")  # two faces, clipped
    (folder / "00008.mp4").write_bytes(b"no video")
    return folder


def write_labels(folder: Path, layout: str, fear: str = "0.25") -> Path:
    """MuSe's or ABAW's files, ids in brackets, the test's labels private."""
    folder.mkdir()
    names = {"train": "Train", "devel": "Val", "test": "Test"}
    values = {clip: [f"{(place * 13 + k * 29) % 100 / 100:.2f}" for k in range(7)] for place, clip in enumerate(SPLITS)}
    values["00001"][5] = fear
    with (folder / ("labels.csv" if layout == "muse" else "data_info.csv")).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["File_ID", *COLUMNS, *([] if layout == "muse" else ["Split"])])
        for clip, split in SPLITS.items():
            said = [""] * 7 if split == "test" else values[clip]
            writer.writerow([f"[{clip}]", *said, *([] if layout == "muse" else [names[split]])])
    if layout == "muse":
        lines = "".join(f"[{clip}],{split}\n" for clip, split in SPLITS.items())
        (folder / "partition.csv").write_text(f"File_ID,Proposal\n{lines}")
    return folder


def listed(path: Path) -> set[tuple[str, str]]:
    with path.open(newline="") as file:
        return {(line["clip"], line[next(name for name in line if name != "clip")]) for line in csv.DictReader(file)}


def test_clips_become_tables_and_a_scored_model(
    omnisila: Run, cache_folder: Path, footage: Path, tmp_path: Path
) -> None:
    muse, abaw = (write_labels(tmp_path / layout, layout) for layout in ("muse", "abaw"))
    out, run = tmp_path / "features", tmp_path / "run"
    of_others = set((cache_folder / "reaction").glob("*/*"))
    made = omnisila("extract-reaction", "frames", muse, "--footage", footage, "--out", out)
    assert made.exit_code == 1, made.output
    assert "failed:" in made.stderr
    assert "00008.mp4" in made.stderr
    assert "1 clips failed; all are in" in made.stderr
    assert {clip for clip, _ in listed(out / "failed-frames.csv")} == {"00008"}
    notes = listed(out / "notes-frames.csv")
    assert {
        ("00002", "missing: audio"), ("00002", "the sound is silent (its peak is below -80 dBFS): taken as none"),
        ("00003", "missing: fau"), ("00003", "missing: face"), ("00003", "no face was found"),
    } < notes  # fmt: skip
    said = {clip: " ".join(note for name, note in notes if name == clip) for clip in SPLITS}
    assert "sampled at 8000 Hz" in said["00003"]
    assert "different pictures" in said["00004"]
    assert "the sound lasts 0.3" in said["00004"]
    assert "may be clipped" in said["00006"]
    assert "several faces" in said["00006"]
    assert "missing audio: 1 of 7 clips" in made.stderr
    assert "no face was found: 1 of 7 clips" in made.stderr
    assert json.loads((out / "features.json").read_text())["features"]["visual"] is None
    assert {path.stem for path in out.glob("*.safetensors")} == {"visual", "audio", "fau", "face"}

    for file in sorted({*(cache_folder / "reaction").glob("*/*")} - of_others)[:2]:
        file.unlink()
    again = omnisila("extract-reaction", "frames", abaw, "--footage", footage, "--out", out)
    assert "7 clips, of which 5 were there before" in again.stderr

    trained = omnisila("train", "reaction", abaw, "--row", "temporal-va", "--features", out, "--out", run,
                       "--epochs", "2")  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert "train: 1 of 5 clips lack features (00008)" in trained.stderr
    assert (run / "without_features.csv").read_text() == "split,clip,streams\ntrain,00008,visual audio\n"
    record = json.loads((run / "run.json").read_text())
    assert record["features"]["frames"] == 32
    assert record["kinds"]["audio"] == "prosody"
    scores = json.loads((run / "scores.json").read_text())
    assert any(score["metric"] == "Pearson" and score["count"] == 2 for one in scores for score in one["scores"])
    assert len((run / "predictions-test.jsonl").read_text().splitlines()) == 1


def test_wrong_labels_tables_and_folders_are_refused(omnisila: Run, footage: Path, tmp_path: Path) -> None:
    wrong = write_labels(tmp_path / "wrong", "muse", fear="1.20")
    lines = (wrong / "labels.csv").read_text().splitlines(keepends=True)
    (wrong / "labels.csv").write_text("".join([*lines[:4], lines[4].replace(",0.", ",-0.", 1), *lines[5:]]))
    for command in (["extract-reaction", "frames"], ["train", "reaction"]):
        given = ["--footage", footage] if command[0] == "extract-reaction" else ["--row", "temporal-va"]
        refused = omnisila(*command, wrong, *given, "--out", tmp_path / "out", *(
            [] if command[0] == "extract-reaction" else ["--features", tmp_path]
        ))  # fmt: skip
        assert isinstance(refused.exception, DataSetError)
        assert "line 2: Fear is '1.20'" in str(refused.exception)
        assert "2 clips are so: 00001, 00004" in str(refused.exception)
    right = write_labels(tmp_path / "right", "muse")
    for given, complaint in (
        (["--footage", tmp_path], "none of 8 clips could be read"),
        (["--footage", footage, "--tables", f"sight={footage}"], "modality 'sight' does not exist"),
        (["--footage", footage, "--tables", f"fau={footage}"], "no tables of fau"),
        (["--footage", footage, "--networks", "best"], "profile 'best' does not exist"),
    ):
        refused = omnisila("extract-reaction", "frames", right, *given, "--out", tmp_path / "out")
        assert isinstance(refused.exception, InputError)
        assert complaint in str(refused.exception)
