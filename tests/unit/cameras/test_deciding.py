"""Reviewers' decisions: which count, what they say of labels, and what of the footage is no ordinary."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from omnisila.cameras.deciding import agreed_decisions, events, verdicts
from omnisila.decisions import Decision
from omnisila.digests import finding_id
from omnisila.errors import RecordError
from omnisila.records import append
from omnisila.schema import Span

LABELS = ("Fighting", "Theft", "Unusual")


def decision(start_s: float, verdict: str | None, score: float = 0.7, **changed: Any) -> Decision:
    said: dict[str, Any] = {
        "finding": finding_id("f" * 64, "implicit", changed.get("label", "Fighting"), start_s, start_s + 4),
        "verdict": verdict, "labels": "implicit", "label": "Fighting", "start_s": start_s, "end_s": start_s + 4,
        "model_start_s": start_s, "model_end_s": start_s + 4, "video": "a.mp4", "video_sha256": "f" * 64,
        "duration_s": 600.0, "user": "ann", "decided_utc": datetime(2026, 1, 1, tzinfo=UTC), "score": score,
        "analysis": "0" * 64, "model": "compact@0",
    }  # fmt: skip
    return Decision(**{**said, **changed})


def written(path: Path, *decisions: Decision) -> Path:
    append(path, decisions)
    return path


def test_reviewers_who_disagree_are_not_heard(tmp_path: Path) -> None:
    path = written(
        tmp_path / "d.jsonl",
        decision(0.0, "accepted"), decision(0.0, "rejected", user="bob"),
        decision(10.0, "rejected"), decision(10.0, "rejected", user="bob"), decision(20.0, None),
    )  # fmt: skip
    assert [one.start_s for one in agreed_decisions(path, LABELS)] == [10.0]


def test_a_least_score_parts_what_was_rejected_from_what_was_accepted() -> None:
    said = [decision(10.0 * i, "rejected", 0.5 + i / 100) for i in range(6)]
    said += [decision(100.0 + 10 * i, "accepted", 0.8 + i / 100) for i in range(3)]
    found = verdicts(said)["Fighting"]
    assert (found.accepted, found.rejected) == (3, 6)
    assert 0.55 < found.least_score <= 0.8
    assert verdicts(said[:2])["Fighting"].least_score == 0.0


def test_a_relabelled_finding_was_wrong_as_what_it_was_called() -> None:
    found = verdicts([decision(0.0, "accepted", new_label="Theft")])
    assert (found["Fighting"].accepted, found["Fighting"].rejected, found["Theft"].accepted) == (0, 1, 1)


def test_accepted_stretches_are_no_ordinary_footage() -> None:
    found = events([decision(30.0, "accepted"), decision(10.0, "accepted"), decision(50.0, "rejected")])
    assert found == {"f" * 64: (Span(start_s=10.0, end_s=14.0), Span(start_s=30.0, end_s=34.0))}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (decision(0.0, "accepted", finding="0" * 24), r"decision 1: unknown finding '0+'.* Export the decisions again"),
        (decision(0.0, "accepted", label="Arson"), "label 'Arson' is none of this camera's.*Fighting, Theft, Unusual"),
        (decision(0.0, None), "nothing was accepted or rejected"),
    ],
)
def test_decisions_on_unknown_findings_are_refused(tmp_path: Path, wrong: Decision, told: str) -> None:
    with pytest.raises(RecordError, match=told):
        agreed_decisions(written(tmp_path / "d.jsonl", wrong), LABELS)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"video": "a.mp4"}\n')
    with pytest.raises(RecordError, match="line 1: no Decision"):
        agreed_decisions(tmp_path / "d.jsonl", LABELS)
