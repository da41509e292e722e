"""Metrics against scikit-learn, scipy and a plain ActivityNet loop."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from omnisila.evaluation import identifying, locating
from omnisila.evaluation.significance import paired_t_test
from omnisila.evaluation.tables import Footage, SpanTable, tabulate
from omnisila.systems import SpanRow

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", [4, 1000])
def test_ranking_is_scikit_learns(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    truth, score = random.random(300) < 0.3, random.integers(0, levels, 300) / levels
    weight = random.integers(1, 5, 300)

    for weights in (None, weight):
        ours = identifying.ranking(truth, score, weights)
        assert ours.auc == pytest.approx(metrics.roc_auc_score(truth, score, sample_weight=weights))
        assert ours.average_precision == pytest.approx(
            metrics.average_precision_score(truth, score, sample_weight=weights)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_label_metrics_are_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 5, 80), random.integers(0, 5, 80)

    assert identifying.accuracy(truth, predicted) == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert identifying.balanced_accuracy(truth, predicted) == pytest.approx(
        metrics.balanced_accuracy_score(truth, predicted)
    )
    assert identifying.macro_f_beta(truth, predicted) == pytest.approx(
        metrics.fbeta_score(truth, predicted, beta=2, average="macro")
    )
    assert identifying.f_beta(truth == 1, predicted == 1) == pytest.approx(
        metrics.fbeta_score(truth == 1, predicted == 1, beta=2)
    )


def test_frame_ranking_is_that_of_expanded_frames() -> None:
    random = np.random.default_rng(0)
    footage = Footage(tuple("abc"), np.array([12.0, 7.3, 20.0]))
    windows = [
        SpanRow(name, "x", second, min(second + 1.0, duration_s), random.integers(0, 6) / 6)
        for name, duration_s in zip(footage.names, footage.duration_s, strict=True)
        for second in np.arange(0, duration_s)
    ]
    events = [("a", 2.3, 5.1), ("c", 0.0, 3.0), ("c", 2.0, 9.9)]
    truth = tabulate([SpanRow(name, "x", start_s, end_s) for name, start_s, end_s in events], footage, "x").table
    positive, score = [], []
    for name, duration_s in zip(footage.names, footage.duration_s, strict=True):
        for frame in range(int(np.ceil(duration_s * 8))):
            time_s = frame / 8
            positive.append(any(n == name and s <= time_s < e for n, s, e in events))
            score.append(next(w.score for w in windows if w.video == name and w.start_s <= time_s < w.end_s))

    ours = identifying.frame_ranking(tabulate(windows, footage, "x").table, truth, footage)

    assert ours.auc == pytest.approx(metrics.roc_auc_score(positive, score))
    assert ours.average_precision == pytest.approx(metrics.average_precision_score(positive, score))


def test_t_test_is_scipys() -> None:
    random = np.random.default_rng(0)
    first, second = random.random(40), random.random(40)

    ours, theirs = paired_t_test(first, second), stats.ttest_rel(second, first)

    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))


class Scene(NamedTuple):
    truth: SpanTable
    predicted: SpanTable


def drawn_scene(seed: int, *, ties: bool) -> Scene:
    random = np.random.default_rng(seed)
    footage = Footage(tuple(map(str, range(12))), np.full(12, 60.0))
    labels = "wxyz"

    def rows(count: int) -> list[SpanRow]:
        start_s = random.integers(0, 50, count)
        score = random.integers(1, 5, count) / 4 if ties else random.random(count)
        return [
            SpanRow(str(random.integers(12)), labels[random.integers(3)], s, s + random.integers(1, 10), p)
            for s, p in zip(start_s.tolist(), score.tolist(), strict=True)
        ]

    return Scene(tabulate(rows(60), footage, labels).table, tabulate(rows(400), footage, labels).table)


def plain_average_precision(scene: Scene, label: int, tiou: float) -> float:
    """ActivityNet's detection measure, one prediction after the other."""
    truth = [index for index in range(len(scene.truth.label)) if scene.truth.label[index] == label]
    predicted = [index for index in range(len(scene.predicted.label)) if scene.predicted.label[index] == label]
    predicted.sort(key=lambda index: -scene.predicted.score[index])
    taken: set[int] = set()
    hits = []
    for mine in predicted:
        overlaps = []
        for other in truth:
            if scene.truth.video[other] != scene.predicted.video[mine]:
                continue
            start_s = max(scene.truth.start_s[other], scene.predicted.start_s[mine])
            end_s = min(scene.truth.end_s[other], scene.predicted.end_s[mine])
            shared_s = max(0.0, end_s - start_s)
            lengths_s = scene.truth.end_s[other] - scene.truth.start_s[other]
            lengths_s += scene.predicted.end_s[mine] - scene.predicted.start_s[mine]
            overlaps.append((shared_s / (lengths_s - shared_s), other))
        hit = False
        for overlap, other in sorted(overlaps, key=lambda pair: (-pair[0], pair[1])):
            if overlap < tiou:
                break
            if other not in taken:
                taken.add(other)
                hit = True
                break
        hits.append(hit)
    precision = [sum(hits[: place + 1]) / (place + 1) for place in range(len(hits))]
    area = 0.0
    for place, hit in enumerate(hits):
        if hit:
            area += max(precision[place:]) / len(truth)
    return area


@pytest.mark.parametrize("seed", SEEDS)
def test_spans_outside_the_footage_are_wrong_predictions_as_in_the_plain_loop(seed: int) -> None:
    """Of no known video, empty, past the end of their video: ActivityNet's loop takes them all as they are."""
    random = np.random.default_rng(seed)
    footage = Footage(tuple("abc"), np.full(3, 20.0))
    start_s = random.integers(0, 20, 200).astype(float)
    lengths_s = random.choice([0.0, 1.0, 4.0, 30.0, 9000.0], 200)
    video, score = random.integers(0, 5, 200), random.random(200)
    stated = SpanTable(video, np.zeros(200, dtype=np.int64), start_s, start_s + lengths_s, score)
    rows = [SpanRow("abcde"[v], "x", s, e, p) for v, _, s, e, p in zip(*stated, strict=True)]
    truth = tabulate([SpanRow(name, "x", s, s + 4) for name in "abc" for s in (1, 7, 16)], footage, "x").table

    precisions = locating.mean_average_precision(truth, tabulate(rows, footage, "x").stated, 1)

    wanted = [plain_average_precision(Scene(truth, stated), 0, tiou) for tiou in locating.TIOUS]
    np.testing.assert_allclose(precisions.per_tiou, wanted)
    unharmed = locating.mean_average_precision(truth, tabulate(rows, footage, "x").table, 1)
    assert precisions.mean < unharmed.mean, "leaving them out would help"


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_mean_average_precision_is_the_plain_loops(seed: int, ties: bool) -> None:
    scene = drawn_scene(seed, ties=ties)
    tious = (0.1, 0.2, 0.3, 0.5)

    ours = locating.mean_average_precision(scene.truth, scene.predicted, 4, tious)

    plain = [[plain_average_precision(scene, label, tiou) for label in range(3)] for tiou in tious]
    np.testing.assert_allclose(ours.per_label[:, :3], plain)
    assert np.isnan(ours.per_label[:, 3]).all()
    assert ours.mean == pytest.approx(np.mean(plain))
