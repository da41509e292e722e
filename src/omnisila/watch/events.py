"""What happened on a stream, line by line: files of an hour each, by the wall clock."""

import json
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from omnisila.files import named_failure


class EventLog:
    """``OUT/CAMERA/2026-11-26/14.jsonl``: findings, scores, gaps and connections of one hour.

    Lines are added and flushed one by one; an end that was cut off by a power failure is closed before the next.
    A stretch without ``score`` lines was not judged; a ``gap`` line says why.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def write(self, kind: str, utc: datetime, **facts: Any) -> None:
        """Add a line to the hour of ``utc``.

        Raises:
            OutputError: it cannot be written.
        """
        path = hour_folder(self.folder, utc).with_suffix(".jsonl")
        line = json.dumps({"kind": kind, "utc": stamp(utc), **facts}, ensure_ascii=False)
        with self._lock, named_failure(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                if file.seek(0, 2):
                    file.seek(-1, 2)
                    line = line if file.read(1) == b"\n" else f"\n{line}"
                file.write(f"{line}\n".encode())


def hour_folder(folder: Path, utc: datetime) -> Path:
    """Where the results of an hour are."""
    return folder / f"{utc:%Y-%m-%d}" / f"{utc:%H}"


def stamp(utc: datetime) -> str:
    """``2026-11-26T14:03:05.250Z``."""
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
