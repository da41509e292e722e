"""Atr-R from the review page: people's ratings of causes there, scored as those of rated tables are."""

from collections.abc import Iterable

import numpy as np

from omnisila.decisions import Decision
from omnisila.evaluation.rating_tables import RatedCause, Ratings


def decided_ratings(decisions: Iterable[Decision]) -> Ratings:
    """The causes of findings that somebody accepted or rated, with each person's rating.

    A system is a model's name with its digest, as ``score`` calls the system that a folder of analyses is. What people
    added themselves has no cause of a model. A cause that was accepted but not rated counts as unrated.
    """
    said = [decision for decision in decisions if decision.model_start_s is not None]
    wanted = dict.fromkeys(
        decision.finding for decision in said if decision.verdict == "accepted" or decision.rating is not None
    )
    users = tuple(sorted({decision.user for decision in said}))
    first = {decision.finding: decision for decision in reversed(said)}
    place = {finding: row for row, finding in enumerate(wanted)}
    values = np.full((len(wanted), len(users)), np.nan)
    for decision in said:
        if decision.finding in place and decision.rating is not None:
            values[place[decision.finding], users.index(decision.user)] = decision.rating
    return Ratings(tuple(_cause(first[finding]) for finding in wanted), users, values)


def _cause(decision: Decision) -> RatedCause:
    return RatedCause(
        id=decision.finding,
        systems=(decision.model,),
        example_id=decision.finding,
        video=decision.video,
        labels=decision.labels,
        label=decision.label,
        cause=decision.cause or "",
    )
