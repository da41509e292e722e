"""Metrics as named scores: every variant says its averaging, grid and thresholds, so that no number stands alone."""

import math
from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int

from omnisila.evaluation import identifying, locating
from omnisila.evaluation.grid import GRID_HZ
from omnisila.evaluation.tables import Footage, Refused, SpanTable
from omnisila.schema import Score


def identifying_scores(
    truth: Int[np.ndarray, "items"],
    predicted: Int[np.ndarray, "items"],
    video: Int[np.ndarray, "items"],
    positive: Collection[int],
    positive_score: Float[np.ndarray, "items"] | None = None,
    unit: str = "window",
) -> tuple[Score, ...]:
    """What can be said of labels per item.

    Args:
        predicted: position of the predicted label; -1 for an answer that could not be parsed.
        positive: the labels that count as positive (anomalous or negative).
        positive_score: the probability of a positive label, for AUC and AP.
        unit: what an item is: ``window``, ``clip`` or ``video``.
    """
    is_positive, says_positive = (np.isin(labels, list(positive)) for labels in (truth, predicted))
    macro = identifying.macro_over_videos
    values = [
        ("accuracy", f"{unit} level", identifying.accuracy(truth, predicted)),
        ("accuracy", f"{unit} level, macro over videos", macro(identifying.accuracy, truth, predicted, video)),
        ("balanced accuracy", f"{unit} level, mean over true labels", identifying.balanced_accuracy(truth, predicted)),
        ("F2", f"{unit} level, positive labels as one", identifying.f_beta(is_positive, says_positive)),
        ("F2", f"{unit} level, macro over labels", identifying.macro_f_beta(truth, predicted)),
        (
            "F2",
            f"{unit} level, positive labels as one, macro over eventful videos",
            macro(identifying.f_beta, is_positive, says_positive, video),
        ),
        ("unparsed", f"share of {unit}s without a label", float((predicted < 0).mean()) if len(predicted) else np.nan),
    ]
    if positive_score is not None:
        ranking = identifying.ranking(is_positive, positive_score)
        values += [
            ("AUC", f"{unit} level, positive labels as one", ranking.auc),
            ("AP", f"{unit} level, positive labels as one", ranking.average_precision),
        ]
    return tuple(make_score(metric, variant, value, len(truth)) for metric, variant, value in values)


def locating_scores(
    truth: SpanTable,
    predicted: SpanTable,
    footage: Footage,
    labels: int,
    windows: SpanTable | None = None,
    stated: SpanTable | None = None,
) -> tuple[Score, ...]:
    """What can be said of spans.

    Args:
        predicted: likewise.
        footage: all videos, normal ones too.
        labels: how many labels the tables point at.
        windows: scored windows for frame AUC and AP; without them the predicted spans' own scores.
        stated: the predicted spans as they were said, for average precision; None: those of ``predicted``.
    """
    frames = locating.frame_detection(truth, predicted, footage)
    ranking = identifying.frame_ranking(predicted if windows is None else windows, truth, footage)
    grid, scored = f"{GRID_HZ:g} Hz grid", "span scores" if windows is None else "window scores"
    videos = len(footage.names)
    return (
        *average_precision_scores(truth, predicted if stated is None else stated, labels),
        make_score("FNR", f"frames, micro; {grid}", frames.fnr_micro, videos),
        make_score("FNR", f"frames, macro over eventful videos; {grid}", frames.fnr_macro, frames.eventful_videos),
        make_score("precision", f"frames; {grid}", frames.precision, videos),
        make_score("F2", f"frames, micro; {grid}", frames.f2_micro, videos),
        make_score(
            "false-positive rate",
            f"frames of eventless videos; {grid}",
            frames.normal_false_positive_rate,
            videos - frames.eventful_videos,
        ),
        make_score(
            "false alarms per hour",
            "stretches that touch no event, per eventless hour",
            locating.false_alarms_per_hour(truth, predicted, footage),
            videos,
        ),
        make_score("AUC", f"frames; {scored}; {grid}", ranking.auc, videos),
        make_score("AP", f"frames; {scored}; {grid}", ranking.average_precision, videos),
        make_score("positive frames", f"share; {grid}", frames.positive_frac, videos),
    )


def average_precision_scores(truth: SpanTable, predicted: SpanTable, labels: int, of: str = "") -> tuple[Score, ...]:
    """mAP at each threshold and their mean; ``of`` begins the variants: whose mean it is."""
    precisions = locating.mean_average_precision(truth, predicted, labels)
    rule, spans = "ActivityNet interpolation, ties by input order", len(truth.video)
    all_of_them = ", ".join(f"{tiou:g}" for tiou in locating.TIOUS)
    return (
        *(
            make_score("mAP@tIoU", f"{of}{tiou:g}; {rule}", float(value), spans)
            for tiou, value in zip(locating.TIOUS, precisions.per_tiou, strict=True)
        ),
        make_score("mAP@tIoU", f"{of}mean of {all_of_them}; {rule}", precisions.mean, spans),
        make_score("tied scores", f"{of}share of predictions", precisions.tied_frac, len(predicted.video)),
    )


def refused_score(refused: Refused) -> Score:
    """How many predicted spans cover no time of their video, and why; average precision takes them as wrong."""
    note = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in refused._asdict().items() if count)
    return make_score("refused spans", "count", refused.total, 1, note or None)


def make_score(metric: str, variant: str, value: float, count: int, note: str | None = None) -> Score:
    """A score; a value that is not a number is none."""
    known = None if math.isnan(value) else float(value)
    return Score(metric=metric, variant=variant, value=known, count=count, note=note)
