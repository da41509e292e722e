"""Atr-R as named scores: the mean over causes, whoever rated them. Source: Omni-SILA 4.3, Tables 2 and 3."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.evaluation.answers import Chosen, StatedCause, number_names
from omnisila.evaluation.judging import HIGHEST, LOWEST, PROMPT_VERSION, Known, Verdict
from omnisila.evaluation.named_scores import make_score
from omnisila.evaluation.score_files import read_scores, write_scores
from omnisila.evaluation.significance import DRAWS, with_intervals
from omnisila.schema import Score, Scores

ATR_R = "Atr-R"
JUDGED = f"LLM judge {LOWEST}-{HIGHEST}"
HUMAN = "human 1-6"
SUM = f"{JUDGED} + {HUMAN}"


class Rated(NamedTuple):
    """A cause with its rating, NaN where it has none."""

    system: str
    labels: str
    label: str
    video: str
    rating: float


def judged_scores(causes: Sequence[StatedCause], known: Known, draws: int = DRAWS) -> tuple[Scores, ...]:
    """Each system's Atr-R by one judge: mean with its interval over videos, per label, and what could not be rated.

    An empty cause has the lowest rating: a system cannot gain by keeping silent. What the judge did not rate is the
    judge's failure, is left out of the mean and counted.
    """
    found = [(cause, known.of(cause) if cause.cause else None) for cause in causes]
    models = ", ".join(sorted({verdict.model for _, verdict in found if verdict is not None})) or "no answer yet"
    temperatures = {verdict.temperature for _, verdict in found if verdict is not None}
    heat = "".join(f", temperature {value:g}" for value in temperatures if value is not None)
    recipe = f"{JUDGED}, {models}{heat}, prompt {PROMPT_VERSION}"
    rows = [
        Rated(
            cause.system,
            cause.example.labels,
            cause.label,
            cause.example.video,
            _rating(cause, verdict and verdict.rating),
        )
        for cause, verdict in found
    ]
    return tuple(
        Scores(
            system=system,
            scores=(
                *mean_ratings([row for row in rows if row.system == system], recipe, draws),
                *_judging_counts([pair for pair in found if pair[0].system == system], recipe),
            ),
        )
        for system in dict.fromkeys(cause.system for cause in causes)
    )


def mean_ratings(rows: Sequence[Rated], recipe: str, draws: int = DRAWS) -> Iterator[Score]:
    """Mean of all and per label, label set by label set; intervals are those of a bootstrap over videos."""
    for labels in dict.fromkeys(row.labels for row in rows):
        mine = [row for row in rows if row.labels == labels]
        ratings = np.array([row.rating for row in mine], dtype=np.float64)

        def overall(
            chosen: Chosen, ratings: Float[np.ndarray, "items"] = ratings, labels: str = labels
        ) -> tuple[Score, ...]:
            return (_mean(ratings[chosen], f"{labels}; {recipe}"),)

        videos = number_names(row.video for row in mine)
        yield from with_intervals(overall, videos, draws) if draws else overall(np.arange(len(mine)))
        for label in sorted({row.label for row in mine if row.label}):
            of_label = np.array([row.label == label for row in mine])
            yield _mean(ratings[of_label], f"{labels}; {label}; {recipe}")


def sum_ratings(judged: Scores, human: Scores) -> tuple[Score, ...]:
    """The judge's mean plus the people's, 2 to 16, for each label set that both have: what Table 3 prints as Atr-R.

    No interval: both are means over the same causes, and their bounds do not add.
    """
    people = {score.variant.partition(f"; {HUMAN}")[0]: score for score in _rate_whole(human, HUMAN)}
    return tuple(
        make_score(
            ATR_R,
            score.variant.replace(JUDGED, SUM, 1) + ", as summed in Omni-SILA Table 3",
            score.value + other.value,
            min(score.count, other.count),
        )
        for score in _rate_whole(judged, JUDGED)
        if (other := people.get(score.variant.partition(f"; {JUDGED}")[0])) is not None
        and score.value is not None
        and other.value is not None
    )


def add_scores(path: Path, added: Iterable[Scores]) -> None:
    """Put scores into a scores.json beside what its systems have; a figure of the same name is replaced.

    Raises:
        RecordError: the file is there, but is no scores.json.
        OutputError: it cannot be written.
    """
    systems = {system.system: system for system in read_scores(path)} if path.exists() else {}
    for system in added:
        new = {(score.metric, score.variant) for score in system.scores}
        old = systems[system.system].scores if system.system in systems else ()
        kept = (score for score in old if (score.metric, score.variant) not in new)
        systems[system.system] = Scores(system=system.system, scores=(*kept, *system.scores))
    write_scores(path, tuple(systems.values()))


def _judging_counts(found: Sequence[tuple[StatedCause, Verdict | None]], recipe: str) -> Iterator[Score]:
    """Zeros are said too."""
    for labels in dict.fromkeys(cause.example.labels for cause, _ in found):
        mine = [(cause, verdict) for cause, verdict in found if cause.example.labels == labels]
        asked = [verdict for cause, verdict in mine if cause.cause]
        unparsed = sum(verdict is not None and verdict.rating is None for verdict in asked)
        counts = [
            ("empty causes", f"count, rated {LOWEST}", len(mine) - len(asked)),
            ("unparsed verdicts", "count, not in the mean", unparsed),
            ("causes without a verdict", "count, not in the mean", sum(verdict is None for verdict in asked)),
        ]
        for metric, what, value in counts:
            yield make_score(metric, f"{labels}; {recipe}; {what}", value, len(mine))


def _rating(cause: StatedCause, rating: float | None) -> float:
    if not cause.cause:
        return LOWEST
    return np.nan if rating is None else rating


def _mean(ratings: Float[np.ndarray, "items"], variant: str) -> Score:
    rated = ratings[~np.isnan(ratings)]
    return make_score(ATR_R, variant, float(rated.mean()) if len(rated) else np.nan, len(rated))


def _rate_whole(scores: Scores, kind: str) -> list[Score]:
    """The means over all labels of one kind of rating."""
    return [
        score
        for score in scores.scores
        if score.metric == ATR_R and score.variant.partition("; ")[2].startswith(f"{kind},")
    ]
