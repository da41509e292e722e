"""Agreement of people on the page, against what the sheets of ``rate`` give for the same answers."""

from datetime import UTC, datetime

import krippendorff
import numpy as np

from omnisila.decisions import Decision
from omnisila.serve.agreement import reviewers


def said(user: str, finding: int, **changes: object) -> Decision:
    one = Decision(
        finding=str(finding), verdict="accepted", labels="implicit", label="Fire", start_s=1.0, end_s=3.0,
        model_start_s=1.0, model_end_s=3.0, video="v.mp4", video_sha256="s", duration_s=9.0, user=user,
        decided_utc=datetime.now(UTC), score=0.5, analysis="a", model="m",
    )  # fmt: skip
    return one.replace(**changes)


def test_alpha_is_krippendorffs_and_disagreements_are_listed() -> None:
    ann, bob = "aaraarra", "araaarrr"
    words = {"a": "accepted", "r": "rejected"}
    decisions = [
        said(user, k, verdict=words[sign], rating=1 + (k + (user == "bob") * (k % 2)) % 6)
        for user, signs in (("ann", ann), ("bob", bob))
        for k, sign in enumerate(signs)
    ]
    found = reviewers(decisions)
    as_numbers = np.array([[float(sign == "a") for sign in signs] for signs in (ann, bob)])
    wanted = krippendorff.alpha(as_numbers, value_domain=[0, 1], level_of_measurement="nominal")
    assert found.verdict.alpha is not None
    assert abs(found.verdict.alpha - wanted) < 1e-12
    assert found.verdict.items == 8
    assert {one.finding for one in found.disagreements} == {"1", "2", "7"}


def test_people_differ_about_labels_and_spans_too_but_not_about_a_little() -> None:
    base = [said("ann", k) for k in range(3)]
    others = [said("bob", 0, new_label="Theft"), said("bob", 1, start_s=6.0, end_s=8.0), said("bob", 2, start_s=1.1)]
    assert {one.finding for one in reviewers([*base, *others]).disagreements} == {"0", "1"}


def test_one_person_alone_neither_agrees_nor_differs() -> None:
    found = reviewers([said("ann", 1)])
    assert found.verdict.alpha is None
    assert found.verdict.note
    assert found.disagreements == ()
    assert reviewers([]).users == ()
