"""What the routes of one application share, and how they ask for it."""

from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import sqlalchemy as sql
from fastapi import Depends, HTTPException, Request
from pydantic import Field

from omnisila.serve.analyses import AnalysisQueue
from omnisila.serve.chatting import Questions
from omnisila.serve.decisions import DecisionLog
from omnisila.serve.footage import FootageFinder
from omnisila.serve.library import Library
from omnisila.serve.previews import Previews
from omnisila.serve.retention import retire
from omnisila.serve.settings import ServeSettings, User
from omnisila.serve.store import VIEWS, Store

DATABASE = "review.sqlite"


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
