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
    said = [one for one in decisions if one.model_start_s is not None]
    wanted = dict.fromkeys(one.finding for one in said if one.verdict == "accepted" or one.rating is not None)
    users = tuple(sorted({one.user for one in said}))
    first = {one.finding: one for one in reversed(said)}
    place = {finding: row for row, finding in enumerate(wanted)}
    values = np.full((len(wanted), len(users)), np.nan)
    for one in said:
        if one.finding in place and one.rating is not None:
            values[place[one.finding], users.index(one.user)] = one.rating
    return Ratings(tuple(_cause(first[finding]) for finding in wanted), users, values)


def _cause(one: Decision) -> RatedCause:
    return RatedCause(
        id=one.finding,
        systems=(one.model,),
        example_id=one.finding,
        video=one.video,
        labels=one.labels,
        label=one.label,
        cause=one.cause or "",
    )
