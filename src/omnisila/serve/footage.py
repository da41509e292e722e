"""Where a report's video lies, below the folders that may be served, and whether a browser may try to play it."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from omnisila.digests import file_digest
from omnisila.inference.batch import STATE_FOLDER, output_path
from omnisila.serve.library import within

_CHECKED_BYTES = 2_000_000_000  # larger files would take long to read for their digest
_REMEMBERED = 10_000  # digests; the oldest is forgotten first


class Footage(NamedTuple):
    """A video file.

    Attributes:
        kind: its media type where a browser may play it, else None.
        same: whether it is the file that was analysed; None where it is too large to find out.
    """

    path: Path
    kind: str | None
    same: bool | None


class _Record(BaseModel):
    """What ``analyze`` notes beside its results, as far as it is needed here."""

    link: str


class FootageFinder:
    """Finds videos; remembers the digests of those it has read.

    Args:
        roots: where files may be, symbolic links resolved; nothing outside is ever given.
    """

    def __init__(self, reports: Path, roots: tuple[Path, ...]) -> None:
        self._reports, self._roots = reports, roots
        self._digests: OrderedDict[tuple[str, int, int], str] = OrderedDict()
        self._lock = Lock()

    def find(self, report: Path, video: str, sha256: str) -> Footage | None:
        """The file: where the analysis says, where its record leads, or beside the report."""
        found = None
        for path in self._candidates(report, video):
            if path.is_file() and within(path, self._roots):
                this = Footage(path.resolve(), media_type(path), self._is_same(path, sha256))
                if this.same is not False:
                    return this
                found = found or this
        return found

    def _candidates(self, report: Path, video: str) -> Iterator[Path]:
        for root in self._roots:
            yield root / video  # an absolute path stays itself
        for folder in report.parents:
            if not folder.is_relative_to(self._reports):
                break
            marker = output_path(folder / STATE_FOLDER, str(report.relative_to(folder).with_suffix("")), "done")
            try:
                yield folder / _Record.model_validate_json(marker.read_bytes()).link
            except (OSError, ValidationError):
                continue
        yield report.with_suffix("")

    def _is_same(self, path: Path, sha256: str) -> bool | None:
        try:
            status = path.stat()
            key = (os.fspath(path), status.st_size, status.st_mtime_ns)
            with self._lock:
                known = self._digests.get(key)
            if known is None:
                if status.st_size > _CHECKED_BYTES:
                    return None
                known = file_digest(path)
        except OSError:
            return False
        with self._lock:
            self._digests[key] = known
            while len(self._digests) > _REMEMBERED:
                self._digests.popitem(last=False)
        return known == sha256


def media_type(path: Path) -> str | None:
    """The type of a container that browsers know, by its first bytes; None for all others."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None
    if head[4:8] == b"ftyp" and head[8:12] not in (b"heic", b"heix", b"mif1", b"avif", b"avis"):
        return "video/mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head:
        return "video/webm"
    return "video/ogg" if head.startswith(b"OggS") else None
