"""Ratings given on the review page score as those of rated tables do."""

from datetime import UTC, datetime

import numpy as np

from omnisila.decisions import Decision
from omnisila.evaluation.rating_tables import decided_ratings, rating_scores


def decision(user: str, finding: str, rating: int | None, **changes: object) -> Decision:
    base = Decision(
        finding=finding, verdict="accepted", labels="implicit", label="Fire", start_s=1.0, end_s=3.0, model_start_s=1.0,
        model_end_s=3.0, video=f"{finding}.mp4", video_sha256="s", duration_s=9.0, user=user,
        decided_utc=datetime.now(UTC), score=0.5, cause="Flames.", rating=rating, analysis="a", model="compact@1",
    )  # fmt: skip
    return base.replace(**changes)


def test_people_rate_a_models_causes() -> None:
    said = [
        decision("ann", "a", 4),
        decision("bob", "a", 6),
        decision("ann", "b", 2),
        decision("ann", "c", None),
        decision("ann", "d", None, cause=None),  # no cause: the lowest rating
        decision("ann", "e", None, verdict="rejected"),  # nobody asks for the cause of what is wrong
        decision("bob", "f", 6, model_start_s=None, model_end_s=None),  # added by a person
    ]
    ratings = decided_ratings(said)
    assert [one.id for one in ratings.causes] == ["a", "b", "c", "d"]
    assert ratings.raters == ("ann", "bob")
    np.testing.assert_array_equal(ratings.values[0], [4, 6])
    (scores,) = rating_scores(ratings, draws=0)
    named = {(one.metric, one.variant.partition(";")[0]): one.value for one in scores.scores}
    assert scores.system == "compact@1"
    assert named["Atr-R", "implicit"] == (5 + 2 + 1) / 3
    unrated = next(one.value for one in scores.scores if one.metric == "unrated causes")
    assert unrated == 1


def test_no_ratings_no_scores() -> None:
    assert rating_scores(decided_ratings([]), draws=0) == ()
