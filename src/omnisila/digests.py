"""SHA-256 in hexadecimal: the names by which footage, networks, settings and findings are known."""

import hashlib
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system, FAT's: within a tick a file may change unseen


def digest(*parts: str | bytes) -> str:
    """Of the parts, joined by ``|``."""
    return hashlib.sha256(b"|".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()


def file_digest(path: Path) -> str:
    """Of a file's content, read piece by piece.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finding_id(video_sha256: str, labels: str, label: str, start_s: float, end_s: float) -> str:
    """The name of a finding: the same for the same video content, label set, label and span, to the millisecond.

    Two analyses that find the same have the same ids, wherever the video lies and whatever the score.
    """
    return digest(video_sha256, labels, label, f"{start_s:.3f}", f"{end_s:.3f}")[:24]


class FileVersion(NamedTuple):
    """What differs where a file's content does."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def file_version(path: Path) -> FileVersion | None:
    """The version of a file; None where it changed so lately that its times could hide another change.

    Raises:
        OSError: it is missing.
    """
    facts = path.stat()
    if time.time_ns() - max(facts.st_mtime_ns, facts.st_ctime_ns) < _SETTLED_NS:
        return None
    return FileVersion(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def kept_by_version(most: int | None) -> Callable[[Callable[[Path], Result]], Callable[[Path], Result]]:
    """A decorator of what is read of a file: it is read once while the file stays as it is.

    Args:
        most: files that are kept at a time; None: all.
    """

    def decorate(read: Callable[[Path], Result]) -> Callable[[Path], Result]:
        @lru_cache(maxsize=most)
        def known(path: Path, version: FileVersion) -> Result:  # noqa: ARG001 (the version is a part of the key)
            return read(path)

        @wraps(read)
        def current(path: Path) -> Result:
            version = file_version(path)
            return read(path) if version is None else known(path, version)

        return current

    return decorate


content_digest = kept_by_version(4096)(file_digest)
"""``file_digest``, read once while the file stays as it is, however often it is asked for."""
