"""What one person says of one finding, and how that follows from the log of decisions alone."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from omnisila.config import Frozen
from omnisila.decisions import Decision, Rating, Verdict
from omnisila.schema import Seconds
from omnisila.serve.store import Row


class State(Frozen):
    """What one person says of one finding; None is: as the model says.

    ``present`` is false only for a finding that a person added and took back.
    """

    verdict: Verdict | None = None
    label: str | None = None
    start_s: Seconds | None = None
    end_s: Seconds | None = None
    rating: Rating | None = None
    present: bool = True


class Change(Frozen):
    """Fields to set; those that are not given stay as they are, None takes the person's word back.

    ``start_s`` and ``end_s`` come together.
    """

    verdict: Verdict | None = None
    label: str | None = Field(default=None, min_length=1, max_length=200)
    start_s: Seconds | None = None
    end_s: Seconds | None = None
    rating: Rating | None = None

    @model_validator(mode="after")
    def _a_whole_span(self) -> Self:
        if ("start_s" in self.model_fields_set) != ("end_s" in self.model_fields_set) or (
            (self.start_s is None) != (self.end_s is None)
        ):
            raise ValueError("start_s and end_s come together")
        return self

    def of(self, state: State) -> State:
        """The state after it; times are kept to the millisecond."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("start_s", "end_s"):
            if given.get(name) is not None:
                given[name] = round(given[name], 3)
        return state.replace(**given)


def replay_log(log: Iterable[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of states and of steps that follow from the log, oldest first."""
    states: dict[tuple[str, str], dict[str, Any]] = {}
    steps: dict[int, dict[str, Any]] = {}
    for row in log:
        states[row["user"], row["finding"]] = state_row(row, State.model_validate_json(row["after"]))
        if row["kind"] == "edit":
            if row["step"] not in steps:
                for step in steps.values():
                    if step["user"] == row["user"] and step["status"] == "undone":
                        step["status"] = "dropped"
            steps[row["step"]] = {"step": row["step"], "user": row["user"], "status": "done"}
        else:
            steps[row["of_step"]]["status"] = "undone" if row["kind"] == "undo" else "done"
    return list(states.values()), list(steps.values())


def state_row(entry: Row, after: State) -> dict[str, Any]:
    """The row of states that an entry of the log leads to."""
    return {**{name: entry[name] for name in ("user", "finding", "analysis", "utc")}, **dict(after)}


def decision_of(row: Row) -> Decision:
    """The exported line of a row of states, joined with its subject under ``model_`` names."""
    added = row["model_added_by"] is not None
    own = row["start_s"] is not None
    return Decision(
        finding=row["finding"], verdict=row["verdict"], labels=row["model_labels"], label=row["model_label"],
        new_label=row["label"] if row["label"] != row["model_label"] else None,
        start_s=row["start_s"] if own else round(row["model_start_s"], 3),
        end_s=row["end_s"] if own else round(row["model_end_s"], 3),
        model_start_s=None if added else row["model_start_s"], model_end_s=None if added else row["model_end_s"],
        video=row["model_video"], video_sha256=row["model_video_sha256"], duration_s=row["model_duration_s"],
        user=row["user"], decided_utc=datetime.fromisoformat(row["utc"]), score=row["model_score"],
        cause=row["model_cause"], rating=row["rating"], analysis=row["analysis"], model=row["model_model"],
    )  # fmt: skip
