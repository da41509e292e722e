"""Reviewers' decisions on a camera's findings: what they say about its labels, and which of its time is no ordinary."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from omnisila.cameras.camera import Camera, Verdicts
from omnisila.decisions import Decision
from omnisila.digests import finding_id
from omnisila.errors import RecordError
from omnisila.records import records
from omnisila.schema import Span

_FROM_DECISIONS, _FROM_REJECTED = 5, 3  # a least score is chosen from so many decisions on a label


def agreed_decisions(path: Path, labels: Iterable[str]) -> tuple[Decision, ...]:
    """The findings on which all who decided agree, one decision each.

    Args:
        path: a JSONL file, as ``omnisila decisions export`` writes it.

    Raises:
        RecordError: a line is no decision, there is none, or one is on a finding that cannot be: its id is not that of
            its own video, label and span, or no such label is found on the camera.
    """
    known, by_finding = frozenset(labels), defaultdict[str, list[Decision]](list)
    for number, decision in enumerate(records(path, Decision), 1):
        at = f"{path}, decision {number}: unknown finding {decision.finding!r}"
        if decision.label not in known:
            raise RecordError(
                f"{at}: its label {decision.label!r} is none of this camera's: {', '.join(sorted(known))}."
            )
        if decision.model_start_s is not None and decision.model_end_s is not None:
            model_span = decision.model_start_s, decision.model_end_s
            wanted = finding_id(decision.video_sha256, decision.labels, decision.label, *model_span)
            if decision.finding != wanted:
                raise RecordError(
                    f"{at}: the video, label and span beside it are those of {wanted!r}. Export the decisions again."
                )
        if decision.verdict is not None:
            by_finding[decision.finding].append(decision)
    if not by_finding:
        raise RecordError(f"{path}: nothing was accepted or rejected. Give decisions on this camera's findings.")
    return tuple(of[-1] for of in by_finding.values() if len({decision.verdict for decision in of}) == 1)


def verdicts(decisions: Sequence[Decision]) -> dict[str, Verdicts]:
    """What decisions say about each label; a finding that was relabelled was wrong as what it was called."""
    scores: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    added: dict[str, int] = defaultdict(int)
    for decision in decisions:
        right = decision.verdict == "accepted" and decision.new_label in (None, decision.label)
        if decision.verdict == "accepted" and (decision.model_start_s is None or not right):
            added[decision.final_label] += 1  # the model did not say it, so its score says nothing
        if decision.model_start_s is not None:
            scores[decision.label][not right].append(decision.score)
    return {
        label: Verdicts(
            accepted=len(scores[label][0]) + added[label],
            rejected=len(scores[label][1]),
            least_score=_least_score(*scores[label]),
        )
        for label in {*scores, *added}
    }


def _least_score(accepted: Sequence[float], rejected: Sequence[float]) -> float:
    """The score that parts accepted from rejected findings with the fewest errors, the lowest of equals."""
    if len(rejected) < _FROM_REJECTED or len(accepted) + len(rejected) < _FROM_DECISIONS:
        return 0.0
    candidates = np.r_[0.0, np.unique([*accepted, *rejected]) + 1e-4]  # scores have four decimals: just above each
    wrong = [
        sum(score < least for score in accepted) + sum(score >= least for score in rejected) for least in candidates
    ]
    return float(min(candidates[int(np.argmin(wrong))], 1.0))


def events(decisions: Sequence[Decision]) -> dict[str, tuple[Span, ...]]:
    """Stretches that are no ordinary footage, by the video's SHA-256: whatever was accepted."""
    found: dict[str, list[Span]] = defaultdict(list)
    for decision in decisions:
        if decision.verdict == "accepted":
            found[decision.video_sha256].append(Span(start_s=decision.start_s, end_s=decision.end_s))
    return {video: tuple(sorted(set(spans), key=lambda span: span.start_s)) for video, spans in found.items()}


def apply_decisions(camera: Camera, decisions: Sequence[Decision]) -> Camera:
    """The camera with what people decided, in place of what they had decided before."""
    return Camera(camera.facts.replace(verdicts=verdicts(decisions)), camera.tensors)
