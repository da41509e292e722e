"""What a command line names, as a list of files: videos, pictures, folders and globs."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path, PurePath
from typing import NamedTuple

from omnisila.errors import InputError
from omnisila.files import printable, walk

VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob", ".webm",
    ".wmv", ".y4m",
})  # fmt: skip
PICTURE_SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".png",
    ".tif", ".tiff", ".webp",
})  # fmt: skip
MEDIA_SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES
CUTS = "cuts"  # suffix of the folder that holds the clips cut from one video
CLIP_NAME = re.compile(r"\d{3,}_\d+\.\d{3}-\d+\.\d{3}s_.+\.mp4")  # of these clips
MAGIC = frozenset("*?[")


class Input(NamedTuple):
    """A file to work on; ``name`` (``a/clip.mp4``) is unique within a run and names its outputs."""

    path: Path
    name: str


class Failure(NamedTuple):
    """What failed, and why, in one line."""

    name: str
    reason: str


class Inputs(NamedTuple):
    """What arguments stand for, those that stand for nothing, and notes on what folders hold beside."""

    files: tuple[Input, ...]
    failed: tuple[Failure, ...]
    notes: tuple[str, ...]


def expand(arguments: Sequence[str | PathLike[str]]) -> Inputs:
    """The files that the arguments name, each once.

    A file is taken whatever its extension; a folder gives all videos and pictures below it, sorted, without hidden
    ones and without clips that an analysis cut (they are given by naming their folder); a glob (also with ``**``)
    gives what it matches, folders searched likewise. Names are relative to the folder or to the glob's fixed part; if
    two were the same, all become relative to the folder that holds all the files.

    Raises:
        InputError: nothing at all was found; otherwise arguments without files are listed as failed.
    """
    found: dict[str, Input] = {}
    failed: list[Failure] = []
    notes: list[str] = []
    for argument in (os.fspath(argument) for argument in arguments):
        try:
            for item in _expand_argument(argument, notes):
                found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100  resolve() would follow links
        except InputError as error:
            failed.append(Failure(argument, printable(str(error))))
    if not found:
        raise InputError(failed[0].reason if failed else "No input given. Name videos, folders or globs.")
    return Inputs(_with_unique_names(found), tuple(failed), tuple(dict.fromkeys(notes)))


def check_only(inputs: Inputs) -> None:
    """Where one file is all there is, be sure that it can be read before a model is loaded for it.

    Raises:
        MediaError: it cannot.
    """
    from omnisila.media.source import DecodeLimits, open_source  # loads libav, which other mistakes do not need

    if len(inputs.files) == 1 and not inputs.failed:
        open_source(inputs.files[0].path, DecodeLimits())


def _expand_argument(argument: str, notes: list[str]) -> Iterator[Input]:
    path = Path(argument)
    if path.is_dir():
        found = _below(path, path, notes)
        if not found:
            raise InputError(
                f"{path}: no video or picture in this folder. Give one that holds some, or name the files."
            )
        yield from found
    elif path.exists():
        yield Input(path, path.name)
    elif MAGIC & set(argument):
        yield from _matching(path, notes)
    else:
        raise InputError(f"{argument}: no such file or folder. Check the path.")


def _below(folder: Path, root: Path, notes: list[str]) -> list[Input]:
    found: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, names in walk(folder):
        for path in (parent / name for name in names):
            if is_medium(path.relative_to(folder)):
                found.append(path)
            elif path.suffix.lower() not in MEDIA_SUFFIXES and not _is_hidden(path.relative_to(folder)):
                others[path.suffix.lower() or "no ending"] += 1
        links = [path for path in (parent / name for name in sorted(folders)) if path.is_symlink()]
        notes += [f"{path}: a linked folder, not searched. Name it to have it analysed." for path in links]
    if others:
        endings = ", ".join(f"{count} {ending}" for ending, count in others.most_common())
        notes.append(f"{folder}: passed over, not by their endings videos or pictures: {endings}. Name those that are.")
    return [Input(path, path.relative_to(root).as_posix()) for path in sorted(found)]


def _matching(pattern: Path, notes: list[str]) -> Iterator[Input]:
    fixed = next(index for index, part in enumerate(pattern.parts) if MAGIC & set(part))
    root = Path(*pattern.parts[:fixed])
    matches = sorted(set(_glob(root, pattern.parts[fixed:]))) if root.is_dir() else []
    found = [
        Input(path, path.relative_to(root).as_posix())
        for path in matches
        if path.is_file() and is_medium(path.relative_to(root))
    ]
    for folder in (path for path in matches if path.is_dir() and not _is_hidden(path.relative_to(root))):
        found += _below(folder, root, notes)
    if not found:
        raise InputError(f"{pattern}: matches no video or picture. Check the pattern.")
    yield from sorted(found)


def _glob(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """``Path.glob``, which by itself would pass over folders that cannot be listed."""
    if not parts:
        yield folder
        return
    first, *rest = parts
    if first == "**":
        for below, _, _ in walk(folder):
            yield from _glob(below, rest)
        return
    _, folders, names = next(walk(folder), (folder, [], []))
    if not MAGIC & set(first):
        found = [first] if (folder / first).exists() else []
    else:
        found = fnmatch.filter([*folders, *names] if not rest else folders, first)
    for name in found:
        yield from _glob(folder / name, rest)


def is_medium(path: PurePath) -> bool:
    """Whether a file found in a folder, by its path from there, is one to work on."""
    cut = path.parent.suffix == f".{CUTS}" and CLIP_NAME.fullmatch(path.name)
    return path.suffix.lower() in MEDIA_SUFFIXES and not _is_hidden(path) and not cut


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _with_unique_names(found: dict[str, Input]) -> tuple[Input, ...]:
    counts = Counter(item.name for item in found.values())
    if max(counts.values()) == 1:
        return tuple(found.values())
    common = os.path.commonpath(found)
    return tuple(Input(item.path, Path(path).relative_to(common).as_posix()) for path, item in found.items())
