"""The log of decisions: every change that a person makes, added and never altered.

A change is saved with the state before and after it; an undo adds a change back, so nothing is ever taken out.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects.sqlite import insert

from omnisila.config import Frozen
from omnisila.decisions import Decision
from omnisila.digests import digest
from omnisila.errors import InputError
from omnisila.labels import LABEL_SETS
from omnisila.serve.states import Change, State, decision_of, replay_log, state_row
from omnisila.serve.store import DECISIONS, FINDINGS, REPORTS, STATES, STEPS, SUBJECTS, Row, Store

MAX_AT_ONCE = 1000  # findings of one change
_PAST_END_S = 1.0  # a video's stated end may be this much too early


class Saved(Frozen):
    """What a change did, once it is on the disk: the findings with their states now."""

    findings: dict[str, State]
    can_undo: bool
    can_redo: bool


class DecisionLog:
    """Takes changes and gives states, for one store; several processes may use one file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def change(self, user: str, request: str, findings: Sequence[str], change: Change) -> Saved:
        """Change findings in one step, which one undo takes back. The same request again changes nothing more.

        Raises:
            InputError: an unknown finding, more than ``MAX_AT_ONCE``, a label of another set, or a span that is empty,
                inverted or past the video's end.
            OutputError: it could not be saved.
        """
        if not 0 < len(findings) <= MAX_AT_ONCE:
            raise InputError(f"{len(findings)} findings in one change; give 1 to {MAX_AT_ONCE}.")
        with self._store.write() as connection:
            if known := _answered_findings(connection, user, request):
                return _save_outcome(connection, user, known)
            moves = []
            for finding in dict.fromkeys(findings):
                subject = _subject(connection, finding)
                before = state_of(connection, user, finding)
                after = change.of(before)
                _check(after, subject)
                if after != before:
                    moves.append(_Move(subject, before, after))
            if moves:
                _do(connection, user, request, moves)
            return _save_outcome(connection, user, findings)

    def add(self, user: str, request: str, report: int, labels: str, label: str, span: tuple[float, float]) -> Saved:
        """Add a finding that the model missed, accepted by who adds it.

        Raises:
            InputError: no such report, no such label, or a span that cannot be.
            OutputError: it could not be saved.
        """
        with self._store.write() as connection:
            if known := _answered_findings(connection, user, request):
                return _save_outcome(connection, user, known)
            found = connection.execute(sql.select(REPORTS).where(REPORTS.c.id == report)).mappings().one_or_none()
            if found is None:
                raise InputError(f"report {report} does not exist. Load the page again.")
            start_s, end_s = (round(time_s, 3) for time_s in span)
            subject = {
                "finding": f"p{digest(user, request)[:23]}",
                "report": found["path"],
                **{name: found[name] for name in ("analysis", "video", "video_sha256", "duration_s", "model")},
                **{"labels": labels, "label": label, "start_s": start_s, "end_s": end_s},
                **{"score": 1.0, "cause": None, "added_by": user},
            }
            _check(State(label=label, start_s=start_s, end_s=end_s), subject)
            move = _Move(subject, State(present=False), State(verdict="accepted"))
            _do(connection, user, request, [move])
            return _save_outcome(connection, user, [subject["finding"]])

    def undo(self, user: str, request: str) -> Saved:
        """Take back the user's last step that stands; nothing where there is none."""
        return self._back_and_forth(user, request, "undo")

    def redo(self, user: str, request: str) -> Saved:
        """Do again the step that was taken back last, unless something else was done since."""
        return self._back_and_forth(user, request, "redo")

    def can_step(self, user: str) -> tuple[bool, bool]:
        """Whether there is something to undo, and to redo."""
        with self._store.read() as connection:
            return _next_step(connection, user, "undo") is not None, _next_step(connection, user, "redo") is not None

    def decisions(self) -> Iterator[Decision]:
        """Every person's latest word on every finding with a verdict or a rating, in the order they were given."""
        joined = STATES.join(SUBJECTS, _SAME_SUBJECT)
        said = sql.or_(STATES.c.verdict.is_not(None), STATES.c.rating.is_not(None))
        wanted = sql.select(STATES, *(column.label(f"model_{column.name}") for column in SUBJECTS.c))
        with self._store.read() as connection:
            rows = connection.execute(
                wanted.select_from(joined).where(STATES.c.present, said).order_by(STATES.c.utc, STATES.c.finding)
            ).mappings()
            for row in rows:
                yield decision_of(row)

    def history(self) -> Iterator[Row]:
        with self._store.read() as connection:
            yield from connection.execute(sql.select(DECISIONS).order_by(DECISIONS.c.id)).mappings()

    def replay(self) -> None:
        """Make all states anew from the log."""
        with self._store.write() as connection:
            states, steps = replay_log(connection.execute(sql.select(DECISIONS).order_by(DECISIONS.c.id)).mappings())
            for table, rows in ((STATES, states), (STEPS, steps)):
                connection.execute(sql.delete(table))
                if rows:
                    connection.execute(sql.insert(table), rows)

    def _back_and_forth(self, user: str, request: str, kind: Literal["undo", "redo"]) -> Saved:
        with self._store.write() as connection:
            if known := _answered_findings(connection, user, request):
                return _save_outcome(connection, user, known)
            step = _next_step(connection, user, kind)
            if step is None:
                return _save_outcome(connection, user, ())
            made = connection.execute(
                sql.select(DECISIONS).where(DECISIONS.c.step == step).order_by(DECISIONS.c.id)
            ).mappings()
            moves = [
                _Move(
                    _subject(connection, row["finding"], row["analysis"]),
                    state_of(connection, user, row["finding"]),
                    State.model_validate_json(row["before" if kind == "undo" else "after"]),
                )
                for row in made.all()
            ]
            _write(connection, user, request, moves, kind, step)
            status = "undone" if kind == "undo" else "done"
            connection.execute(sql.update(STEPS).where(STEPS.c.step == step).values(status=status))
            return _save_outcome(connection, user, [move.subject["finding"] for move in moves])


def state_of(connection: sql.Connection, user: str, finding: str) -> State:
    wanted = sql.select(*(STATES.c[name] for name in State.model_fields))
    row = connection.execute(wanted.where(STATES.c.user == user, STATES.c.finding == finding)).mappings().one_or_none()
    return State() if row is None else State(**row)


class _Move(NamedTuple):
    subject: Row
    before: State
    after: State


_SAME_SUBJECT = sql.and_(STATES.c.finding == SUBJECTS.c.finding, STATES.c.analysis == SUBJECTS.c.analysis)


def _answered_findings(connection: sql.Connection, user: str, request: str) -> list[str]:
    """The findings that a request changed which was sent before."""
    same = sql.and_(DECISIONS.c.user == user, DECISIONS.c.request == request)
    return list(connection.execute(sql.select(DECISIONS.c.finding).where(same).order_by(DECISIONS.c.id)).scalars())


def _subject(connection: sql.Connection, finding: str, analysis: str | None = None) -> Row:
    """What a decision is about: as it was decided on before, else as it stands in the library."""
    known = sql.select(SUBJECTS).where(SUBJECTS.c.finding == finding)
    if analysis is not None:
        return connection.execute(known.where(SUBJECTS.c.analysis == analysis)).mappings().one()
    report = ("analysis", "video", "video_sha256", "duration_s", "model")
    own = ("finding", "labels", "label", "start_s", "end_s", "score", "cause", "added_by")
    wanted = sql.select(
        *(FINDINGS.c[name] for name in own), *(REPORTS.c[name] for name in report), REPORTS.c.path.label("report")
    )
    joined = wanted.join_from(FINDINGS, REPORTS, FINDINGS.c.report == REPORTS.c.id)
    row = connection.execute(joined.where(FINDINGS.c.finding == finding).limit(1)).mappings().one_or_none()
    row = row or connection.execute(known.limit(1)).mappings().one_or_none()
    if row is None:
        raise InputError(f"finding {finding} does not exist. Load the page again.")
    return row


def _check(after: State, subject: Row) -> None:
    known = LABEL_SETS.get(subject["labels"])
    if after.label is not None and known is not None and after.label not in known.reportable:
        raise InputError(f"label {after.label!r}: label set {known.name} has {', '.join(known.reportable)}.")
    if after.start_s is None or after.end_s is None:
        return
    if after.end_s <= after.start_s:
        raise InputError(f"span {after.start_s:.3f}-{after.end_s:.3f} s: its end must come after its start.")
    end_s = max(subject["duration_s"], subject["end_s"]) + _PAST_END_S
    if after.end_s > end_s:
        raise InputError(
            f"span {after.start_s:.3f}-{after.end_s:.3f} s: the video ends at {subject['duration_s']:.3f}."
        )


def _do(connection: sql.Connection, user: str, request: str, moves: Sequence[_Move]) -> None:
    """A new step; what was taken back before it cannot be done again."""
    undone = sql.and_(STEPS.c.user == user, STEPS.c.status == "undone")
    connection.execute(sql.update(STEPS).where(undone).values(status="dropped"))
    step = _write(connection, user, request, moves, "edit", None)
    connection.execute(sql.insert(STEPS).values(step=step, user=user, status="done"))


def _write(
    connection: sql.Connection, user: str, request: str, moves: Sequence[_Move], kind: str, of_step: int | None
) -> int:
    """Add to the log what the moves do, and let the states follow; the id of the step."""
    utc = datetime.now(UTC).isoformat(timespec="milliseconds")
    step = connection.execute(sql.select(sql.func.coalesce(sql.func.max(DECISIONS.c.id), 0) + 1)).scalar_one()
    for subject, before, after in moves:
        named = {column.name: subject[column.name] for column in SUBJECTS.c}
        connection.execute(insert(SUBJECTS).values(named).on_conflict_do_nothing())
        entry = {
            **{"step": step, "kind": kind, "of_step": of_step, "request": request, "user": user, "utc": utc},
            **{"finding": subject["finding"], "analysis": subject["analysis"]},
            **{"before": before.model_dump_json(), "after": after.model_dump_json()},
        }
        connection.execute(sql.insert(DECISIONS).values(entry))
        row = state_row(entry, after)
        connection.execute(
            insert(STATES).values(row).on_conflict_do_update(index_elements=STATES.primary_key, set_=row)
        )
        if subject["added_by"] == user and before.present != after.present:
            connection.execute(sql.delete(FINDINGS).where(FINDINGS.c.finding == subject["finding"]))
            if after.present:
                reports = sql.select(REPORTS.c.id).where(REPORTS.c.path == subject["report"])
                for report in connection.execute(reports).scalars():
                    connection.execute(sql.insert(FINDINGS).values(added_row(subject, report)))
    return step


def added_row(subject: Row, report: int) -> dict[str, Any]:
    """The library's row of a finding that a person added."""
    names = ("finding", "labels", "label", "start_s", "end_s", "score", "cause", "added_by")
    return {"report": report, "number": None, **{name: subject[name] for name in names}}


def _next_step(connection: sql.Connection, user: str, kind: Literal["undo", "redo"]) -> int | None:
    """The step that an undo takes back, or a redo does again."""
    number = sql.func.max(STEPS.c.step) if kind == "undo" else sql.func.min(STEPS.c.step)
    status = "done" if kind == "undo" else "undone"
    return connection.execute(sql.select(number).where(STEPS.c.user == user, STEPS.c.status == status)).scalar_one()


def _save_outcome(connection: sql.Connection, user: str, findings: Iterable[str]) -> Saved:
    return Saved(
        findings={finding: state_of(connection, user, finding) for finding in findings},
        can_undo=_next_step(connection, user, "undo") is not None,
        can_redo=_next_step(connection, user, "redo") is not None,
    )
