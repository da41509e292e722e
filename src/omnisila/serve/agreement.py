"""How alike people decide: Krippendorff's alpha of verdicts and ratings, and the findings that they differ about."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np

from omnisila.config import Frozen
from omnisila.decisions import Decision
from omnisila.errors import InputError
from omnisila.evaluation.agreement import HIGHEST, LOWEST, agreement

_SAME_SPAN = 0.5  # intersection over union from which two people mean the same stretch
_VERDICTS = {"rejected": LOWEST, "accepted": HIGHEST}
MAX_LISTED = 500


class Alike(Frozen):
    """Agreement on one question; ``items`` are the findings that at least two people answered it for."""

    alpha: float | None
    items: int
    note: str | None


class Disagreement(Frozen):
    """A finding that people differ about, and what each says."""

    finding: str
    video: str
    label: str
    start_s: float
    end_s: float
    says: tuple[str, ...]


class Reviewers(Frozen):
    """All who decided, how alike, and where not."""

    users: tuple[str, ...]
    verdict: Alike
    rating: Alike
    disagreements: tuple[Disagreement, ...]


def reviewers(decisions: Sequence[Decision]) -> Reviewers:
    """Compare people on the findings that they share; the best-scored disagreements are listed first."""
    users = tuple(sorted({decision.user for decision in decisions}))
    by_finding: dict[str, list[Decision]] = {}
    for decision in decisions:
        by_finding.setdefault(decision.finding, []).append(decision)
    shared = [group for group in by_finding.values() if len(group) > 1]
    differing = sorted((group for group in shared if _differ(group)), key=lambda group: -group[0].score)
    return Reviewers(
        users=users,
        verdict=_alike(shared, users, lambda decision: _VERDICTS.get(decision.verdict or ""), nominal=True),
        rating=_alike(shared, users, lambda decision: decision.rating, nominal=False),
        disagreements=tuple(_disagreement(group) for group in differing[:MAX_LISTED]),
    )


def _alike(
    groups: Iterable[Sequence[Decision]],
    users: Sequence[str],
    value: Callable[[Decision], int | None],
    *,
    nominal: bool,
) -> Alike:
    rows = [{decision.user: value(decision) for decision in group} for group in groups]
    table = np.array([[np.nan if row.get(user) is None else row[user] for user in users] for row in rows], dtype=float)
    try:
        found = agreement(table.reshape(len(rows), len(users)), "nominal" if nominal else "ordinal")
    except InputError as error:
        return Alike(alpha=None, items=len(rows), note=str(error))
    return Alike(alpha=found.alpha, items=found.causes, note=found.note)


def _differ(group: Sequence[Decision]) -> bool:
    """Whether two of them give other verdicts, or accept it as something else or somewhere else."""
    for first, other in combinations([said for said in group if said.verdict is not None], 2):
        if first.verdict != other.verdict:
            return True
        if first.verdict == "accepted" and (
            first.final_label != other.final_label or _overlap(first, other) < _SAME_SPAN
        ):
            return True
    return False


def _overlap(first: Decision, other: Decision) -> float:
    shared_s = min(first.end_s, other.end_s) - max(first.start_s, other.start_s)
    return max(shared_s, 0.0) / (max(first.end_s, other.end_s) - min(first.start_s, other.start_s))


def _disagreement(group: Sequence[Decision]) -> Disagreement:
    first = group[0]
    return Disagreement(
        finding=first.finding,
        video=first.video,
        label=first.label,
        start_s=first.start_s,
        end_s=first.end_s,
        says=tuple(f"{decision.user}: {_answer_of(decision)}" for decision in group),
    )


def _answer_of(decision: Decision) -> str:
    what = f"{decision.verdict or 'no verdict'}"
    return (
        f"{what}, {decision.final_label}, {decision.start_s:.3f}-{decision.end_s:.3f} s"
        if decision.verdict == "accepted"
        else what
    )
