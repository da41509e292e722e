"""The audit log: who saw what and who decided what, newest first."""

from typing import Literal

import sqlalchemy as sql

from omnisila.config import Frozen
from omnisila.serve.store import DECISIONS, VIEWS, Store


class Entry(Frozen):
    """One thing that somebody did; ``what`` is in words for views, and before and after as JSON for decisions."""

    utc: str
    user: str
    did: Literal["saw", "edit", "undo", "redo"]
    what: str


def entries(store: Store, before: str | None = None, limit: int = 200) -> tuple[Entry, ...]:
    """What was done before a UTC time, or last of all."""
    views = sql.select(VIEWS.c.utc, VIEWS.c.user, sql.literal("saw").label("did"), VIEWS.c.what)
    change = sql.func.json_object(
        "finding", DECISIONS.c.finding, "analysis", DECISIONS.c.analysis,
        "before", sql.func.json(DECISIONS.c.before), "after", sql.func.json(DECISIONS.c.after),
    )  # fmt: skip
    decisions = sql.select(DECISIONS.c.utc, DECISIONS.c.user, DECISIONS.c.kind, change)
    both = sql.union_all(views, decisions).subquery()
    query = sql.select(both).order_by(both.c.utc.desc()).limit(limit)
    if before is not None:
        query = query.where(both.c.utc < before)
    with store.read() as connection:
        return tuple(Entry(utc=row[0], user=row[1], did=row[2], what=row[3]) for row in connection.execute(query))
