"""Taking away old analyses whose findings were all rejected; undecided and accepted ones are never touched.

The video itself is the user's, and stays. Decisions stay in any case: they hold what they are about.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sql

from omnisila.files import remove
from omnisila.serve.library import Library
from omnisila.serve.store import FINDINGS, REPORTS, STATES, Store

_ENDINGS = (".html", ".json")  # of the page, then of the analysis: while it is there, the rest is found again


def retire(store: Store, library: Library, days: float) -> tuple[str, ...]:
    """Remove the files of analyses that have been rejected for so many days; their paths in the library.

    Raises:
        OutputError: a file cannot be removed.
    """
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    retired = tuple(expired(store, before))
    for path in retired:
        file = library.file(path)
        for ending in _ENDINGS:
            remove(file.with_suffix(ending))
    return retired


def expired(store: Store, before: str) -> Iterator[str]:
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
