"""The SQLite file of a server: its tables, and transactions that lose nothing.

Writers take the lock at their start (``BEGIN IMMEDIATE``), so that none reads a state that another is about to change;
readers see the last finished state (WAL). A transaction is on the disk before it is answered for. ``decisions``,
``subjects`` and ``views`` are only ever added to, which triggers in the file hold; all other tables follow from them
and from the folder of analyses, and may be made anew.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from omnisila.errors import OutputError
from omnisila.files import check_writable

Row = Mapping[Any, Any]  # of a table or a query, by column

TABLES = sql.MetaData()
_WAIT_S = 30.0  # for another writer
_VERSION = 1  # of the tables

REPORTS = sql.Table(
    "reports",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("path", sql.Text, nullable=False, unique=True),
    sql.Column("stamp", sql.Text, nullable=False),  # size and time of change, by which a scan knows the file again
    sql.Column("analysis", sql.Text, nullable=False),  # SHA-256 of the file
    sql.Column("folder", sql.Text, nullable=False, index=True),
    sql.Column("video", sql.Text, nullable=False),
    sql.Column("video_sha256", sql.Text, nullable=False, index=True),
    sql.Column("duration_s", sql.Float, nullable=False),
    sql.Column("model", sql.Text, nullable=False),
    sql.Column("warnings", sql.Integer, nullable=False),
    sql.Column("failure", sql.Text),
)
FINDINGS = sql.Table(
    "findings",
    TABLES,
    sql.Column("row", sql.Integer, primary_key=True),
    sql.Column("report", sql.Integer, nullable=False, index=True),
    sql.Column("number", sql.Integer),  # in the analysis; null for one that a person added
    sql.Column("finding", sql.Text, nullable=False, index=True),
    sql.Column("labels", sql.Text, nullable=False),
    sql.Column("label", sql.Text, nullable=False, index=True),
    sql.Column("start_s", sql.Float, nullable=False),
    sql.Column("end_s", sql.Float, nullable=False),
    sql.Column("score", sql.Float, nullable=False),
    sql.Column("cause", sql.Text),
    sql.Column("added_by", sql.Text),
)
sql.Index("findings_by_score", FINDINGS.c.score.desc(), FINDINGS.c.row)
# What was decided on, as it was then: reports may go, decisions stay.
SUBJECTS = sql.Table(
    "subjects", TABLES, sql.Column("finding", sql.Text, primary_key=True),
    sql.Column("analysis", sql.Text, primary_key=True), sql.Column("report", sql.Text, nullable=False),
    sql.Column("video", sql.Text, nullable=False), sql.Column("video_sha256", sql.Text, nullable=False, index=True),
    sql.Column("duration_s", sql.Float, nullable=False), sql.Column("model", sql.Text, nullable=False),
    sql.Column("labels", sql.Text, nullable=False), sql.Column("label", sql.Text, nullable=False),
    sql.Column("start_s", sql.Float, nullable=False), sql.Column("end_s", sql.Float, nullable=False),
    sql.Column("score", sql.Float, nullable=False), sql.Column("cause", sql.Text), sql.Column("added_by", sql.Text),
)  # fmt: skip
DECISIONS = sql.Table(
    "decisions",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("step", sql.Integer, nullable=False),  # the id of the first decision that was made with it
    sql.Column("kind", sql.Text, nullable=False),  # edit, undo or redo
    sql.Column("of_step", sql.Integer),  # which step an undo or redo is of
    sql.Column("request", sql.Text, nullable=False),
    sql.Column("user", sql.Text, nullable=False),
    sql.Column("utc", sql.Text, nullable=False),
    sql.Column("finding", sql.Text, nullable=False),
    sql.Column("analysis", sql.Text, nullable=False),
    sql.Column("before", sql.Text, nullable=False),
    sql.Column("after", sql.Text, nullable=False),
    sql.UniqueConstraint("user", "request", "finding"),
    sqlite_autoincrement=True,
)
VIEWS = sql.Table(
    "views",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("user", sql.Text, nullable=False),
    sql.Column("utc", sql.Text, nullable=False),
    sql.Column("what", sql.Text, nullable=False),
    sqlite_autoincrement=True,
)
STATES = sql.Table(
    "states", TABLES, sql.Column("user", sql.Text, primary_key=True),
    sql.Column("finding", sql.Text, primary_key=True), sql.Column("analysis", sql.Text, nullable=False),
    sql.Column("utc", sql.Text, nullable=False), sql.Column("verdict", sql.Text), sql.Column("label", sql.Text),
    sql.Column("start_s", sql.Float), sql.Column("end_s", sql.Float), sql.Column("rating", sql.Integer),
    sql.Column("present", sql.Boolean, nullable=False),
)  # fmt: skip
STEPS = sql.Table(
    "steps",
    TABLES,
    sql.Column("step", sql.Integer, primary_key=True),
    sql.Column("user", sql.Text, nullable=False, index=True),
    sql.Column("status", sql.Text, nullable=False),  # done; undone: can be redone; dropped: something else was done
)
# What programs asked for; results lie in the folder of analyses.
ANALYSES = sql.Table(
    "analyses", TABLES, sql.Column("id", sql.Text, primary_key=True),
    sql.Column("status", sql.Text, nullable=False, index=True), sql.Column("video", sql.Text, nullable=False),
    sql.Column("settings", sql.Text, nullable=False), sql.Column("user", sql.Text, nullable=False),
    sql.Column("created_utc", sql.Text, nullable=False), sql.Column("error", sql.Text),
)  # fmt: skip
APPEND_ONLY = (DECISIONS, SUBJECTS, VIEWS)


class Store:
    """The file, opened; made when missing.

    Raises:
        OutputError: it cannot be made or written, or a later version of omnisila made it.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path.parent)
        self.path = path
        self._engine = sql.create_engine(f"sqlite:///{path}", connect_args={"timeout": _WAIT_S})
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        with self.write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version > _VERSION:
                raise OutputError(f"{path}: made by a later omnisila. Install that version, or give another --state.")
            TABLES.create_all(connection)
            for table in APPEND_ONLY:
                for change in ("UPDATE", "DELETE"):
                    connection.exec_driver_sql(
                        f"CREATE TRIGGER IF NOT EXISTS {table.name}_no_{change.lower()} BEFORE {change} ON "
                        f"{table.name} BEGIN SELECT RAISE(ABORT, '{table.name} is only added to'); END"
                    )
            connection.exec_driver_sql(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def read(self) -> Iterator[sql.Connection]:
        """One consistent view of everything."""
        with named_fault(self.path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sql.Connection]:
        """A transaction that is on the disk when the block ends, or never was.

        Raises:
            OutputError: the disk is full, or another program holds the file.
        """
        writer = self._engine.execution_options(writes=True)
        with named_fault(self.path), writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def named_fault(path: Path) -> Iterator[None]:
    """Around statements: a file that cannot take them is told as such.

    Raises:
        OutputError: the file cannot be read or written now.
    """
    try:
        yield
    except OperationalError as error:
        raise OutputError(
            f"{path}: nothing was saved ({error.orig}). Free some space, or end the program that holds it, and try "
            "again."
        ) from error


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin alone
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: sql.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
