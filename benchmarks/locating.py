"""How fast and in how much memory spans are scored, beside a straightforward port of ActivityNet's scorer.

    python -m benchmarks.locating --out benchmarks/results/locating.json

Videos of 60 s with two true and four predicted spans each are made up. Peak memory is the process's, read before the
port runs. The port computes mAP@tIoU alone: the ratio to that part is given apart from that to all locating metrics.
"""

import argparse
import platform
import resource
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.keeping import keep_result
from omnisila import __version__
from omnisila.evaluation.locating import TIOUS, mean_average_precision
from omnisila.evaluation.named_scores import locating_scores
from omnisila.evaluation.tables import Footage, SpanTable
from omnisila.evaluation.ties import tie_range, tsl300_f2

DURATION_S = 60.0
LABELS = 11


def spans(count: int, videos: int, random: np.random.Generator) -> SpanTable:
    start_s = random.random(count) * 50
    return SpanTable(
        random.integers(videos, size=count),
        random.integers(LABELS, size=count),
        start_s,
        start_s + 1 + random.random(count) * 9,
        random.random(count),
    )


def plain_mean_average_precision(truth: SpanTable, predicted: SpanTable) -> float:
    """One prediction after the other, the true spans of the label searched for each, as the usual scorer does."""
    values = []
    for label in range(LABELS):
        true_rows = np.flatnonzero(truth.label == label)
        true_video = truth.video[true_rows]
        rows = np.flatnonzero(predicted.label == label)
        rows = rows[np.argsort(-predicted.score[rows], kind="stable")]
        taken: dict[float, set[int]] = defaultdict(set)
        hits = np.zeros((len(TIOUS), len(rows)))
        for place, row in enumerate(rows):
            others = true_rows[true_video == predicted.video[row]]
            first = np.maximum(truth.start_s[others], predicted.start_s[row])
            shared = np.clip(np.minimum(truth.end_s[others], predicted.end_s[row]) - first, 0, None)
            both = truth.end_s[others] - truth.start_s[others] + predicted.end_s[row] - predicted.start_s[row]
            overlaps = shared / (both - shared)
            for at, tiou in enumerate(TIOUS):
                for best in np.argsort(-overlaps, kind="stable"):
                    if overlaps[best] < tiou:
                        break
                    if int(others[best]) not in taken[tiou]:
                        taken[tiou].add(int(others[best]))
                        hits[at, place] = 1
                        break
        precision = np.cumsum(hits, axis=1) / np.arange(1, len(rows) + 1)
        for at in range(len(TIOUS)):
            area, highest = 0.0, 0.0
            for place in range(len(rows) - 1, -1, -1):
                highest = max(highest, precision[at, place])
                area += highest * hits[at, place] / len(true_rows)
            values.append(area)
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=25_000)
    parser.add_argument("--predicted", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    footage = Footage(tuple(map(str, range(options.videos))), np.full(options.videos, DURATION_S))
    truth = spans(2 * options.videos, options.videos, random)
    predicted = spans(options.predicted, options.videos, random)

    begun = time.perf_counter()
    locating_scores(truth, predicted, footage, LABELS)
    tsl300_f2(truth, predicted, LABELS)
    tie_range(truth, predicted, LABELS)
    all_s = time.perf_counter() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    ours = mean_average_precision(truth, predicted, LABELS).mean
    map_s = time.perf_counter() - begun
    begun = time.perf_counter()
    theirs = plain_mean_average_precision(truth, predicted)
    plain_s = time.perf_counter() - begun
    if not np.isclose(ours, theirs):
        raise SystemExit(f"the port disagrees: {theirs} for {ours}")
    result = {
        "command": f"python -m benchmarks.locating --videos {options.videos} --predicted {options.predicted}",
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine()},
        "versions": {"omnisila": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "all_locating_s": round(all_s, 3),
        "peak_memory_mb": round(peak_mb, 1),
        "map_s": round(map_s, 3),
        "plain_map_s": round(plain_s, 3),
        "map_times_faster": round(plain_s / map_s, 1),
        "all_locating_times_faster_than_plain_map": round(plain_s / all_s, 1),
    }
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
