"""Files that are either whole or absent: written aside, flushed to the disk, renamed into place."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from omnisila.errors import InputError, OutputError

_NO_TEXT = re.compile("[\ud800-\udfff]")  # what Python's file names have in the place of bytes that are no text
# control characters, ends of lines, and what turns the direction of writing
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ADVICE = {
    errno.EACCES: "Choose a folder you may write to.",
    errno.EPERM: "Choose a folder you may write to.",
    errno.EROFS: "Choose a folder you may write to.",
    errno.ENOSPC: "Free some space or choose another disk.",
    errno.EDQUOT: "Free some space or choose another disk.",
    errno.ENOTDIR: "A part of the path is a file; choose another folder.",
    errno.EEXIST: "A part of the path is a file; choose another folder.",
    errno.EISDIR: "A folder has that name; choose another name.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


Write = Callable[[Path, bytes | str], None]
"""Puts data at a path, as ``write_atomically`` does; raises ``OutputError`` where it cannot."""


def path_text(path: str | PathLike[str]) -> str:
    """A path as text that every file and terminal can hold: bytes that are no UTF-8 stand as ``%E9``."""
    return _NO_TEXT.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", os.fspath(path))


def printable(text: str | PathLike[str]) -> str:
    """Text that stays on its line, in its order, wherever it is shown: ``path_text``, and control characters likewise.

    A file's name may hold ends of lines, a terminal's commands, and marks that turn the direction of writing.
    """
    return _UNPRINTABLE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), path_text(text))


def cache_root() -> Path:
    """Where everything is kept that can be made again: ``$OMNISILA_CACHE``, or ``~/.cache/omnisila``.

    Raises:
        OutputError: the user has no home.
    """
    if named := os.environ.get("OMNISILA_CACHE"):
        return Path(named)
    try:
        return Path.home() / ".cache" / "omnisila"
    except RuntimeError:
        raise OutputError("~/.cache/omnisila: this user has no home folder. Name a folder in OMNISILA_CACHE.") from None


def write_atomically(path: Path, data: bytes | str) -> None:
    """Put ``data`` at ``path`` so that a reader, a crash or a kill never meets half of it.

    Missing parent folders are made. Text is written as UTF-8 with its line ends untouched. A kill can leave a hidden
    ``.*.partial`` file beside the result, never a damaged result.

    Raises:
        OutputError: the file cannot be written; the message gives path, reason and advice. Whatever stood at
            ``path`` is unchanged.
    """
    with written_aside(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Put several files in place that belong together: all are written aside first, so that a full disk changes none.

    Raises:
        OutputError: one cannot be written; whatever stood there is unchanged.
    """
    aside: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            with named_failure(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                aside[path] = path.parent / f".{secrets.token_hex(8)}.partial"
                with aside[path].open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
        for path, written in aside.items():
            with named_failure(path):
                written.replace(path)
                _flush_folder(path.parent)
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)


@contextlib.contextmanager
def path_aside(path: Path, suffix: str = "") -> Iterator[Path]:
    """Where to write what takes ``path``'s place when all went well, and is gone when not.

    Args:
        suffix: of the file until then, where what writes it goes by that.
    """
    aside = path.with_name(f".{secrets.token_hex(8)}.partial{suffix}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def written_aside(path: Path, end: bytes = b"") -> Iterator[BinaryIO]:
    """A file to write piece by piece; it takes its place, ended by ``end``, when all went well.

    Raises:
        OutputError: as ``write_atomically``.
    """
    with named_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" gives the file the permissions of any new file; tempfile's would be private to this user
        with path_aside(path) as aside, aside.open("xb") as file:
            yield file
            file.write(end)
            file.flush()
            os.fsync(file.fileno())
        _flush_folder(path.parent)


def check_writable(folder: Path, size_bytes: int = 0) -> None:
    """Make the folder and be sure that files can be put there, before long work is done for it.

    Args:
        size_bytes: room that must be there at least: a full disk still takes empty files.

    Raises:
        OutputError: it cannot be made or written to.
    """
    with named_failure(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{secrets.token_hex(8)}.partial"
        try:
            probe.write_bytes(bytes(size_bytes))
        finally:
            probe.unlink(missing_ok=True)


def check_replaceable(path: Path) -> None:
    """Be sure that a file can be put at ``path``, before long work is done for it.

    Raises:
        OutputError: its folder cannot be written to, its name is too long, or a folder has that name.
    """
    check_writable(path.parent, size_bytes=4096)
    with named_failure(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def walk(
    folder: Path, tell: Callable[[str], None] | None = None, *, follow_links: bool = False
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """``os.walk``, which by itself would pass over a folder that cannot be listed, and all that is in it.

    Args:
        tell: is told of such a folder, and the walk goes on; one that is gone is no fault.

    Raises:
        InputError: a folder cannot be listed, and nobody is told.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            place = printable(error.filename)
            fault = f"{place}: this folder cannot be read ({error.strerror}). Check its permissions."
            if tell is None:
                raise InputError(fault)
            tell(fault)

    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=follow_links):
        yield Path(parent), folders, names


def files_below(folder: Path, *endings: str) -> list[Path]:
    """The files in a folder or below whose names end so, sorted.

    Raises:
        InputError: a folder cannot be listed.
    """
    return sorted(path / name for path, _, names in walk(folder) for name in names if name.lower().endswith(endings))


def remove(path: Path) -> None:
    """Take a file away; one that is missing is no error.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path_text(path)}: cannot be removed ({error.strerror or error}). Remove it by hand."
        ) from error


@contextlib.contextmanager
def named_failure(path: Path) -> Iterator[None]:
    """Around what writes to ``path``: a failure is told with reason and advice.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Choose another place for the output.")
        raise OutputError(f"{path_text(path)}: cannot be written ({error.strerror or error}). {advice}") from error


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the platform lets a folder be flushed."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the file itself is already on the disk
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
