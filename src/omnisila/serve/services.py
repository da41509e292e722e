"""What the routes of one application share, how they ask for it, and how long analyses are kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

import sqlalchemy as sql
from fastapi import Depends, HTTPException, Request
from pydantic import Field

from omnisila.files import remove
from omnisila.serve.analyses import AnalysisQueue
from omnisila.serve.chatting import Questions
from omnisila.serve.decisions import DecisionLog
from omnisila.serve.footage import FootageFinder
from omnisila.serve.library import Library
from omnisila.serve.previews import Previews
from omnisila.serve.settings import DATABASE, ServeSettings, User
from omnisila.serve.store import FINDINGS, REPORTS, STATES, VIEWS, Store

_ENDINGS = (".html", ".json")  # of the page, then of the analysis: while it is there, the rest is found again


def retire(store: Store, library: Library, days: float) -> tuple[str, ...]:
    """Remove the files of analyses that have been rejected for so many days; their paths in the library.

    The video is the user's, and stays; so do decisions, which hold what they are about.

    Raises:
        OutputError: a file cannot be removed.
    """
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    retired = tuple(list_expired(store, before))
    for path in retired:
        file = library.file(path)
        for ending in _ENDINGS:
            remove(file.with_suffix(ending))
    return retired


def list_expired(store: Store, before: str) -> Iterator[str]:
    """Reports with findings, each of which somebody rejected and nobody accepted, all before a UTC time."""
    verdicts = (
        sql.select(
            FINDINGS.c.row,
            FINDINGS.c.report,
            sql.func.count(sql.case((STATES.c.verdict == "rejected", 1))).label("rejected"),
            sql.func.count(sql.case((STATES.c.verdict == "accepted", 1))).label("accepted"),
            sql.func.max(STATES.c.utc).label("last"),
        )
        .select_from(FINDINGS.outerjoin(STATES, STATES.c.finding == FINDINGS.c.finding))
        .group_by(FINDINGS.c.row)
        .subquery()
    )
    settled = sql.and_(verdicts.c.rejected > 0, verdicts.c.accepted == 0, verdicts.c.last < before)
    query = (
        sql.select(REPORTS.c.path)
        .join(verdicts, verdicts.c.report == REPORTS.c.id)
        .group_by(REPORTS.c.id)
        .having(sql.func.sum(sql.case((settled, 0), else_=1)) == 0)
    )
    with store.read() as connection:
        yield from connection.execute(query).scalars().all()


class Services(NamedTuple):
    """The parts of one server."""

    settings: ServeSettings
    store: Store
    library: Library
    log: DecisionLog
    footage: FootageFinder
    previews: Previews
    analyses: AnalysisQueue
    questions: Questions

    @classmethod
    def of(cls, settings: ServeSettings) -> "Services":
        """Opened, with nothing running yet.

        Raises:
            OutputError: the folder of state cannot be written to.
        """
        store = Store(settings.state_folder / DATABASE)
        library = Library(store, settings.reports, settings.roots)
        return cls(
            settings, store, library, DecisionLog(store), FootageFinder(settings.reports, settings.roots),
            Previews(settings.state_folder / "previews", settings.preview_cache_bytes, settings.blur_faces),
            AnalysisQueue(
                store, settings.reports, settings.max_waiting, settings.analysis_timeout_s, changed=library.wake
            ),
            Questions(),
        )  # fmt: skip

    def start(self) -> None:
        """Search the folder from now on, and take away what has been kept for long enough."""
        self.library.start(self.settings.scan_every_s, self._tidy)
        self.analyses.start()

    def stop(self) -> None:
        self.analyses.stop()
        self.library.stop()
        self.store.close()

    def note(self, user: str, what: str) -> None:
        """Add to the audit log that somebody saw or did something that is no decision."""
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self.store.write() as connection:
            connection.execute(sql.insert(VIEWS).values(user=user, utc=utc, what=what))

    def _tidy(self) -> None:
        if self.settings.retain_days is not None:
            for path in retire(self.store, self.library, self.settings.retain_days):
                self.note("omnisila", f"{path} taken away: rejected for {self.settings.retain_days:g} days")


def _services(request: Request) -> Services:
    return request.app.state.services


def _viewer(request: Request) -> User:
    return request.state.user


def _reviewer(request: Request) -> User:
    return _with_role(request, "reviewer")


def _admin(request: Request) -> User:
    return _with_role(request, "admin")


def _with_role(request: Request, role: str) -> User:
    user: User = request.state.user
    if not user.may(role):  # type: ignore[arg-type]
        raise HTTPException(403, f"{user.name} is a {user.role}; this needs the role {role}.")
    return user


ReportNumber = Annotated[int, Field(ge=0, le=2**53)]  # what SQLite and JavaScript both can count to
Room = Annotated[Services, Depends(_services)]
Viewer = Annotated[User, Depends(_viewer)]
Reviewer = Annotated[User, Depends(_reviewer)]
Admin = Annotated[User, Depends(_admin)]
