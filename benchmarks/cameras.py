"""What a camera's own normal is worth: cameras learnt from some of their calm clips, asked about the others and events.

    omnisila train compact --data DATA --out runs/compact --features FEATURES
    python -m benchmarks.cameras --data DATA --run runs/compact --features FEATURES \\
        --out benchmarks/results/cameras.json

Every window is scored by a model of the training's folds that never saw its camera. Cameras are the groups of the data
sets; takes in one room are one camera. The calm clips of a camera are dealt into two halves, each half is learnt once
and the other half and the events are asked about. Nothing is fitted on what is asked about, and no setting is chosen.

``auc`` is over all clips of a set, ``within`` the mean over cameras. Scores are 1 - P(Normal) without the camera; with
it the greatest log-odds of a label above its limit for 0.2 false alarms an hour. ``unlike`` is the density of windows
alone. Alarms an hour count calm clips with a finding by the calm clips' length; the clips last seconds, so they compare
the two and say little of a camera's hours. ``at equal recall`` moves the thresholds of both to find as many events.
"""

import argparse
import json
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logit, softmax
from sklearn.metrics import roc_auc_score

from benchmarks.keeping import keep_result
from omnisila.cameras.camera import Camera, CameraFacts, calibration_digests
from omnisila.cameras.footage import WindowsKept, row
from omnisila.cameras.likeness import Ordinary, window_vector
from omnisila.cameras.unusual import Unusual
from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.augment import AugmentConfig
from omnisila.data.clips.features import FeatureStore, Job
from omnisila.labels import label_set
from omnisila.models.run_files import run_calibration
from omnisila.operating_points import LabelSetCalibration
from omnisila.recipes.rows.icm import CompactICM
from omnisila.recipes.shipping.compact import FOLDS, prepare_features
from omnisila.recipes.studies.folds import judged_windows, out_of_fold_with_votes
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig, windows
from omnisila.schema import ModelIdentity, Span
from omnisila.spans import Curve, anomaly_curve, labelled_spans, smooth_curve

SET = "implicit"
FIXED = ("fight_surv", "shoplifting_mnnit", "traffic_accident", "accident_seq", "fire_smoke", "falls", "incidents")
ONE_CAMERA = ("shoplifting_mnnit",)  # all takes in one room
RATES = (0.2, 1.0, 10.0, 100.0)  # false alarms an hour
ASPECT = 4 / 3


class Clip(NamedTuple):
    """A clip with the held-out posteriors of its windows."""

    video: AnnotatedVideo
    spans: list[Span]
    posterior: np.ndarray
    is_event: bool


class Asked(NamedTuple):
    """One clip that a camera was asked about, without it and with it; ``found`` by the rate that was wanted."""

    camera: str
    is_event: bool
    seconds: float
    weight: float  # an event is asked of both halves of its camera
    without: float
    margin: float
    unlike: float
    found_without: bool
    found: dict[float, bool]
    unusual: dict[float, bool]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--run", "--features", "--out"):
        arguments.add_argument(name, type=Path, required=True)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    recipe = CompactICM()
    made = prepare_features(given.data, given.run, given.features, 0, 1, recipe, print)
    calibration = run_calibration(given.run)
    assert calibration is not None, "the run was not calibrated: let omnisila train finish"
    own = calibration.label_sets[SET]
    labels = recipe.labels[SET]
    said = out_of_fold_with_votes(made.bench, made.material, recipe, FOLDS, locating=True)[SET]
    posterior = softmax(said / own.temperature, axis=1)
    bank = made.material.bank
    places = judged_windows(bank)
    clips = clips_of(made.material.clips, bank.clip[places].numpy(), bank.span_s[places].tolist(), posterior)
    store = FeatureStore(given.data, given.features, SEMConfig(), AugmentConfig())
    tables = {}
    for name, cameras in by_set(clips).items():
        asked = [one for camera, of in cameras.items() for one in asked_of(camera, of, store, own, labels)]
        tables[name] = table(asked)
        print(name, json.dumps(tables[name], indent=1))
    keep_result(tables, given.out)


def clips_of(
    videos: Sequence[AnnotatedVideo], clip: np.ndarray, spans_s: Sequence[tuple[float, float]], posterior: np.ndarray
) -> list[Clip]:
    """The clips that show an event or calm throughout, or say when."""
    found: list[Clip] = []
    for number, video in enumerate(videos):
        mine = np.flatnonzero(clip == number).tolist()
        word = video.labels.get(SET)
        if len(mine) and word is not None:
            spans = [Span(start_s=spans_s[place][0], end_s=spans_s[place][1]) for place in mine]
            found.append(Clip(video, spans, posterior[mine], word != label_set(SET).quiet))
    return found


def by_set(clips: Sequence[Clip]) -> dict[str, dict[str, list[Clip]]]:
    """The cameras with several calm clips, by data set."""
    found: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        name = clip.video.set_name
        if name not in FIXED:
            continue
        found[name][name if name in ONE_CAMERA else clip.video.group].append(clip)
    several = {
        name: {camera: of for camera, of in cameras.items() if sum(not one.is_event for one in of) >= 2}
        for name, cameras in found.items()
    }
    return {name: cameras for name, cameras in several.items() if cameras}


def asked_of(
    name: str, clips: Sequence[Clip], store: FeatureStore, own: LabelSetCalibration, labels: Sequence[str]
) -> list[Asked]:
    """A camera's clips, asked of the half of its calm clips that they are not in."""
    calm = sorted((one for one in clips if not one.is_event), key=lambda one: zlib.crc32(one.video.path.encode()))
    events = [one for one in clips if one.is_event]
    found: list[Asked] = []
    for half in (0, 1):
        camera = learnt(calm[half::2], store, own, labels)
        rules = {rate: Unusual(camera, rate) for rate in RATES}
        kept = [
            rows[:count] for rows, count in zip(camera.tensors["windows"], camera.tensors["windows_kept"], strict=True)
        ]
        ordinary = Ordinary.of(torch.cat(kept).float())
        found += [
            asked(name, one, camera, rules, ordinary, store, own, labels) for one in (*calm[1 - half :: 2], *events)
        ]
    return found


def learnt(calm: Sequence[Clip], store: FeatureStore, own: LabelSetCalibration, labels: Sequence[str]) -> Camera:
    facts = CameraFacts(
        extractor_digest=store.sem.digest,
        model=ModelIdentity(name="folds", version="", digest=""),
        calibrations=calibration_digests({SET: own}),
        window=WindowConfig(),
        labels={SET: tuple(labels)},
        width_px=4,
        height_px=3,
    )
    camera = Camera(facts, {})
    for clip in calm:
        shard, kept = store.shard(Job(clip.video, 0)), WindowsKept(clip.video.path)
        for _ in kept.passing(windows([shard], WindowConfig()), ()):
            pass
        camera = camera.with_row(
            row(
                video=Path(clip.video.path),
                sha256=clip.video.path,
                events=(),
                spans=clip.spans,
                posteriors={SET: clip.posterior},
                labels={SET: labels},
                calibrations={SET: own},
                kept=kept,
                shards=[shard],
                aspect=ASPECT,
            )
        )
    return camera


def asked(
    name: str,
    clip: Clip,
    camera: Camera,
    rules: dict[float, Unusual],
    ordinary: Ordinary,
    store: FeatureStore,
    own: LabelSetCalibration,
    labels: Sequence[str],
) -> Asked:
    shard = store.shard(Job(clip.video, 0))
    shown = list(windows([shard], WindowConfig()))
    numbers = [window_vector(window) for window in shown]
    start_s, end_s = (np.array([getattr(span, end) for span in clip.spans]) for end in ("start_s", "end_s"))
    limits = {one.label: one.limit.log_odds for one in camera.limits(SET, own, RATES[0])}
    margins = [
        _peak(Curve(start_s, end_s, clip.posterior[:, list(labels).index(label)]), own) - limit
        for label, limit in limits.items()
    ]

    def finds(calibration: LabelSetCalibration) -> bool:
        return bool(
            labelled_spans(
                start_s, end_s, clip.posterior, labels, label_set(SET), calibration.thresholds, calibration.shape
            )
        )

    return Asked(
        camera=name,
        is_event=clip.is_event,
        seconds=float((end_s - start_s).sum()),
        weight=0.5 if clip.is_event else 1.0,
        without=_peak(anomaly_curve(start_s, end_s, clip.posterior, labels, label_set(SET)), own),
        margin=max(margins),
        unlike=float(ordinary.unlikeness(torch.stack(numbers)).mean()),
        found_without=finds(own),
        found={rate: finds(camera.calibration(SET, own, rate)) for rate in RATES},
        unusual={
            rate: any(True for _ in rule.spans([one.span for one in shown], numbers, [shard], ASPECT, None))
            for rate, rule in rules.items()
        },
    )


def _peak(curve: Curve, own: LabelSetCalibration) -> float:
    return float(logit(np.clip(smooth_curve(curve, own.shape.smooth_s).score.max(), 1e-6, 1 - 1e-6)))


def table(asked: Sequence[Asked]) -> dict[str, object]:
    """The numbers of one set; None where it shows no event."""
    is_event = np.array([one.is_event for one in asked])
    weight = np.array([one.weight for one in asked])
    calm_h = sum(one.seconds for one in asked if not one.is_event) / 3600
    camera = np.array([one.camera for one in asked])
    scores = {name: np.array([getattr(one, name) for one in asked]) for name in ("without", "margin", "unlike")}

    def told(found: np.ndarray) -> dict[str, float | None]:
        return {
            "recall": round(float(found[is_event].mean()), 3) if is_event.any() else None,
            "alarms_per_hour": round(float(found[~is_event].sum()) / calm_h, 1),
        }

    without = np.array([one.found_without for one in asked])
    wanted = {rate: np.array([one.found[rate] for one in asked]) for rate in RATES}
    unusual = {rate: np.array([one.unusual[rate] for one in asked]) for rate in RATES}
    numbers: dict[str, object] = {
        "cameras": len(set(camera)),
        "calm clips": int((~is_event).sum()),
        "event clips": int(is_event.sum()) // 2,
        "calm hours": round(calm_h, 3),
        "model's own thresholds": told(without),
        "camera": {f"{rate:g} an hour": told(found) for rate, found in wanted.items()},
        "unusual": {f"{rate:g} an hour": told(found) for rate, found in unusual.items()},
    }
    if is_event.any():
        numbers["auc"] = {
            name: round(float(roc_auc_score(is_event, of, sample_weight=weight)), 3) for name, of in scores.items()
        }
        numbers["within"] = {name: _within(is_event, of, camera) for name, of in scores.items()}
        numbers["alarms an hour at equal recall"] = {
            f"{recall:g}": {
                name: round(float((of[~is_event] >= np.quantile(of[is_event], 1 - recall)).sum()) / calm_h, 1)
                for name, of in scores.items()
            }
            for recall in (0.5, 0.7, 0.9)
        }
    return numbers


def _within(is_event: np.ndarray, scores: np.ndarray, camera: np.ndarray) -> float | None:
    found = [
        roc_auc_score(is_event[camera == name], scores[camera == name])
        for name in np.unique(camera)
        if len(set(is_event[camera == name])) == 2
    ]
    return round(float(np.mean(found)), 3) if found else None


if __name__ == "__main__":
    main()
