"""From examples and predictions to named scores, beside systems that look at nothing.

An example without a prediction and an answer that could not be parsed are wrong, counted, and never left out: a system
cannot gain by keeping silent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from omnisila.evaluation.answers import CHANCE, FLAG_ALL, FLAG_NONE, Answers, Chosen, Part, check_names, match_answers
from omnisila.evaluation.attributing import SentenceEncoder
from omnisila.evaluation.named_scores import make_score
from omnisila.evaluation.parts import attribute, identify, locate, react
from omnisila.evaluation.significance import DRAWS, paired_bootstrap, paired_t_test, with_intervals
from omnisila.labels import label_set
from omnisila.schema import Example, Score, Scores
from omnisila.systems import System


def score_systems(
    examples: Sequence[Example],
    systems: Sequence[System],
    draws: int = DRAWS,
    encoder: SentenceEncoder | None = None,
) -> tuple[Scores, ...]:
    """Each system's scores, those of flag-all, flag-none and chance, then each later system against the first.

    Args:
        examples: of one split; every task and label set among them is scored.
        systems: at least one.
        draws: of the bootstrap over videos; 0 leaves the intervals out.
        encoder: of sentences, for Sem-C; without one there is none.

    Raises:
        InputError: two systems of one name.
    """
    first, *others = systems
    check_names(systems)
    return (
        *(_own_scores(examples, system, draws, encoder) for system in systems),
        *_trivial_scores(examples, encoder),
        *(_compare(examples, first, other, draws, encoder) for other in others),
    )


def _own_scores(examples: Sequence[Example], system: System, draws: int, encoder: SentenceEncoder | None) -> Scores:
    answers = match_answers(examples, system)
    scores = [*_counts(answers)]
    for part in parts_of(answers, encoder):
        scores += with_intervals(part.scores, part.groups, draws) if draws else part.scores(_all(part))
        scores += part.details()
    return Scores(system=system.name, scores=tuple(scores))


def _trivial_scores(examples: Sequence[Example], encoder: SentenceEncoder | None) -> Iterator[Scores]:
    rows: dict[str, list[Score]] = {name: [] for name in (FLAG_ALL, FLAG_NONE, CHANCE)}
    for part in parts_of(match_answers(examples, System("", ())), encoder):
        for name, other in part.trivial():
            rows[name] += (*other.scores(_all(other)), *other.details())
    return (Scores(system=name, scores=tuple(scores)) for name, scores in rows.items() if scores)


def _compare(
    examples: Sequence[Example], first: System, second: System, draws: int, encoder: SentenceEncoder | None
) -> Scores:
    """What the second has more than the first, on the same videos drawn together."""
    both = zip(
        parts_of(match_answers(examples, first), encoder),
        parts_of(match_answers(examples, second), encoder),
        strict=True,
    )
    scores = tuple(score for first, other in both for score in _differences(first, other, draws))
    return Scores(system=f"{second.name} minus {first.name}", scores=scores)


def parts_of(answers: Answers, encoder: SentenceEncoder | None = None) -> Iterator[Part]:
    """Everything that can be measured of the answers, label set by label set."""
    for name in dict.fromkeys(example.labels for example, _ in answers.pairs if example.task != "describe"):
        labels = label_set(name)
        yield from identify.parts(answers, labels)
        yield from locate.parts(answers, labels)
        yield from attribute.parts(answers, labels, encoder)
        yield from react.parts(answers, labels)


def _differences(first: Part, second: Part, draws: int) -> Iterator[Score]:
    """What both say something of: their difference with its interval, then a t-test over videos."""
    whole = {_key(score): score for score in second.scores(_all(second))}
    shared = [score for score in first.scores(_all(first)) if _key(score) in whole]

    def values(part: Part) -> Callable[[Chosen], Float[np.ndarray, "metrics"]]:
        def of(chosen: Chosen) -> Float[np.ndarray, "metrics"]:
            said = {_key(score): score.value for score in part.scores(chosen)}
            return np.array([said[_key(score)] for score in shared], dtype=np.float64)  # None becomes NaN

        return of

    differences = paired_bootstrap(values(first), values(second), first.groups, draws)
    for score, (interval, p_value) in zip(shared, differences, strict=True):
        difference = make_score(f"difference of {score.metric}", score.variant, interval.value, score.count)
        bounds = {"low": interval.low, "high": interval.high, "p_value": p_value}
        yield difference.replace(**{name: value for name, value in bounds.items() if not np.isnan(value)})
    yield _t_test(first, second)


def _t_test(first: Part, second: Part) -> Score:
    left, other = first.per_item(), second.per_item()
    counts = np.bincount(first.groups)  # a mean is NaN where any of its items has no value
    per_video = [np.bincount(first.groups, weights=item.values) / counts for item in (left, other)]
    both = ~np.isnan(per_video[0]) & ~np.isnan(per_video[1])
    test = paired_t_test(per_video[0][both], per_video[1][both])
    mean = float((per_video[1] - per_video[0])[both].mean()) if both.any() else np.nan
    score = make_score(f"difference of {left.metric}", f"{left.variant}; mean over videos, t-test", mean, test.pairs)
    return score if np.isnan(test.p_value) else score.replace(p_value=test.p_value)


def _key(score: Score) -> tuple[str, str]:
    return score.metric, score.variant


def _all(part: Part) -> Chosen:
    return np.arange(len(part.groups))


def _counts(answers: Answers) -> Iterator[Score]:
    """What was not answered as asked, by task; zeros are said too."""
    asked = Counter(example.task for example, _ in answers.pairs)
    missing = Counter(example.task for example, prediction in answers.pairs if prediction is None)
    malformed = Counter(example.task for example, said in answers.pairs if said is not None and not said.parse_ok)
    for metric, count in (("missing predictions", missing), ("malformed predictions", malformed)):
        for task in asked:
            yield make_score(metric, f"{task}, count", count[task], asked[task])
    total = len(answers.pairs)
    yield make_score("predictions without an example", "count", answers.strangers, total)
    yield make_score("predictions of another version of their example", "count, never scored", answers.stale, total)
    yield make_score("repeated predictions", "count, the first counts", answers.repeated, total)
    seconds = [said.seconds for _, said in answers.pairs if said is not None and said.seconds is not None]
    yield make_score("seconds per example", "mean", float(np.mean(seconds)) if seconds else np.nan, len(seconds))
