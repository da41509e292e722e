"""Inference time per minute of video, which scores of single examples do not say. Source: Hawkeye Table 1 (I.T.)."""

from collections.abc import Sequence

from omnisila.evaluation.named_scores import measured
from omnisila.schema import Example, Prediction, Score

METRIC = "inference time"
VARIANT = "seconds per minute of video"


def inference_time(examples: Sequence[Example], predictions: Sequence[Prediction]) -> tuple[Score, ...]:
    """Seconds a system took for a minute of video, label set by label set, over the locate answers that say it."""
    seconds = {one.example_id: one.seconds for one in predictions if one.seconds is not None}
    scores = []
    for labels in dict.fromkeys(example.labels for example in examples):
        timed = [one for one in examples if one.task == "locate" and one.labels == labels and one.id in seconds]
        footage_s = sum(one.end_s - one.start_s for one in timed)
        if footage_s > 0:
            spent_s = sum(seconds[one.id] for one in timed)
            scores.append(measured(METRIC, f"{labels}; {VARIANT}", 60 * spent_s / footage_s, len(timed)))
    return tuple(scores)
