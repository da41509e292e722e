"""Arguments of a command line become files."""

from pathlib import Path

import pytest

from omnisila.errors import InputError
from omnisila.inference.inputs import expand
from tests.conftest import partly_locked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b/zwei é.MP4",
        "b/notes.txt",
        "a/clip.mp4",
        "a/clip.mkv",
        "top.png",
        "b/.hidden.mp4",
        ".cache/clip.mp4",
        "c/readme.md",
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "in"


def names(*arguments: object) -> list[str]:
    return [item.name for item in expand([str(argument) for argument in arguments]).files]


def test_a_folder_gives_its_media_sorted_with_relative_names(folder: Path) -> None:
    assert names(folder) == ["a/clip.mkv", "a/clip.mp4", "b/zwei é.MP4", "top.png"]
    assert all(item.path.is_file() for item in expand([folder]).files)


def test_a_named_file_is_taken_whatever_its_extension(folder: Path) -> None:
    assert names(folder / "b" / "notes.txt") == ["notes.txt"]


def test_each_file_comes_once(folder: Path) -> None:
    assert names(folder, folder / "a" / ".." / "top.png", folder / "a") == names(folder)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a/*.mp4", ["clip.mp4"]),
        ("**/clip.*", ["a/clip.mkv", "a/clip.mp4"]),
        ("[ab]", ["a/clip.mkv", "a/clip.mp4", "b/zwei é.MP4"]),
        ("*", ["a/clip.mkv", "a/clip.mp4", "b/zwei é.MP4", "top.png"]),
    ],
)
def test_globs(folder: Path, pattern: str, wanted: list[str]) -> None:
    assert names(folder / pattern) == wanted


@pytest.mark.parametrize("pattern", ["", "*", "**/*.mp4", "*/*.mp4"])
def test_a_folder_that_cannot_be_read_is_told(pattern: str) -> None:
    with (
        partly_locked("clip.mp4", b"x") as root,
        pytest.raises(InputError, match=r"locked: this folder cannot be read \(Permission denied\)"),
    ):
        expand([root / pattern])


def test_a_file_whose_name_looks_like_a_glob(folder: Path) -> None:
    (folder / "clip[1].mp4").write_bytes(b"x")

    assert names(folder / "clip[1].mp4") == ["clip[1].mp4"]


def test_equal_names_from_two_places_stay_apart(folder: Path) -> None:
    (folder / "c" / "clip.mp4").write_bytes(b"x")

    assert names(folder / "a" / "clip.mp4", folder / "c" / "clip.mp4") == ["a/clip.mp4", "c/clip.mp4"]
    assert names(folder / "a", folder / "c") == ["a/clip.mkv", "a/clip.mp4", "c/clip.mp4"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.mp4", "no such file or folder"), ("c", "no video or picture in this folder"), ("*.avi", "matches no")],
)
def test_nothing_found_is_an_input_error(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        expand([folder / name])


def test_no_argument_is_an_input_error() -> None:
    with pytest.raises(InputError, match="No input"):
        expand([])


def test_one_argument_without_files_does_not_cost_the_others(folder: Path) -> None:
    inputs = expand([folder / "missing.mp4", folder / "top.png"])

    assert [item.name for item in inputs.files] == ["top.png"]
    assert [failure.name for failure in inputs.failed] == [str(folder / "missing.mp4")]


def test_clips_that_an_analysis_cut_are_no_inputs_of_the_next(tmp_path):
    own = tmp_path / "out" / "clip.mp4.cuts" / "001_0.000-7.250s_Fighting.mp4"
    for path in (tmp_path / "clip.mp4", own, own.with_name("mine.mp4"), tmp_path / "s" / own.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    wanted = {"clip.mp4", "out/clip.mp4.cuts/mine.mp4", f"s/{own.name}"}
    assert {item.name for item in expand([tmp_path]).files} == wanted
    assert {item.name for item in expand([tmp_path / "**" / "*.mp4"]).files} == wanted
    assert len(expand([own.parent]).files) == 2
    assert len(expand([own]).files) == 1


def test_what_folders_hold_beside_media_is_told(folder: Path) -> None:
    (folder / "b" / "table.CSV").write_bytes(b"x")
    (folder / "linked").symlink_to(folder / "a", target_is_directory=True)
    found = expand([folder])
    assert [item.name for item in found.files] == names(folder)
    linked, passed_over = found.notes
    assert linked.startswith(f"{folder / 'linked'}: a linked folder, not searched")
    assert all(ending in passed_over for ending in ("1 .csv", "1 .md", "1 .txt", "passed over"))
    assert expand([folder / "a"]).notes == ()
    assert names(folder / "linked") == ["clip.mkv", "clip.mp4"]
