"""Atomic writes: whole or absent, and one clear error."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnisila.batches.storage import Storage
from omnisila.errors import InputError, OutputError
from omnisila.files import (
    check_replaceable,
    files_below,
    path_text,
    printable,
    remove,
    walk,
    write_atomically,
    write_together,
)
from tests.conftest import partly_locked


def test_writes_bytes_and_text_and_makes_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "x.bin", b"\x00\xff")
    write_atomically(tmp_path / "a" / "é ü.txt", "zwölf\r\n\n")

    assert (tmp_path / "a" / "b" / "x.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a" / "é ü.txt").read_bytes() == "zwölf\r\n\n".encode()


def test_replaces_and_leaves_nothing_aside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        write_atomically(tmp_path / "x.json", content)

    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_text() == "second"


def test_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "theirs").write_text("x")

    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(OutputError, match=r"out/x\.json: cannot be written .*is a file"):
        write_atomically(tmp_path / "out" / "x.json", "x")


def test_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()

    with pytest.raises(OutputError, match="A folder has that name"):
        write_atomically(tmp_path / "x.json", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Choose a folder you may write to"):
            write_atomically(tmp_path / "x.json", "x")
    finally:
        tmp_path.chmod(0o700)


def test_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """A file size limit makes the write fail midway, as a full disk does."""
    target = tmp_path / "x.bin"
    write_atomically(target, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OutputError, match=r"x\.bin: cannot be written"):
            write_atomically(target, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_kill_never_leaves_half_a_file(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    script = (
        "import sys; from pathlib import Path; from omnisila.files import write_atomically\n"
        "k = 0\n"
        "while True:\n"
        "    write_atomically(Path(sys.argv[1]), bytes([k % 256]) * 300_000); k += 1\n"
        "    print(k, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.kill()

    content = target.read_bytes()
    assert len(content) == 300_000
    assert len(set(content)) == 1


def test_files_that_belong_together_are_all_replaced_or_none(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "folder"
    first.write_bytes(b"old")
    second.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OutputError, match="folder"):
        write_together({second: b"new", first: b"new"})
    assert first.read_bytes() == b"old"
    write_together({first: b"new", tmp_path / "deep/b": b"new"})
    assert [path.read_bytes() for path in (first, tmp_path / "deep/b")] == [b"new", b"new"]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_place_is_checked_before_the_work(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "a" / "x.json")
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "a" / "x.json").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path, advice in (("a/x.json", "A folder has that name"), ("file/x", "is a file"), ("x" * 256, "shorter name")):
        with pytest.raises(OutputError, match=advice):
            check_replaceable(tmp_path / path)
    remove(tmp_path / "file")
    remove(tmp_path / "file")
    with pytest.raises(OutputError, match=r"x\.json: cannot be removed"):
        remove(tmp_path / "a" / "x.json")


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.mp4")
    assert path_text(name) == printable(name) == "caf%E9 %FF.mp4"
    assert printable("a\n\x1b[2J\u202eß.mp4") == "a%0A%1B[2J%E2%80%AEß.mp4"
    assert path_text(tmp_path / "schön") == str(tmp_path / "schön")
    with pytest.raises(OutputError, match="caf%E9"):
        write_atomically(tmp_path / ("x" * 256) / name, "x")


def test_a_walk_tells_of_folders_that_cannot_be_listed(tmp_path: Path) -> None:
    with partly_locked("clip.json", b"{}") as root:
        told: list[str] = []
        assert [path.name for path, _, names in walk(root, told.append) if names] == ["a"]
        assert len(told) == 1
        assert "locked: this folder cannot be read (Permission denied)" in told[0]
        with pytest.raises(InputError, match="locked: this folder cannot be read"):
            files_below(root, ".json")
        with pytest.raises(OutputError, match="locked: this folder cannot be read"):
            list(Storage(str(root)).read_all(""))
    assert list(walk(tmp_path / "none")) == []
