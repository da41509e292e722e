"""What out-of-fold answers are worth: per data set by window and clip, and on joined clips for localisation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from omnisila.data.clips.folds import footage_groups
from omnisila.data.sets import data_set
from omnisila.evaluation import identifying, trivial
from omnisila.evaluation.named_scores import locating_scores
from omnisila.evaluation.significance import Interval, bootstrap, with_intervals
from omnisila.evaluation.tables import Footage, SpanTable, resample, tabulate, tabulate_truth
from omnisila.labels import label_set
from omnisila.operating_points import LabelSetCalibration
from omnisila.recipes.rows.compact import CompactTraining
from omnisila.recipes.studies.calibration import JoinedScores, joins_of
from omnisila.recipes.studies.folds import Answers
from omnisila.scenes.extractor import VISUAL
from omnisila.scenes.nets.efficientnet_lite import FEATURES
from omnisila.scenes.visual import WHOLE
from omnisila.schema import Score
from omnisila.spans import anomaly_curve, labelled_spans
from omnisila.systems import SpanRow
from omnisila.training.bank import FeatureBank

DRAWS = 500


class Question(NamedTuple):
    """What a data set asks: one label against its label set's quiet one; label None asks for all labels of the set."""

    set_name: str
    labels: str
    label: str | None


def questions_on(recipe: CompactTraining) -> tuple[Question, ...]:
    """What the recipe's data sets ask: about each label beside the quiet one; about all where a set knows them all."""
    asked: list[Question] = []
    for labels, known in recipe.labels.items():
        for name in recipe.set_weights.get(labels, {}):
            taught = dict.fromkeys(data_set(name).trains[labels].labels.values())
            events = [label for label in taught if label in known and label != label_set(labels).quiet]
            if set(taught) == set(label_set(labels).labels):
                asked.append(Question(name, labels, None))
            else:
                asked += [Question(name, labels, label) for label in events]
    return tuple(asked)


class Judged(NamedTuple):
    """Windows or clips of one data set: true and predicted label, and the label's score (nan where there are three)."""

    truth: Int[np.ndarray, "items"]
    predicted: Int[np.ndarray, "items"]
    score: Float[np.ndarray, "items"]
    group: Shaped[np.ndarray, "items"]


class Identified(NamedTuple):
    """Numbers of one data set with 95 % bootstrap intervals over sources; NaN where a metric is not defined."""

    accuracy: Interval
    f2: Interval
    auc: Interval
    average_precision: Interval
    items: int
    groups: int


class _Item(NamedTuple):
    """A window or a clip of a data set: its clip's number, its true label's place, its rows among the answers."""

    clip: int
    truth: int
    rows: list[int]


def _question_labels(answers: Answers, question: Question) -> tuple[str, ...]:
    """The labels that the question chooses among: the quiet one first where it is about one label."""
    if question.label is None:
        return answers.trained[question.labels]
    return str(label_set(question.labels).quiet), question.label


def _items(answers: Answers, question: Question, *, by_clip: bool) -> list[_Item]:
    asked = _question_labels(answers, question)
    items: dict[object, _Item] = {}
    for row, window in enumerate(answers.windows):
        number = int(answers.bank.clip[window])
        clip = answers.clips[number]
        label = clip.label_over(question.labels, answers.bank.span(window))
        if clip.set_name == question.set_name and label in asked:
            key = number if by_clip and clip.throughout else (number, row)
            items.setdefault(key, _Item(number, asked.index(label), [])).rows.append(row)
    return list(items.values())


def judge_items(answers: Answers, question: Question, *, by_clip: bool) -> Judged:
    """One data set's windows, or its clips with the mean of their windows' log-posteriors."""
    names = answers.trained[question.labels]
    columns = [names.index(name) for name in _question_labels(answers, question)]
    log_posterior = np.log(softmax(answers.log_probs[question.labels][:, columns], axis=1) + 1e-12)
    groups = footage_groups(answers.clips)
    items = _items(answers, question, by_clip=by_clip)
    means = np.stack([log_posterior[item.rows].mean(axis=0) for item in items])
    score = means[:, 1] - means[:, 0] if question.label is not None else np.full(len(means), np.nan)
    truth, group = np.array([item.truth for item in items]), np.array([groups[item.clip] for item in items])
    return Judged(truth, means.argmax(1), score, group)


def identifying_metrics(items: Judged, draws: int = DRAWS) -> Identified:
    """Accuracy, F2, AUC and AP; three-way questions have macro F2 and no ranking."""
    binary = not np.isnan(items.score).any()

    def metrics(chosen: Int[np.ndarray, "chosen"]) -> Float[np.ndarray, "metrics"]:
        truth, predicted = items.truth[chosen], items.predicted[chosen]
        if not binary:
            f2 = identifying.macro_f_beta(truth, predicted)
            return np.array([identifying.accuracy(truth, predicted), f2, np.nan, np.nan])
        ranked = identifying.ranking(truth == 1, items.score[chosen])
        f2 = identifying.f_beta(truth == 1, predicted == 1)
        return np.array([identifying.accuracy(truth, predicted), f2, ranked.auc, ranked.average_precision])

    accuracy, f2, auc, average_precision = bootstrap(metrics, items.group, draws)
    return Identified(accuracy, f2, auc, average_precision, len(items.truth), len(np.unique(items.group)))


def trivial_rows(items: Judged) -> dict[str, Identified]:
    """Flag-all, flag-none and chance; for three-way questions majority and chance."""
    if np.isnan(items.score).any():
        majority = trivial.majority_labels(items.truth)
        rows = {"majority": majority, "chance": trivial.chance_labels(items.truth)}
        return {
            name: identifying_metrics(items._replace(predicted=predicted), draws=2) for name, predicted in rows.items()
        }
    flat = np.zeros(len(items.truth))
    rows = {
        "flag all": (np.ones_like(items.truth), flat),
        "flag none": (np.zeros_like(items.truth), flat),
        "chance": (trivial.chance_labels(items.truth), np.random.default_rng(0).random(len(items.truth))),
    }
    return {
        name: identifying_metrics(items._replace(predicted=predicted, score=score), draws=2)
        for name, (predicted, score) in rows.items()
    }


def linear_probe(answers: Answers, question: Question) -> Judged:
    """Logistic regression on each clip's mean EfficientNet features, on the same folds: the number to beat."""
    base = judge_items(answers, question, by_clip=True)
    items = _items(answers, question, by_clip=True)
    features = np.stack([_mean_features(answers.bank, [answers.windows[row] for row in item.rows]) for item in items])
    folds = np.array([answers.fold_of[item.clip] for item in items])
    probability = np.zeros((len(features), len(_question_labels(answers, question))))
    for held_out in np.unique(folds):
        known, unseen = folds != held_out, folds == held_out
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        probe.fit(features[known], base.truth[known])
        probability[np.ix_(unseen, probe.classes_)] = probe.predict_proba(features[unseen])
    score = probability[:, 1] if question.label is not None else base.score
    return base._replace(predicted=probability.argmax(1), score=score)


def _mean_features(bank: FeatureBank, windows: Sequence[int]) -> Float[np.ndarray, "1280"]:
    places = bank.index[VISUAL][list(windows)][:, :, WHOLE].flatten().unique().long()
    return bank.rows[VISUAL][places[places > 0], :FEATURES].float().mean(0).numpy()


class Located(NamedTuple):
    """Scores on joined clips of one data set, of the model and of systems that look at nothing."""

    set_name: str
    joins: int
    hours: float
    systems: dict[str, tuple[Score, ...]]


def locating_metrics(
    answers: Answers, labels: str, calibration: LabelSetCalibration, folds: int, draws: int
) -> list[Located]:
    """Localisation on joined clips at the calibration's default thresholds, by data set."""
    names = answers.trained[labels]
    quiet = label_set(labels)
    posterior = softmax(answers.located[labels] / calibration.temperature, axis=1)
    scores = JoinedScores(answers, posterior)
    every = joins_of(answers.clips, answers.fold_of, scores.durations_s, labels, names, folds, seed=100)
    found: list[Located] = []
    for set_name in sorted({join.name.rsplit("-", 2)[0] for join in every}):
        joins = [join for join in every if join.name.rsplit("-", 2)[0] == set_name]
        footage = Footage(tuple(join.name for join in joins), np.array([join.duration_s for join in joins]))
        predicted: list[SpanRow] = []
        windows: list[SpanRow] = []
        for join in joins:
            start_s, end_s, rows = scores.of(join)
            spans = labelled_spans(start_s, end_s, rows, names, quiet, calibration.thresholds, calibration.shape)
            predicted += [SpanRow(join.name, s.label, s.span.start_s, s.span.end_s, s.score) for s in spans]
            curve = anomaly_curve(start_s, end_s, rows, names, quiet)
            windows += [SpanRow(join.name, names[0], *map(float, row)) for row in zip(*curve, strict=True)]
        reported = [name for name in names if name != quiet.quiet]
        truth_rows = [SpanRow(j.name, t.label, t.span.start_s, t.span.end_s) for j in joins for t in j.truth]
        truth = tabulate_truth(truth_rows, footage, reported)
        model, curve_table = tabulate(predicted, footage, reported).table, tabulate(windows, footage, names).table
        systems = {"model": _with_bounds(truth, model, curve_table, footage, len(reported), draws)}
        for name, table in (
            ("flag all", trivial.flag_all(footage, len(reported))),
            ("flag none", trivial.flag_none()),
            ("chance", trivial.chance_spans(truth, footage)),
        ):
            systems[name] = locating_scores(truth, table, footage, len(reported))
        found.append(Located(set_name, len(joins), footage.duration_s.sum() / 3600, systems))
    return found


def _with_bounds(
    truth: SpanTable, model: SpanTable, curves: SpanTable, footage: Footage, labels: int, draws: int
) -> tuple[Score, ...]:
    def scores(chosen: Int[np.ndarray, "chosen"]) -> tuple[Score, ...]:
        return locating_scores(
            resample(truth, chosen), resample(model, chosen), footage.at(chosen), labels, resample(curves, chosen)
        )

    return with_intervals(scores, np.arange(len(footage.names)), draws)
