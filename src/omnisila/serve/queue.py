"""The queue: findings ranked by score, filtered and given out page by page.

A page begins after the last finding of the one before it, so that no page repeats or skips one however many there are
and whatever is decided meanwhile.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sql
from pydantic import Field

from omnisila.config import Frozen
from omnisila.errors import InputError
from omnisila.schema import Probability
from omnisila.serve.states import State
from omnisila.serve.store import FINDINGS, REPORTS, STATES, Store

MAX_PAGE = 500


class QueueFilter(Frozen):
    """Which findings to list.

    Attributes:
        folder: of the report, with all folders below it; a camera usually has one.
        undecided: only those on which the user has given no verdict.
        warned: only those of videos with warnings.
    """

    labels: str | None = None
    label: str | None = None
    min_score: Probability = 0.0
    max_score: Probability = 1.0
    folder: str | None = None
    undecided: bool = False
    warned: bool = False


class PageRequest(QueueFilter):
    """A filter with the place in the list: ``after`` is what the page before stated."""

    after: str | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class Listed(Frozen):
    """A finding in the queue, with the state that the user has given it."""

    finding: str
    report: int
    video: str
    folder: str
    labels: str
    label: str
    start_s: float
    end_s: float
    score: float
    cause: str | None
    warnings: int
    added_by: str | None
    state: State


class Page(Frozen):
    """A page of the queue.

    Attributes:
        after: what to ask the next page with; None on the last one.
        total: how many findings there are; only told with the first page.
        undecided: how many of them wait for the user's verdict; likewise.
    """

    findings: tuple[Listed, ...]
    after: str | None
    total: int | None = None
    undecided: int | None = None


class Choices(Frozen):
    """What the filters can be set to, with the number of findings of each."""

    labels: dict[str, dict[str, int]]
    folders: dict[str, int]


class _Place(NamedTuple):
    score: float
    row: int


_COLUMNS = (
    *(FINDINGS.c[name] for name in ("row", "finding", "report", "labels", "label", "start_s", "end_s", "score")),
    *(FINDINGS.c[name] for name in ("cause", "added_by")),
    *(REPORTS.c[name] for name in ("video", "folder", "warnings")),
    *(STATES.c[name].label(f"state_{name}") for name in State.model_fields),
)


def page(store: Store, user: str, wanted: PageRequest) -> Page:
    """The findings that follow the page before, best first.

    Raises:
        InputError: ``after`` is none that a page gave.
    """
    after, limit = wanted.after, wanted.limit
    query = _filter_rows(sql.select(*_COLUMNS), user, wanted)
    if after is not None:
        score, row = _place(after)
        later = sql.or_(FINDINGS.c.score < score, sql.and_(FINDINGS.c.score == score, FINDINGS.c.row > row))
        query = query.where(FINDINGS.c.score <= score, later)
    query = query.order_by(FINDINGS.c.score.desc(), FINDINGS.c.row).limit(limit + 1)
    with store.read() as connection:
        rows = connection.execute(query).mappings().all()
        total = undecided = None
        if after is None:
            counts = _filter_rows(sql.select(sql.func.count(), sql.func.count(STATES.c.verdict)), user, wanted)
            total, decided = tuple[int, ...](connection.execute(counts).one())
            undecided = total - decided
    more = len(rows) > limit
    last = f"{rows[limit - 1]['score']!r}:{rows[limit - 1]['row']}" if more else None
    return Page(findings=tuple(map(_list_row, rows[:limit])), after=last, total=total, undecided=undecided)


def of_report(store: Store, user: str, report: int) -> tuple[Listed, ...]:
    """All findings of one report, in the order of time."""
    query = _filter_rows(sql.select(*_COLUMNS), user, QueueFilter()).where(FINDINGS.c.report == report)
    with store.read() as connection:
        rows = connection.execute(query.order_by(FINDINGS.c.start_s, FINDINGS.c.row)).mappings().all()
    return tuple(map(_list_row, rows))


def find(store: Store, user: str, finding: str) -> Listed:
    """A finding by its id.

    Raises:
        InputError: it is not in the library.
    """
    query = _filter_rows(sql.select(*_COLUMNS), user, QueueFilter()).where(FINDINGS.c.finding == finding).limit(1)
    with store.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise InputError(f"finding {finding} is in no report any more. Load the page again.")
    return _list_row(row)


def number_of(store: Store, report: int, finding: str) -> int | None:
    """The place of a finding in its analysis; None for one that a person added.

    Raises:
        InputError: the report has no such finding.
    """
    mine = sql.and_(FINDINGS.c.report == report, FINDINGS.c.finding == finding)
    with store.read() as connection:
        found = connection.execute(sql.select(FINDINGS.c.number).where(mine).limit(1)).one_or_none()
    if found is None:
        raise InputError(f"report {report} has no finding {finding}. Load the page again.")
    return found.number


def choices(store: Store) -> Choices:
    """Labels by label set, and folders, that there are."""
    by_label = sql.select(FINDINGS.c.labels, FINDINGS.c.label, sql.func.count()).group_by(
        FINDINGS.c.labels, FINDINGS.c.label
    )
    by_folder = sql.select(REPORTS.c.folder, sql.func.count(FINDINGS.c.row)).join_from(
        REPORTS, FINDINGS, FINDINGS.c.report == REPORTS.c.id
    )
    labels: dict[str, dict[str, int]] = {}
    with store.read() as connection:
        for name, label, count in connection.execute(by_label):
            labels.setdefault(name, {})[label] = count
        folders = {row[0]: row[1] for row in connection.execute(by_folder.group_by(REPORTS.c.folder))}
    return Choices(labels=labels, folders=_with_parents(folders.items()))


def _filter_rows(query: Any, user: str, wanted: QueueFilter) -> Any:
    mine = sql.and_(STATES.c.finding == FINDINGS.c.finding, STATES.c.user == user)
    query = query.select_from(FINDINGS.join(REPORTS, FINDINGS.c.report == REPORTS.c.id).outerjoin(STATES, mine))
    if wanted.labels is not None:
        query = query.where(FINDINGS.c.labels == wanted.labels)
    if wanted.label is not None:
        query = query.where(FINDINGS.c.label == wanted.label)
    if wanted.min_score > 0:
        query = query.where(FINDINGS.c.score >= wanted.min_score)
    if wanted.max_score < 1:
        query = query.where(FINDINGS.c.score <= wanted.max_score)
    if wanted.folder is not None:
        below = REPORTS.c.folder.startswith(f"{wanted.folder}/", autoescape=True)
        query = query.where(sql.or_(REPORTS.c.folder == wanted.folder, below))
    if wanted.undecided:
        query = query.where(STATES.c.verdict.is_(None))
    if wanted.warned:
        query = query.where(REPORTS.c.warnings > 0)
    return query


def _list_row(row: Any) -> Listed:
    state = State() if row["state_present"] is None else State(**{n: row[f"state_{n}"] for n in State.model_fields})
    names = Listed.model_fields.keys() - {"state"}
    return Listed(**{name: row[name] for name in names}, state=state)


def _place(after: str) -> _Place:
    score, _, row = after.partition(":")
    try:
        place = _Place(float(score), int(row))
    except ValueError:
        place = _Place(-1.0, 0)
    if not (0 <= place.score <= 1 and 0 <= place.row < 2**53):
        raise InputError(f"after={after!r}: no place in the queue. Give what the page before stated.")
    return place


def _with_parents(folders: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Each folder with its own findings and those of the folders in it; the root is ``.``."""
    total: dict[str, int] = {}
    for folder, count in folders:
        parts = [] if folder == "." else folder.split("/")
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            total[parent] = total.get(parent, 0) + count
    return dict(sorted(total.items()))
