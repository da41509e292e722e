"""The folder of analyses as an index in the store: searched in the background, file by file, again and again."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sql

from omnisila.config import Frozen
from omnisila.digests import file_digest, finding_id
from omnisila.errors import OmnisilaError, RecordError
from omnisila.files import printable, walk
from omnisila.predictions.analyses import read_analysis
from omnisila.schema import Analysis
from omnisila.serve.decisions import added_row
from omnisila.serve.store import FINDINGS, REPORTS, STATES, SUBJECTS, Row, Store

MAX_ANALYSIS_BYTES = 1_000_000_000


class Progress(Frozen):
    """How far the search is: files known so far, and those that are still to be read."""

    running: bool = False
    reports: int = 0
    waiting: int = 0
    failure: str | None = None


class Library:
    """Keeps the index true to the folder.

    Args:
        folder: searched for ``.json`` files with an analysis; hidden folders are passed over.
        roots: files outside them, behind a symbolic link, are passed over.
    """

    def __init__(self, store: Store, folder: Path, roots: tuple[Path, ...]) -> None:
        self._store, self._folder, self._roots = store, folder, roots
        self._others: dict[str, str] = {}  # files that hold no analysis, with their stamps
        self._odd: dict[str, Path] = {}  # files whose names are no text
        self._wake, self._end = threading.Event(), threading.Event()
        self._searching = threading.Lock()  # a second search would enter what the first has, in another order
        self._thread: threading.Thread | None = None
        self.progress = Progress()

    def start(self, every_s: float, after: Callable[[], None] = lambda: None) -> None:
        """Search now and then in a thread of its own, until ``stop``; ``after`` is called after each search."""

        def search() -> None:
            while not self._end.is_set():
                try:
                    self.scan()
                    after()
                except OmnisilaError as error:
                    self.progress = self.progress.replace(running=False, failure=str(error))
                self._wake.wait(every_s)
                self._wake.clear()

        self._thread = threading.Thread(target=search, name="library", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def file(self, report: str) -> Path:
        """Where a report lies, by its path in the index."""
        return self._odd.get(report, self._folder / report)

    def scan(self) -> None:
        """Search once: read what is new or changed, forget what is gone. A search under way is waited for.

        Raises:
            OutputError: the index cannot be written.
        """
        with self._searching:
            self._scan()

    def _scan(self) -> None:
        with self._store.read() as connection:
            known = {row.path: row.stamp for row in connection.execute(sql.select(REPORTS.c.path, REPORTS.c.stamp))}
        unlisted: list[str] = []
        found = dict(self._files(unlisted.append))
        fresh = [path for path, stamp in found.items() if stamp not in (known.get(path), self._others.get(path))]
        self.progress = Progress(running=True, reports=len(known), waiting=len(fresh))
        for path in known.keys() - found.keys():
            with self._store.write() as connection:
                _forget(connection, path)
        for number, path in enumerate(fresh):
            if self._end.is_set():
                break
            self.progress = Progress(running=True, reports=len(found) - len(self._others), waiting=len(fresh) - number)
            self._read(path, found[path])
        self.progress = Progress(reports=len(found) - len(self._others), failure=unlisted[0] if unlisted else None)

    def _files(self, tell: Callable[[str], None]) -> Iterator[tuple[str, str]]:
        """Paths below the folder, with what tells that a file has changed; ``tell`` hears of what cannot be listed."""
        for folder, folders, names in walk(self._folder, tell):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                path = folder / name
                if not name.endswith(".json") or name.startswith(".") or not within(path, self._roots):
                    continue
                try:
                    status = path.stat()
                except OSError:
                    continue  # gone since, or not ours to read
                if status.st_size <= MAX_ANALYSIS_BYTES:
                    plain = path.relative_to(self._folder).as_posix()
                    if (shown := printable(plain)) != plain:
                        self._odd[shown] = path
                    yield shown, f"{status.st_size} {status.st_mtime_ns}"

    def _read(self, path: str, stamp: str) -> None:
        file = self.file(path)
        try:
            digest, analysis = file_digest(file), read_analysis(file)
        except OSError:
            return
        except RecordError as error:
            self._put(path, {"stamp": stamp, "failure": printable(str(error)), **_NOTHING}, None)
            return
        if analysis is None:
            self._others[path] = stamp
            with self._store.write() as connection:
                _forget(connection, path)
            return
        self._others.pop(path, None)
        self._put(path, {"stamp": stamp, "analysis": digest, **_report(analysis)}, analysis)

    def _put(self, path: str, row: Row, analysis: Analysis | None) -> None:
        with self._store.write() as connection:
            kept = connection.execute(sql.select(REPORTS.c.id).where(REPORTS.c.path == path)).scalar_one_or_none()
            _forget(connection, path)
            values = {"id": kept, "path": path, "folder": PurePosixPath(path).parent.as_posix(), **row}
            report = connection.execute(sql.insert(REPORTS).values(values)).inserted_primary_key[0]  # type: ignore[index]
            if analysis is not None:
                rows = [*_findings(analysis, report), *_added_findings(connection, analysis.video.sha256, path, report)]
                if rows:
                    connection.execute(sql.insert(FINDINGS), rows)


_NOTHING = {"analysis": "", "video": "", "video_sha256": "", "duration_s": 0.0, "model": "", "warnings": 0}


def within(path: Path, roots: tuple[Path, ...]) -> bool:
    """Whether a file lies below one of the folders once all symbolic links are followed."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return False
    return any(real.is_relative_to(root) for root in roots)


def _forget(connection: sql.Connection, path: str) -> None:
    mine = sql.select(REPORTS.c.id).where(REPORTS.c.path == path)
    connection.execute(sql.delete(FINDINGS).where(FINDINGS.c.report.in_(mine)))
    connection.execute(sql.delete(REPORTS).where(REPORTS.c.path == path))


def _report(analysis: Analysis) -> dict[str, Any]:
    return {
        "video": analysis.video.path,
        "video_sha256": analysis.video.sha256,
        "duration_s": analysis.video.duration_s,
        "model": f"{analysis.model.name}@{analysis.model.digest[:12]}",
        "warnings": len(analysis.warnings),
        "failure": None,
    }


def _findings(analysis: Analysis, report: int) -> Iterator[dict[str, Any]]:
    for number, finding in enumerate(analysis.findings):
        start_s, end_s = finding.span.start_s, finding.span.end_s
        yield {
            "report": report,
            "number": number,
            "finding": finding_id(analysis.video.sha256, finding.labels, finding.label, start_s, end_s),
            "labels": finding.labels,
            "label": finding.label,
            "start_s": start_s,
            "end_s": end_s,
            "score": finding.score,
            "cause": finding.cause,
            "added_by": None,
        }


def _added_findings(connection: sql.Connection, video_sha256: str, path: str, report: int) -> Iterator[dict[str, Any]]:
    """What people added to this report and did not take back."""
    standing = sql.and_(STATES.c.finding == SUBJECTS.c.finding, STATES.c.user == SUBJECTS.c.added_by, STATES.c.present)
    here = sql.and_(SUBJECTS.c.video_sha256 == video_sha256, SUBJECTS.c.report == path)
    for subject in connection.execute(sql.select(SUBJECTS).join(STATES, standing).where(here)).mappings().all():
        yield added_row(subject, report)
