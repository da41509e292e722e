"""A process for one video: its answer, its failure in a line, and its end by force."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisila.digests import file_digest
from omnisila.errors import InputError, MediaError, OutputError
from omnisila.files import Write
from omnisila.predictions.analyses import parse_analysis
from omnisila.serve.processes import Child, FeatureWriter, limit

MODULE = __name__
MEBIBYTE = 2**20


def main(arguments: list[str], write: Write) -> bytes:
    """What the process does."""
    _, task = arguments
    match task:
        case "answer":
            print("what libraries print is no answer")
            return b"\0an answer"
        case "refuse":
            raise InputError("clip.mp4:\nno video. Give one.")
        case "fault":
            raise KeyError("x")
        case "memory":
            limit(4096 * MEBIBYTE, 60)
            return bytes(8192 * MEBIBYTE)[:1]
        case "write":
            limit(64 * 1024 * MEBIBYTE, 60)
            Path(arguments[0]).write_bytes(b"x")
        case "compute":
            limit(64 * 1024 * MEBIBYTE, 0)
            while True:
                pass
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(600)
        case "keep":
            limit(64 * 1024 * MEBIBYTE, 60)
            write(Path(arguments[0]), "kept")
            return b"after it"
    return b""


def test_an_answer_comes_back() -> None:
    assert Child(MODULE, ("clip.mp4", "answer")).answer(60, "") == b"\0an answer"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("refuse", "^clip.mp4: no video. Give one.$"),
        ("fault", "clip.mp4: KeyError: 'x'. This is a fault of omnisila"),
        ("memory", "more memory than they may take"),
        ("write", "File too large"),
        ("compute", "ended with -9"),
        ("killed", "ended with -9"),
    ],
)
def test_a_failure_is_one_line(tmp_path: Path, task: str, said: str) -> None:
    name = str(tmp_path / "out") if task == "write" else "clip.mp4"
    with pytest.raises(MediaError, match=said) as failure:
        Child(MODULE, (name, task)).answer(60, "")
    assert "\n" not in str(failure.value)


def test_it_is_killed_when_its_time_is_up() -> None:
    with pytest.raises(MediaError, match=r"not done within 0.5 s. Cut it."):
        Child(MODULE, ("clip.mp4", "sleep")).answer(0.5, "Cut it.")


def test_a_video_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"^gone.mp4: cannot be read \(No such file or directory\). Send it again."):
        FeatureWriter(tmp_path / "gone.mp4")


def test_what_it_wants_kept_is_written_where_features_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"a video")
    own = file_digest(video)
    kept = tmp_path / "cache" / "features" / own[:2] / f"{own}-1a" / "face-0000.safetensors"
    assert Child(MODULE, (str(kept), "keep"), FeatureWriter(video)).answer(60, "") == b"after it"
    assert kept.read_bytes() == b"kept"
    with pytest.raises(MediaError, match="keeps no files"):
        Child(MODULE, (str(kept), "keep")).answer(60, "")


@pytest.mark.parametrize(
    "place",
    [
        "cache/features/{own:.2}/{other}-1a/face-0000.safetensors",
        "cache/features/{own:.2}/{own}-1a/../../../../face.safetensors",
        "cache/features/{own:.2}/{own}-1a/face.py",
        "cache/features.json",
        "cache/hub/{own:.2}/{own}-1a.json",
        "{own}-1a.json",
    ],
)
def test_a_video_speaks_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"a video")
    own = file_digest(video)
    path = tmp_path / place.format(own=own, other=own[:2] + "0" * 62)
    with pytest.raises(MediaError, match="no features of this video"):
        Child(MODULE, (str(path), "keep"), FeatureWriter(video)).answer(60, "")
    assert [file.name for file in tmp_path.rglob("*")] == ["clip.mp4"]


def test_a_link_leads_no_features_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "cache"))
    video, elsewhere = tmp_path / "clip.mp4", tmp_path / "elsewhere"
    video.write_bytes(b"a video")
    own = file_digest(video)
    (elsewhere / "disk").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "features").symlink_to(elsewhere / "disk")  # its owner may do so
    folder = tmp_path / "cache" / "features" / own[:2]
    folder.mkdir()
    FeatureWriter(video)(folder / f"{own}-1a" / "video.json", "{}")
    assert (elsewhere / "disk" / own[:2] / f"{own}-1a" / "video.json").read_text() == "{}"
    (folder / f"{own}-2b").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="no features of this video"):
        FeatureWriter(video)(folder / f"{own}-2b" / "video.json", "{}")
    assert [file.name for file in elsewhere.iterdir()] == ["disk"]


def test_a_path_that_is_no_text_is_refused_in_text(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"a video")
    with pytest.raises(MediaError, match="%E9: no features of this video"):
        Child(MODULE, (f"{tmp_path}/\udce9", "keep"), FeatureWriter(video)).answer(60, "")


def test_reactions_are_measured_within_the_limits(make_video: Callable[..., Path]) -> None:
    given = (str(make_video("a.mp4", frames=24)), "compact", "reaction", "600")
    said = Child("omnisila.serve.analyses", given, FeatureWriter(Path(given[0]))).answer(600, "")
    assert parse_analysis(said.decode()).labels == ("reaction",)
