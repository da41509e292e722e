"""How well single frames tell reactions: the embedded model's linear reading beside the expression network's own words.

    python -m benchmarks.reaction_faces --data DATA --out benchmarks/results/reaction_faces.json [--ship RUN]

Faces are those of ``emotion_faces``. Folds are by person, near-duplicate pictures are one person, and every number is
of people that the reading was not fitted on. Clips are composed of one fold's pictures: for a share of 32 frames a
picture of a person who shows the label, else up to four other pictures, of the same person where there are any; the
truth is that share. Nothing was chosen on these numbers. Intervals are 95 % over people (bootstrap). ``--ship`` fits on
everybody and writes a run folder, if on clips some label's correlation is surely higher than that of the network's own
words and none surely lower (decision D136).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from benchmarks.keeping import keep_result
from omnisila.data.annotation_files import read_rows
from omnisila.data.clips.duplicates import with_near_duplicates
from omnisila.data.clips.folds import folds, footage_groups
from omnisila.data.sets import MANIFEST
from omnisila.data.sets._footage import footage_video
from omnisila.evaluation.identifying import ranking
from omnisila.evaluation.significance import Chosen, Interval, bootstrap, paired_bootstrap
from omnisila.labels import REACTION
from omnisila.models.frame_reading import FrameReadingConfig, log_odds
from omnisila.models.reaction_run import ReactionRecord, save_reaction
from omnisila.scenes.nets.expression import INPUT_PX, ExpressionNet
from omnisila.scenes.nets.mtcnn import MTCNN, CascadeConfig
from omnisila.scenes.reaction.actions import COLUMNS, KIND, ActionReader
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.face import crops, follow_face

SHOWN = {"Amusement": ("happiness", "happy"), "Surprise": ("surprise", "surprised")}  # as annotated, the network's word
STREAM, FOLDS, CLIPS, FRAMES, PICTURES = "fau", 5, 1500, 32, 4
STRENGTH = 0.03  # inverse, of the L2 penalty
LEAST_DEVIATION = 0.1
CALM_FRAC, STRANGER_FRAC = 0.25, 0.3  # of the clips: without the label; with other people's pictures between


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--ship", type=Path)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    rows = list(read_rows(given.data / "emotion_faces" / MANIFEST, ("file", "label", "source_group", "licence")))
    clips = with_near_duplicates(
        [footage_video(row, {"implicit": "Normal"}, (row["source_group"],), is_still=True) for row in rows],
        given.data,
    )
    values = describe([clip.file(given.data) for clip in clips])
    seen = np.isfinite(values).all(1)
    values, emotion = values[seen], np.array([row["label"] for row in rows])[seen]
    person, fold = np.array(footage_groups(clips))[seen], np.array(folds(clips, FOLDS))[seen]
    result: dict[str, object] = {"faces": int(seen.sum()), "without_a_face": int((~seen).sum())}
    higher, lower = False, False
    for label, (word, own_word) in SHOWN.items():
        truth, own = emotion == word, values[:, COLUMNS.index(own_word)]
        read = np.zeros(len(truth))
        for number in range(FOLDS):
            weight, bias = fit(values[fold != number], truth[fold != number])
            read[fold == number] = probability(values[fold == number], weight, bias)
        frames, share, of = compose(truth, person, fold)
        correlation = compared(
            of, lambda x, y: float(np.corrcoef(x, y)[0, 1]), share, own[frames].mean(1), read[frames].mean(1)
        )
        higher |= correlation["difference"][1] > 0
        lower |= correlation["difference"][2] < 0
        result[label] = {
            "pictures": int(truth.sum()), "people": len(np.unique(person[truth])), "pearson_on_clips": correlation,
            "auc": compared(person, lambda x, y: ranking(x, y).auc, truth, own, read),
            "average_precision": compared(person, lambda x, y: ranking(x, y).average_precision, truth, own, read),
            "auc_within_people": {"own": within(truth, own, person), "read": within(truth, read, person)},
            "said_of": {
                str(shown): [round(float(x[emotion == shown].mean()), 2) for x in (own, read)]
                for shown in np.unique(emotion)
            },
        }  # fmt: skip
    result["ships"] = higher and not lower
    keep_result(result, given.out)
    if given.ship is not None and result["ships"]:
        ship(given.ship, values, emotion)


@torch.inference_mode()
def describe(pictures: list[Path]) -> np.ndarray:
    """Every picture as a frame of the stream; not a number without a face."""
    settings = ReactionFeatureConfig.embedded()
    detector = MTCNN.pretrained(CascadeConfig(min_face_frac=settings.min_face_frac))
    expression, actions = ExpressionNet.pretrained(), ActionReader.pretrained()
    values = np.full((len(pictures), len(COLUMNS)), np.nan)
    for place, path in enumerate(pictures):
        with Image.open(path) as opened:
            frame = torch.from_numpy(np.array(opened.convert("RGB")))[None]
        track = follow_face(detector, frame)
        if track.mask.any():
            words = expression(crops(frame, track, INPUT_PX)).probabilities
            values[place] = torch.cat([words, actions.read(frame, track)], 1)[0].numpy()
    return values


def fit(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights on log-odds, standardisation folded in."""
    odds = log_odds(torch.from_numpy(values)).numpy()
    mean, deviation = odds.mean(0), odds.std(0).clip(LEAST_DEVIATION)
    line = LogisticRegression(C=STRENGTH, max_iter=1000).fit((odds - mean) / deviation, truth)
    weight = np.asarray(line.coef_)[0] / deviation
    return weight, float(np.asarray(line.intercept_)[0] - weight @ mean)


def probability(values: np.ndarray, weight: np.ndarray, bias: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(log_odds(torch.from_numpy(values)).numpy() @ weight + bias)))


def compose(truth: np.ndarray, person: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of each clip's frames, the share that shows the label, and whose clip it is."""
    chance = np.random.default_rng(0)
    frames, shares, of = [], [], []
    for _ in range(CLIPS):
        mine = fold == chance.integers(FOLDS)
        who = person[chance.choice(np.flatnonzero(truth & mine))]
        count = 0 if chance.random() < CALM_FRAC else int(chance.integers(1, FRAMES + 1))
        others = np.flatnonzero(~truth & (person == who))
        if not len(others) or chance.random() < STRANGER_FRAC:
            others = np.flatnonzero(~truth & mine)
        between = np.repeat(chance.choice(others, PICTURES), FRAMES // PICTURES)
        showing = np.full(count, chance.choice(np.flatnonzero(truth & (person == who))))
        frames.append(np.concatenate([showing, between[count:]]))
        shares.append(count / FRAMES)
        of.append(who)
    return np.array(frames), np.array(shares), np.array(of)


def compared(
    group: np.ndarray,
    metric: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    own: np.ndarray,
    read: np.ndarray,
) -> dict[str, list[float]]:
    """The metric of both with intervals, and of their difference."""

    def of(said: np.ndarray) -> Callable[[Chosen], np.ndarray]:
        return lambda chosen: np.array([metric(truth[chosen], said[chosen])])

    first, second = of(own), of(read)
    return {
        "own": numbers(bootstrap(first, group)[0]),
        "read": numbers(bootstrap(second, group)[0]),
        "difference": numbers(paired_bootstrap(first, second, group)[0].interval),
    }


def numbers(interval: Interval) -> list[float]:
    return [round(float(value), 3) for value in (interval.value, interval.low, interval.high)]


def within(truth: np.ndarray, said: np.ndarray, person: np.ndarray) -> float:
    """Mean over people of the AUC among the pictures of one: who is seen cannot help there."""
    each = [ranking(truth[person == who], said[person == who]).auc for who in np.unique(person)]
    return round(float(np.nanmean(each)), 3)


def ship(folder: Path, values: np.ndarray, emotion: np.ndarray) -> None:
    """The reading of everybody as a run folder."""
    places = tuple(REACTION.labels.index(label) for label in SHOWN)
    config = FrameReadingConfig(emotions=places)
    model = config.build({STREAM: len(COLUMNS)})
    model.line.weight.zero_()
    model.line.bias.zero_()
    mean = np.zeros(len(REACTION.labels))
    for place, (word, _) in zip(places, SHOWN.values(), strict=True):
        weight, bias = fit(values, emotion == word)
        model.line.weight[place] = torch.from_numpy(weight)
        model.line.bias[place] = bias
        mean[place] = (emotion == word).mean()
    features = ReactionFeatureConfig.embedded()
    record = ReactionRecord(
        name="compact-reaction", model=config, widths=model.widths, streams={STREAM: STREAM}, kinds={STREAM: KIND},
        labels={REACTION.name: tuple(SHOWN)}, features=features, features_digest=features.networks_digest,
        train_mean=tuple(mean.tolist()),
    )  # fmt: skip
    save_reaction(folder, model, record)


if __name__ == "__main__":
    main()
