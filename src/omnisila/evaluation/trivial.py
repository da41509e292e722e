"""Systems that look at nothing; they stand beside every model, or its numbers say nothing.

Flag-all misses nothing, and where positives are not rare its F2 is hard to beat; flag-none is never wrong on normal
video; chance has the truth's own habits at random places.
"""

import numpy as np
from jaxtyping import Int

from omnisila.evaluation.tables import Footage, SpanTable


def flag_all(footage: Footage, labels: int) -> SpanTable:
    """Every video from end to end, once for each label, all equally sure."""
    videos = len(footage.names)
    end_s = np.repeat(footage.duration_s, labels)
    table = SpanTable(
        np.repeat(np.arange(videos), labels),
        np.tile(np.arange(labels), videos),
        np.zeros(videos * labels),
        end_s,
        np.ones(videos * labels),
    )
    return table.where(end_s > 0)


def flag_none() -> SpanTable:
    """Nothing at all."""
    return SpanTable(np.array([], dtype=np.int64), np.array([], dtype=np.int64), *(np.array([]),) * 3)


def chance_spans(truth: SpanTable, footage: Footage, seed: int = 0) -> SpanTable:
    """The true spans' labels and lengths, in random order, at random times of random videos, with random scores.

    Videos are drawn by their length; a span longer than its video is cut to it.
    """
    random = np.random.default_rng(seed)
    count = len(truth.video)
    if not count or footage.duration_s.sum() <= 0:
        return flag_none()
    model = truth.where(random.permutation(count))
    video = random.choice(len(footage.names), size=count, p=footage.duration_s / footage.duration_s.sum())
    length_s = np.minimum(model.end_s - model.start_s, footage.duration_s[video])
    start_s = random.random(count) * (footage.duration_s[video] - length_s)
    return SpanTable(video, model.label, start_s, start_s + length_s, random.random(count))


def majority_labels(truth: Int[np.ndarray, "items"]) -> Int[np.ndarray, "items"]:
    """The commonest true label for every item; of equally common ones, the first."""
    return np.full_like(truth, np.bincount(truth).argmax()) if len(truth) else truth


def chance_labels(truth: Int[np.ndarray, "items"], seed: int = 0) -> Int[np.ndarray, "items"]:
    """The true labels in random order: as frequent as they are, right only by luck."""
    return np.random.default_rng(seed).permutation(truth)
