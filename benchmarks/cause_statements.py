"""What decides which statements may be a cause: objects that are named where they cannot be, and signs by label.

    OMNISILA_DATA=<data root> python -m benchmarks.cause_statements objects
    OMNISILA_DATA=<data root> python -m benchmarks.cause_statements signs --clips 40 --features <folder>

``objects``: of the training footage's Normal clips, the share in which an object is named that is certainly not there,
by the least score from which objects are named. ``signs``: the share of each label's clips, and of the same sets'
Normal ones, of which a statement of each kind is true.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.causes.attribution import clauses
from omnisila.data.causes.evidence import seen_in
from omnisila.data.clips.augment import AugmentConfig
from omnisila.data.clips.features import FeatureStore, Job, extract_all
from omnisila.data.sets import read_footage
from omnisila.data.sets._footage import data_root
from omnisila.media.video import VideoReader
from omnisila.scenes.nets.nanodet import COCO_CLASSES, NanoDet
from omnisila.scenes.objects import ObjectsConfig
from omnisila.scenes.sem import SEMConfig
from omnisila.schema import Span

WILD = {"bird", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "airplane", "boat", "train", "kite",
        "surfboard", "skis", "snowboard", "wine glass", "bed", "toilet"}  # fmt: skip
STREET = {"bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "fire hydrant", "stop sign",
          "parking meter", "cat", "dog", "bench"}  # fmt: skip
IMPOSSIBLE = {"fight_surv": WILD, "shoplifting_mnnit": WILD | STREET}  # streets, shops, offices; one laboratory room
SCORES = [0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7]


def objects(root: Path) -> None:
    """A line a score."""
    detector, config = NanoDet.pretrained(), ObjectsConfig()
    worst: dict[AnnotatedVideo, tuple[float, str]] = {}
    named: list[float] = []
    for clip in read_footage(root, list(IMPOSSIBLE)).videos:
        if clip.labels["implicit"] != "Normal":
            continue
        worst[clip] = (0.0, "")
        frames = VideoReader(clip.file(root)).at_rate(config.rate_hz, long_side_px=SEMConfig().long_side_px)
        for frame in frames:
            (found,) = detector.detect(frame.image[None], config.min_score)
            for number, score in zip(found.classes.tolist(), found.scores.tolist(), strict=True):
                name = COCO_CLASSES[number]
                if name in IMPOSSIBLE[clip.set_name]:
                    worst[clip] = max(worst[clip], (score, name))
                elif name != "person":
                    named.append(score)
    for least in SCORES:
        wrong = [name for score, name in worst.values() if score >= least]
        share, kept = len(wrong) / len(worst), sum(score >= least for score in named) / len(named)
        print(f"{least:.2f}: {share:.1%} of {len(worst)} clips, {kept:.0%} of other objects kept; {Counter(wrong)}")


def signs(root: Path, features: Path, most: int, workers: int) -> None:
    """A line a kind of statement."""
    by_label: dict[tuple[str, str], list[AnnotatedVideo]] = {}
    for clip in read_footage(root, ["fight_surv", "shoplifting_mnnit", "accident_seq"]).videos:
        by_label.setdefault((clip.set_name, str(clip.labels["implicit"])), []).append(clip)
    chosen = {key: clips[:: max(len(clips) // most, 1)][:most] for key, clips in by_label.items()}
    store = FeatureStore(root, features, SEMConfig(), AugmentConfig())
    extract_all(store, [clip for clips in chosen.values() for clip in clips], [0], workers, print)
    said = {key: Counter[str]() for key in chosen}
    for key, clips in chosen.items():
        for clip in clips:
            shard = store.shard(Job(clip, 0))
            looks = [event.span for event in clip.truth or ()] or [Span(start_s=0.0, end_s=shard.end_s)]
            said[key].update({clause.sign or clause.text for clause in clauses(*seen_in([shard], looks))})
    for one in sorted({one for counts in said.values() for one in counts}):
        shares = (f"{key[1]} {key[0]} {counts[one] / len(chosen[key]):.0%}" for key, counts in said.items())
        print(f"{one}: {', '.join(shares)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["objects", "signs"])
    parser.add_argument("--clips", type=int, default=40, help="of each label and set, at most")
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "objects":
        objects(data_root())
    else:
        signs(data_root(), options.features, options.clips, options.workers)
