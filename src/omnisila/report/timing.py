"""Inference time per minute of video, which scores of single examples do not say. Source: Hawkeye Table 1 (I.T.)."""

from collections.abc import Sequence

from omnisila.evaluation.named_scores import make_score
from omnisila.schema import Example, Prediction, Score

METRIC = "inference time"
VARIANT = "seconds per minute of video"


def inference_time(examples: Sequence[Example], predictions: Sequence[Prediction]) -> tuple[Score, ...]:
    """Seconds a system took for a minute of video, label set by label set, over the locate answers that say it."""
    seconds = {
        prediction.example_id: prediction.seconds for prediction in predictions if prediction.seconds is not None
    }
    scores = []
    for labels in dict.fromkeys(example.labels for example in examples):
        timed = [
            example
            for example in examples
            if example.task == "locate" and example.labels == labels and example.id in seconds
        ]
        footage_s = sum(example.end_s - example.start_s for example in timed)
        if footage_s > 0:
            spent_s = sum(seconds[example.id] for example in timed)
            scores.append(make_score(METRIC, f"{labels}; {VARIANT}", 60 * spent_s / footage_s, len(timed)))
    return tuple(scores)
