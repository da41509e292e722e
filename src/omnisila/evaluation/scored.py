"""From examples and predictions to named scores, beside systems that look at nothing.

An example without a prediction and an answer that could not be parsed are wrong, counted, and never left out: a system
cannot gain by keeping silent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from omnisila.evaluation import attributing, reaction, significance, trivial
from omnisila.evaluation.ranked import ranked_scores
from omnisila.evaluation.score import identifying_scores, locating_scores
from omnisila.evaluation.tables import Footage, Refused, SpanRow, SpanTable, resampled, tabulate, tabulate_truth
from omnisila.labels import LabelSet, label_set
from omnisila.schema import Example, Prediction, Score, Scores

WINDOW_S = 1.5  # an identify example that is no longer is a window, not a video
FLAG_ALL, FLAG_NONE, CHANCE = "flag all", "flag none", "chance"
TRIVIAL = (FLAG_ALL, FLAG_NONE, CHANCE)


class Matched(NamedTuple):
    """Each example's prediction, None where there is none, and how many predictions fit no example or came twice."""

    pairs: tuple[tuple[Example, Prediction | None], ...]
    strangers: int
    repeated: int

    def of(self, task: str, labels: str) -> list[tuple[Example, Prediction | None]]:
        """The pairs of one task and label set."""
        return [pair for pair in self.pairs if pair[0].task == task and pair[0].labels == labels]


class Identified(NamedTuple):
    """Identify answers in columns; a predicted label of -1 is an answer that is missing or could not be parsed."""

    labels: LabelSet
    unit: str
    truth: Int[np.ndarray, "items"]
    predicted: Int[np.ndarray, "items"]
    video: Int[np.ndarray, "items"]
    anomaly: Float[np.ndarray, "items"] | None

    def scores(self, predicted: Int[np.ndarray, "items"], anomaly: Float[np.ndarray, "items"] | None, chosen: "Chosen"):
        """What can be said of some of the items with these predictions."""
        positive = [self.labels.labels.index(label) for label in self.labels.negative]
        ranked = None if anomaly is None else anomaly[chosen]
        rows = identifying_scores(
            self.truth[chosen], predicted[chosen], self.video[chosen], positive, ranked, unit=self.unit
        )
        return _named(self.labels.name, rows)


class Located(NamedTuple):
    """Locate answers of one label set; tables hold its negative labels only."""

    labels: LabelSet
    footage: Footage
    truth: SpanTable
    predicted: SpanTable
    windows: SpanTable | None
    refused: Refused

    def scores(self, predicted: SpanTable, windows: SpanTable | None, chosen: "Chosen") -> tuple[Score, ...]:
        """What can be said of some of the videos with these spans."""
        rows = locating_scores(
            resampled(self.truth, chosen),
            resampled(predicted, chosen),
            self.footage.at(chosen),
            len(self.labels.negative),
            None if windows is None else resampled(windows, chosen),
        )
        return _named(self.labels.name, rows)


Chosen = Int[np.ndarray, "chosen"]


def matched(examples: Iterable[Example], predictions: Iterable[Prediction]) -> Matched:
    """Bring predictions to their examples; of several for one example the first counts."""
    examples = tuple(examples)
    known = {example.id for example in examples}
    said: dict[str, Prediction] = {}
    strangers = repeated = 0
    for prediction in predictions:
        if prediction.example_id not in known:
            strangers += 1
        elif prediction.example_id in said:
            repeated += 1
        else:
            said[prediction.example_id] = prediction
    return Matched(tuple((example, said.get(example.id)) for example in examples), strangers, repeated)


def scored(
    examples: Sequence[Example], predictions: Iterable[Prediction], system: str, draws: int = significance.DRAWS
) -> tuple[Scores, ...]:
    """The system's scores first, then those of flag-all, flag-none and chance on the same examples.

    Args:
        examples: of one split; every task and label set among them is scored.
        predictions: of one system.
        system: its name.
        draws: of the bootstrap over videos; 0 leaves the intervals out.
    """
    answers = matched(examples, predictions)
    rows: dict[str, list[Score]] = {name: [] for name in (system, *TRIVIAL)}
    rows[system] += _counts(answers)
    for name in dict.fromkeys(example.labels for example in examples if example.task != "describe"):
        labels = label_set(name)
        for identified in identified_of(answers, labels):
            rows[system] += _with_intervals(
                lambda chosen, one=identified: one.scores(one.predicted, one.anomaly, chosen), identified.video, draws
            )
            everything = np.arange(len(identified.truth))
            for other, predicted, anomaly in _trivial_labels(identified):
                rows[other] += identified.scores(predicted, anomaly, everything)
        located = located_of(answers, labels)
        if located is not None:
            videos = np.arange(len(located.footage.names))
            rows[system] += _with_intervals(
                lambda chosen, one=located: one.scores(one.predicted, one.windows, chosen), videos, draws
            )
            rows[system] += _named(name, ranked_scores(located.truth, located.predicted, len(labels.negative)))
            rows[system].append(_refused(name, located.refused))
            for other, spans in _trivial_spans(located):
                rows[other] += located.scores(spans, None, videos)
        rows[system] += _attributed(answers.of("attribute", name), labels)
        rows[system] += _reacted(answers.of("react", name), labels)
    return tuple(Scores(system=name, scores=tuple(scores)) for name, scores in rows.items() if scores)


def identified_of(answers: Matched, labels: LabelSet) -> list[Identified]:
    """Identify answers, windows and whole videos apart."""
    pairs = answers.of("identify", labels.name)
    units: dict[str, list[tuple[Example, Prediction | None]]] = {"window": [], "video": []}
    for example, prediction in pairs:
        units["window" if example.end_s - example.start_s <= WINDOW_S else "video"].append((example, prediction))
    return [_identified(labels, unit, mine) for unit, mine in units.items() if mine]


def _identified(labels: LabelSet, unit: str, pairs: Sequence[tuple[Example, Prediction | None]]) -> Identified:
    at = {label.casefold(): index for index, label in enumerate(labels.labels)}
    videos = {video: index for index, video in enumerate(dict.fromkeys(example.video for example, _ in pairs))}
    anomaly = [prediction.anomaly if prediction is not None else None for _, prediction in pairs]
    return Identified(
        labels,
        unit,
        np.array([at[example.answer.casefold()] for example, _ in pairs]),
        np.array([_said_label(prediction, labels) for _, prediction in pairs]),
        np.array([videos[example.video] for example, _ in pairs]),
        None if None in anomaly else np.array(anomaly, dtype=np.float64),
    )


def _said_label(prediction: Prediction | None, labels: LabelSet) -> int:
    """The position of the label that was said; -1 for none."""
    if prediction is None or not prediction.parse_ok:
        return -1
    if prediction.posterior:
        said = max(prediction.posterior, key=prediction.posterior.__getitem__)
    elif prediction.findings:
        said = max(prediction.findings, key=lambda finding: finding.score).label
    else:
        said = labels.quiet or ""
    return labels.labels.index(said) if said in labels.labels else -1


def located_of(answers: Matched, labels: LabelSet) -> Located | None:
    """Locate answers as tables; window scores are those of the identify answers on the same videos."""
    pairs = answers.of("locate", labels.name)
    if not pairs:
        return None
    footage = Footage(
        tuple(example.video for example, _ in pairs), np.array([example.end_s for example, _ in pairs], dtype=float)
    )
    truth = [
        SpanRow(example.video, one.label, one.span.start_s, one.span.end_s)
        for example, _ in pairs
        for one in example.truth
        if one.label in labels.negative
    ]
    said = [
        SpanRow(example.video, one.label, one.span.start_s, one.span.end_s, one.score)
        for example, prediction in pairs
        for one in (prediction.findings if prediction is not None else ())
        if one.label in labels.negative
    ]
    predicted, refused = tabulate(said, footage, labels.negative)
    windows = [
        SpanRow(example.video, labels.negative[0], example.start_s, example.end_s, prediction.anomaly)
        for example, prediction in answers.of("identify", labels.name)
        if example.end_s - example.start_s <= WINDOW_S and prediction is not None and prediction.anomaly is not None
    ]
    return Located(
        labels,
        footage,
        tabulate_truth(truth, footage, labels.negative),
        predicted,
        tabulate(windows, footage, labels.negative).table if windows else None,
        refused,
    )


def _trivial_labels(
    one: Identified,
) -> list[tuple[str, Int[np.ndarray, "items"], Float[np.ndarray, "items"] | None]]:
    labels = one.labels
    negative = np.array([labels.labels.index(label) for label in labels.negative])
    is_negative = np.isin(one.truth, negative)
    commonest = np.bincount(one.truth[is_negative]).argmax() if is_negative.any() else negative[0]
    rows = [(FLAG_ALL, np.full_like(one.truth, commonest), np.ones(len(one.truth)))]
    if labels.quiet is not None:
        quiet = np.full_like(one.truth, labels.labels.index(labels.quiet))
        rows.append((FLAG_NONE, quiet, np.zeros(len(one.truth))))
    chance = trivial.chance_labels(one.truth)
    return [*rows, (CHANCE, chance, np.isin(chance, negative).astype(float))]


def _trivial_spans(one: Located) -> list[tuple[str, SpanTable]]:
    return [
        (FLAG_ALL, trivial.flag_all(one.footage, len(one.labels.negative))),
        (FLAG_NONE, trivial.flag_none()),
        (CHANCE, trivial.chance_spans(one.truth, one.footage)),
    ]


def _with_intervals(scores: Callable[[Chosen], tuple[Score, ...]], groups: Chosen, draws: int) -> tuple[Score, ...]:
    return significance.with_intervals(scores, groups, draws) if draws else scores(np.arange(len(groups)))


def _counts(answers: Matched) -> list[Score]:
    """What was not answered as asked, by task; zeros are said too."""
    asked = Counter(example.task for example, _ in answers.pairs)
    missing = Counter(example.task for example, prediction in answers.pairs if prediction is None)
    malformed = Counter(
        example.task for example, prediction in answers.pairs if prediction is not None and not prediction.parse_ok
    )
    scores = [
        Score(metric=metric, variant=f"{task}, count", value=count[task], count=asked[task])
        for metric, count in (("missing predictions", missing), ("malformed predictions", malformed))
        for task in asked
    ]
    total = len(answers.pairs)
    strangers = Score(metric="predictions without an example", variant="count", value=answers.strangers, count=total)
    repeated = Score(
        metric="repeated predictions", variant="count, the first counts", value=answers.repeated, count=total
    )
    seconds = [prediction.seconds for _, prediction in answers.pairs if prediction is not None and prediction.seconds]
    spent = Score(
        metric="seconds per example", variant="mean", value=float(np.mean(seconds)) if seconds else None,
        count=len(seconds),
    )  # fmt: skip
    return [*scores, strangers, repeated, spent]


def _refused(name: str, refused: Refused) -> Score:
    note = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in refused._asdict().items() if count)
    return Score(metric="refused spans", variant=f"{name}; count", value=refused.total, count=1, note=note or None)


def _attributed(pairs: Sequence[tuple[Example, Prediction | None]], labels: LabelSet) -> list[Score]:
    """Sem-R and Sen-A by the label's name; nothing was said where a prediction is missing."""
    if not pairs:
        return []
    truth = [example.answer for example, _ in pairs]
    said = [prediction.answer if prediction is not None else "" for _, prediction in pairs]
    true_label = np.array(
        [labels.labels.index(example.truth[0].label) if example.truth else -1 for example, _ in pairs]
    )
    named = attributing.labels_named(said, labels.labels)
    return [
        Score(
            metric="Sem-R", variant=f"{labels.name}; ROUGE-L F, tokens of any script, no stemming",
            value=float(attributing.rouge_l(truth, said).mean()), count=len(pairs),
        ),
        Score(
            metric="Sen-A", variant=f"{labels.name}; the label's name in the text",
            value=float((named == true_label).mean()), count=len(pairs),
        ),
    ]  # fmt: skip


def _reacted(pairs: Sequence[tuple[Example, Prediction | None]], labels: LabelSet) -> list[Score]:
    """Pearson over all items with intensities; missing and malformed ones get the predicted column's mean."""
    known = [(example.intensities, prediction) for example, prediction in pairs if example.intensities is not None]
    if not known:
        return []
    truth = np.array([[one[label] for label in labels.labels] for one, _ in known])
    said = np.array([_intensities(prediction, labels.labels) for _, prediction in known])
    there = ~np.isnan(said).any(axis=1)
    imputed = reaction.impute(said, said[there].mean(axis=0) if there.any() else np.zeros(said.shape[1]))
    result, spread = reaction.pearson(truth, imputed.intensities), reaction.spread(imputed.intensities)
    count = len(known)
    rows: list[tuple[str, str, float, str | None]] = [("Pearson", "mean over emotions", result.mean, None)]
    for index, label in enumerate(labels.labels):
        note = "constant column" if result.constant[index] else None
        rows.append(("Pearson", label, float(result.per_emotion[index]), note))
        rows.append(("commonest value", f"{label}; share of items", float(spread.repeated_frac[index]), None))
    rows.append(("imputed", "share of items, by the mean of the other predictions", imputed.item_frac, None))
    return [
        Score(metric=metric, variant=f"{labels.name}; {variant}", value=value, count=count, note=note)
        for metric, variant, value, note in rows
    ]


def _intensities(prediction: Prediction | None, labels: Sequence[str]) -> list[float]:
    said: Mapping[str, float] = (prediction.intensities if prediction is not None else None) or {}
    return [said.get(label, np.nan) for label in labels]


def _named(labels: str, scores: Iterable[Score]) -> tuple[Score, ...]:
    return tuple(score.replace(variant=f"{labels}; {score.variant}") for score in scores)
