"""Analyses that programs ask for: a queue that survives a restart, worked off by processes that can be killed.

An analysis is known by the video's content and what was asked of it, so the same request again is the same analysis.
Its result lies in the folder of analyses, where reviewers find it too.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql
from pydantic import Field

from omnisila import weights
from omnisila.config import Frozen
from omnisila.digests import content_digest, digest
from omnisila.errors import InputError, MediaError, OutputError, unknown
from omnisila.files import Write, write_atomically
from omnisila.labels import label_set
from omnisila.serve import processes
from omnisila.serve.library import within
from omnisila.serve.store import ANALYSES, Store

FOLDER = "analyses"  # of results, below the folder of analyses
MODELS = tuple(name for name in weights.RUNS if name != "compact-reaction")
_MEMORY_BYTES = 16 * 2**30  # of addresses, most of which the libraries reserve and never touch
_CORES = 2  # that an analysis may keep busy all the time it has
_IDLE_S = 5.0  # between looks at the queue; a request wakes it sooner

Status = Literal["queued", "running", "done", "failed", "cancelled"]


class Settings(Frozen):
    """What is asked of a video."""

    model: str = "compact"
    labels: tuple[str, ...] = Field(default=(), max_length=8)

    def check(self) -> None:
        """Be sure that it can be answered.

        Raises:
            InputError: no such model or label set.
        """
        if self.model not in MODELS:
            raise InputError(unknown("model", self.model, MODELS))
        for name in self.labels:
            label_set(name)


class Job(Frozen):
    """How far an analysis is; ``ahead`` counts those that are queued before it."""

    id: str
    status: Status
    model: str
    labels: tuple[str, ...]
    created_utc: datetime
    ahead: int = 0
    error: str | None = None


class QueueFullError(Exception):
    """The queue is full."""


class AnalysisQueue:
    """Takes requests and works them off one after another, in the order they came in.

    Args:
        max_waiting: requests that may wait; more are sent away.
        timeout_s: for one analysis; then its process is killed.
    """

    def __init__(
        self, store: Store, reports: Path, max_waiting: int, timeout_s: float, changed: Callable[[], None]
    ) -> None:
        self._store, self._reports, self._max, self._timeout_s = store, reports, max_waiting, timeout_s
        self._changed = changed
        self._wake, self._end, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._running: tuple[str, processes.Child] | None = None
        self._thread: threading.Thread | None = None

    def add(self, user: str, video: Path, settings: Settings) -> Job:
        """Queue a video, unless it is queued or analysed already; a failed or cancelled one is tried again.

        Raises:
            InputError: it cannot be read, or what is asked cannot be answered.
            QueueFullError: the queue is full.
            OutputError: it could not be saved.
        """
        settings.check()
        try:
            content = content_digest(video)
        except OSError as error:
            raise InputError(f"{video.name}: cannot be read ({error.strerror}). Give a video file.") from None
        name = digest(content, settings.model_dump_json())[:24]
        with self._store.write() as connection:
            row = _row(connection, name)
            fresh = row is None or row["status"] in ("failed", "cancelled")
            if row is not None and row["status"] == "done" and not self.result(name).is_file():
                fresh = True  # somebody took the result away
            if fresh:
                waiting = sql.select(sql.func.count()).where(ANALYSES.c.status == "queued")
                if connection.execute(waiting).scalar_one() >= self._max:
                    raise QueueFullError
                connection.execute(sql.delete(ANALYSES).where(ANALYSES.c.id == name))
                utc = datetime.now(UTC).isoformat(timespec="microseconds")
                values = {"id": name, "status": "queued", "video": str(video), "user": user, "created_utc": utc}
                connection.execute(sql.insert(ANALYSES).values(**values, settings=settings.model_dump_json()))
        self._wake.set()
        return self.job(name)

    def job(self, name: str) -> Job:
        """How far it is.

        Raises:
            KeyError: there is none of that id.
        """
        with self._store.read() as connection:
            row = _row(connection, name)
            if row is None:
                raise KeyError(name)
            earlier = sql.and_(ANALYSES.c.status == "queued", ANALYSES.c.created_utc < row["created_utc"])
            ahead = connection.execute(sql.select(sql.func.count()).select_from(ANALYSES).where(earlier)).scalar_one()
        asked = Settings.model_validate_json(row["settings"])
        return Job(
            id=name,
            status=row["status"],
            model=asked.model,
            labels=asked.labels,
            created_utc=datetime.fromisoformat(row["created_utc"]),
            ahead=ahead if row["status"] == "queued" else 0,
            error=row["error"],
        )

    def counts(self) -> dict[str, int]:
        query = sql.select(ANALYSES.c.status, sql.func.count()).group_by(ANALYSES.c.status)
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def result(self, name: str) -> Path:
        return self._reports / FOLDER / f"{name}.json"

    def cancel(self, name: str) -> Job:
        """Take it out of the queue, or end its process; a finished one stays.

        Raises:
            KeyError: there is none of that id.
        """
        with self._store.write() as connection:
            open_ = sql.and_(ANALYSES.c.id == name, ANALYSES.c.status.in_(("queued", "running")))
            connection.execute(sql.update(ANALYSES).where(open_).values(status="cancelled"))
        with self._lock:
            if self._running is not None and self._running[0] == name:
                self._running[1].kill()
        return self.job(name)

    def start(self) -> None:
        """Work from now on; what a stopped server was at is begun again."""
        with self._store.write() as connection:
            connection.execute(sql.update(ANALYSES).where(ANALYSES.c.status == "running").values(status="queued"))
        self._thread = threading.Thread(target=self._work, name="analyses", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._wake.set()
        with self._lock:
            if self._running is not None:
                self._running[1].kill()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._end.is_set():
            row = None
            with suppress(OutputError):  # a full disk: the queue waits until there is room
                row = self._next()
            if row is None:
                self._wake.wait(_IDLE_S)
                self._wake.clear()
                continue
            try:
                ended = self._analyse(row)
            except OutputError as error:
                ended = "failed", str(error)
            while not self._is_saved(row["id"], *ended) and not self._end.wait(_IDLE_S):
                pass  # the result is kept; that it is done waits until there is room

    def _next(self) -> Mapping[Any, Any] | None:
        with self._store.write() as connection:
            first = sql.select(ANALYSES).where(ANALYSES.c.status == "queued").order_by(ANALYSES.c.created_utc).limit(1)
            row = connection.execute(first).mappings().one_or_none()
            if row is not None:
                taken = sql.update(ANALYSES).where(ANALYSES.c.id == row["id"])
                connection.execute(taken.values(status="running", error=None))
        return row

    def _analyse(self, row: Mapping[Any, Any]) -> tuple[Status, str | None]:
        """Run the process to its end: how it ended, and why if it failed."""
        asked = Settings.model_validate_json(row["settings"])
        given = (row["video"], asked.model, ",".join(asked.labels), str(self._timeout_s))
        try:
            child = processes.Child(__name__, given, processes.FeatureWriter(Path(row["video"])))
            with self._lock:
                self._running = (row["id"], child)
                if self._end.is_set() or self.job(row["id"]).status != "running":
                    child.kill()  # it was stopped or cancelled while it began
            said = child.answer(self._timeout_s, "Cut the video into shorter ones.")
        except MediaError as error:
            return "failed", str(error)
        finally:
            with self._lock:
                self._running = None
        write_atomically(self.result(row["id"]), said)
        self._changed()
        return "done", None

    def _is_saved(self, name: str, status: Status, error: str | None) -> bool:
        """Whether it is on the disk how an analysis ended."""
        if self._end.is_set() and status == "failed":
            status, error = "queued", None  # the server was stopped: begun again when it runs
        mine = sql.and_(ANALYSES.c.id == name, ANALYSES.c.status == "running")  # unless it was cancelled
        try:
            with self._store.write() as connection:
                connection.execute(sql.update(ANALYSES).where(mine).values(status=status, error=error))
        except OutputError:
            return False
        return True


def served_path(path: str, roots: tuple[Path, ...]) -> Path:
    """A file by its path below one of the folders that are served.

    Raises:
        InputError: there is none there.
    """
    for root in roots:
        found = root / path
        if "\0" not in path and found.is_file() and within(found, roots):
            return found.resolve()
    raise InputError(f"{path!r}: no file below the folders that are served. Give a path relative to one of them.")


def main(arguments: list[str], write: Write) -> bytes:
    """In the process of its own: the analysis as JSON."""
    from omnisila.inference.load import load
    from omnisila.inference.settings import AnalyzerConfig
    from omnisila.scenes.cache import FeatureCache

    video, model, labels, timeout_s = arguments
    processes.limit(_MEMORY_BYTES, _CORES * float(timeout_s))
    settings = AnalyzerConfig()
    if labels:
        settings = settings.replace(labels=tuple(labels.split(",")))
    return load(model, settings, FeatureCache(write=write)).analyze(Path(video)).model_dump_json().encode()


def _row(connection: sql.Connection, name: str) -> Mapping[Any, Any] | None:
    return connection.execute(sql.select(ANALYSES).where(ANALYSES.c.id == name)).mappings().one_or_none()
