"""Metrics as named scores: every variant says its averaging, grid and thresholds, so that no number stands alone."""

import math
from collections.abc import Collection

import numpy as np
from jaxtyping import Bool, Float, Int

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
        truth: position of the true label.
        predicted: position of the predicted label; -1 for an answer that could not be parsed.
        video: the video each item is from.
        positive: the labels that count as positive (anomalous or negative).
        positive_score: the probability of a positive label, for AUC and AP.
        unit: what an item is: ``window``, ``clip`` or ``video``.
    """
    is_positive = _among(truth, positive)
    says_positive = _among(predicted, positive)
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
    return tuple(_score(metric, variant, value, len(truth)) for metric, variant, value in values)


def locating_scores(
    truth: SpanTable,
    predicted: SpanTable,
    footage: Footage,
    labels: int,
    windows: SpanTable | None = None,
    refused: Refused | None = None,
    rate_hz: float = GRID_HZ,
    tious: tuple[float, ...] = locating.TIOUS,
) -> tuple[Score, ...]:
    """What can be said of spans.

    Args:
        truth: spans of positive labels.
        predicted: likewise.
        footage: all videos, normal ones too.
        labels: how many labels the tables point at.
        windows: scored windows for frame AUC and AP; without them the predicted spans' own scores.
        refused: what the predictions lost when they were tabulated.
        rate_hz: the frame grid.
        tious: overlap thresholds of average precision.
    """
    precisions = locating.mean_average_precision(truth, predicted, labels, tious)
    frames = locating.frame_detection(truth, predicted, footage, rate_hz)
    ranking = identifying.frame_ranking(predicted if windows is None else windows, truth, footage, rate_hz)
    grid, scored = f"{rate_hz:g} Hz grid", "span scores" if windows is None else "window scores"
    rule = "ActivityNet interpolation, ties by input order"
    spans, videos = len(truth.video), len(footage.names)
    scores = [
        *(
            _score("mAP@tIoU", f"{tiou:g}; {rule}", float(value), spans)
            for tiou, value in zip(tious, precisions.per_tiou, strict=True)
        ),
        _score("mAP@tIoU", f"mean of {', '.join(f'{tiou:g}' for tiou in tious)}; {rule}", precisions.mean, spans),
        _score("tied scores", "share of predictions", precisions.tied_frac, len(predicted.video)),
        _score("FNR", f"frames, micro; {grid}", frames.fnr_micro, videos),
        _score("FNR", f"frames, macro over eventful videos; {grid}", frames.fnr_macro, frames.eventful_videos),
        _score("precision", f"frames; {grid}", frames.precision, videos),
        _score("F2", f"frames, micro; {grid}", frames.f2_micro, videos),
        _score(
            "false-positive rate",
            f"frames of eventless videos; {grid}",
            frames.normal_false_positive_rate,
            videos - frames.eventful_videos,
        ),
        _score(
            "false alarms per hour",
            "stretches that touch no event, per eventless hour",
            locating.false_alarms_per_hour(truth, predicted, footage),
            videos,
        ),
        _score("AUC", f"frames; {scored}; {grid}", ranking.auc, videos),
        _score("AP", f"frames; {scored}; {grid}", ranking.average_precision, videos),
        _score("positive frames", f"share; {grid}", frames.positive_frac, videos),
    ]
    if refused is not None:
        note = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in refused._asdict().items() if count)
        scores.append(Score(metric="refused spans", variant="count", value=refused.total, count=1, note=note or None))
    return tuple(scores)


def _among(labels: Int[np.ndarray, "items"], chosen: Collection[int]) -> Bool[np.ndarray, "items"]:
    return np.isin(labels, list(chosen))


def _score(metric: str, variant: str, value: float, count: int) -> Score:
    return Score(metric=metric, variant=variant, value=None if math.isnan(value) else value, count=count)
