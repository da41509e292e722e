"""What the compact reaction model was measured on: people it never saw, beside the network that it is built on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped

from omnisila.data.clips.compose_faces import ComposedFaces
from omnisila.evaluation.identifying import ranking
from omnisila.evaluation.reaction import pearson
from omnisila.evaluation.significance import DRAWS, Chosen, Interval, PairedDifference, bootstrap, paired_bootstrap
from omnisila.labels import REACTION
from omnisila.models.layers import masked_mean
from omnisila.recipes.compact_reaction import CompactReaction, Faces, Say, answers, judged, trained
from omnisila.training.composed_faces import ComposedClips

Column = Float[np.ndarray, "items"]
Metric = Callable[[Column], Callable[[Chosen], float]]


class Compared(NamedTuple):
    """One metric of one label: the trained model (mean of its seeds), the untrained network, and the difference."""

    metric: str
    label: str
    trained: Interval | None
    untrained: Interval
    difference: PairedDifference | None


class HeldOut(NamedTuple):
    """Answers about people that were held out, one row an item: by seed, and the untrained network's own."""

    seeds: tuple[Float[np.ndarray, "items labels"], ...]
    untrained: Float[np.ndarray, "items labels"]


class Evidence(NamedTuple):
    """What the card tells."""

    composed: tuple[Compared, ...]
    stills: tuple[Compared, ...]
    said_of: dict[str, tuple[int, Float[np.ndarray, "labels"], Float[np.ndarray, "labels"]]]

    @property
    def training_helps(self) -> bool:
        """Whether some label's correlation is surely higher than the untrained network's, and none surely lower."""
        differences = [row.difference.interval for row in self.composed if row.difference is not None]
        return any(one.low > 0 for one in differences) and not any(one.high < 0 for one in differences)


def evidence(recipe: CompactReaction, faces: Faces, out: Path, say: Say, draws: int = DRAWS) -> Evidence:
    """Train without each fold of people in turn, with several seeds, and judge the people left out.

    Raises:
        TrainingError: a state is of another run, or training diverged.
    """
    plans = [judged(recipe, faces, part) for part in range(recipe.parts)]
    all_plans = ComposedFaces.joined(plans)
    of_part = np.repeat(np.arange(recipe.parts), recipe.judged_per_part)
    part_of = np.array(faces.part_of)
    clips: list[np.ndarray] = []
    stills: list[np.ndarray] = []
    for seed in range(recipe.seeds):
        said_clips, said_stills = np.zeros_like(all_plans.truth), np.zeros((len(part_of), len(REACTION.labels)))
        for fold in range(recipe.folds):
            mine = [part for part in range(recipe.parts) if part % recipe.folds == fold]
            others = [part for part in range(recipe.parts) if part not in mine]
            model, _ = trained(recipe, faces, others, seed, out / "state" / f"seed{seed}-fold{fold}")
            held_clips = ComposedClips(faces.features, ComposedFaces.joined([plans[part] for part in mine]))
            said_clips[np.isin(of_part, mine)] = answers(model, held_clips, len(mine) * recipe.judged_per_part)
            held = np.flatnonzero(np.isin(part_of, mine))
            said_stills[held] = model.intensities(faces.features.held(torch.from_numpy(held))).double().numpy()
            say(f"seed {seed}, fold {fold}: people of {len(mine)} of {recipe.parts} parts are judged")
        clips.append(said_clips)
        stills.append(said_stills)
    return Evidence(
        _on_clips(faces, all_plans, HeldOut(tuple(clips), _own(faces, all_plans)), draws),
        _on_stills(faces, HeldOut(tuple(stills), faces.own_words.values["own"].double().numpy()), draws),
        _said_of(faces, stills),
    )


def within_persons(
    truth: Bool[np.ndarray, "items"], said: Column, person: Shaped[np.ndarray, "items"]
) -> Float[np.ndarray, "persons"]:
    """AUC among the pictures of each person; NaN for who shows the expression always or never.

    Who is seen, and where the picture is from, cannot help here as they can across people.
    """
    return np.array([ranking(truth[person == one], said[person == one]).auc for one in np.unique(person)])


def _own(faces: Faces, plans: ComposedFaces) -> Float[np.ndarray, "clips labels"]:
    """The mean over the frames with a face of the expression network's own probability."""
    clips = ComposedClips(faces.own_words, plans)
    batch = clips.batch(torch.arange(len(plans.truth)))
    return masked_mean(batch.values["own"], batch.masks["own"]).double().numpy()


def _on_clips(faces: Faces, plans: ComposedFaces, said: HeldOut, draws: int) -> tuple[Compared, ...]:
    rows: list[Compared] = []
    for label in faces.labels:
        column = REACTION.labels.index(label)
        truth = plans.truth[:, column]

        def correlation(values: Column, truth: Column = truth) -> Callable[[Chosen], float]:
            return lambda chosen: pearson(truth[chosen, None], values[chosen, None]).mean

        rows.append(_compared("Pearson", label, correlation, said, column, np.array(plans.person), draws, trains=True))
    return tuple(rows)


def _on_stills(faces: Faces, said: HeldOut, draws: int) -> tuple[Compared, ...]:
    rows: list[Compared] = []
    person = np.array([still.person for still in faces.stills])
    for label in [label for label in REACTION.labels if label in faces.reactions]:
        column, trains = REACTION.labels.index(label), label in faces.labels
        truth = np.array([reaction == label for reaction in faces.reactions])

        def auc(values: Column, truth: np.ndarray = truth) -> Callable[[Chosen], float]:
            return lambda chosen: ranking(truth[chosen], values[chosen]).auc

        def precision(values: Column, truth: np.ndarray = truth) -> Callable[[Chosen], float]:
            return lambda chosen: ranking(truth[chosen], values[chosen]).average_precision

        def within(values: Column, truth: np.ndarray = truth) -> Callable[[Chosen], float]:
            each = within_persons(truth, values, person)
            return lambda chosen: float(np.nanmean(each[chosen])) if (~np.isnan(each[chosen])).any() else np.nan

        rows += [
            _compared("AUC", label, auc, said, column, person, draws, trains),
            _compared("AP", label, precision, said, column, person, draws, trains),
            _compared("AUC within persons", label, within, said, column, np.unique(person), draws, trains),
        ]
    return tuple(rows)


def _compared(
    name: str,
    label: str,
    metric: Metric,
    said: HeldOut,
    column: int,
    groups: Shaped[np.ndarray, "groups"],
    draws: int,
    trains: bool,
) -> Compared:
    own = metric(said.untrained[:, column])
    seeds = [metric(values[:, column]) for values in said.seeds]

    def untrained(chosen: Chosen) -> Float[np.ndarray, "metrics"]:
        return np.array([own(chosen)])

    def model(chosen: Chosen) -> Float[np.ndarray, "metrics"]:
        return np.array([np.mean([one(chosen) for one in seeds])])

    return Compared(
        name,
        label,
        bootstrap(model, groups, draws)[0] if trains else None,
        bootstrap(untrained, groups, draws)[0],
        paired_bootstrap(untrained, model, groups, draws)[0] if trains else None,
    )


def _said_of(
    faces: Faces, stills: Sequence[np.ndarray]
) -> dict[str, tuple[int, Float[np.ndarray, "labels"], Float[np.ndarray, "labels"]]]:
    """Emotion as annotated -> how many stills, and the mean intensities said of them, trained and untrained."""
    emotions = np.array(faces.emotions)
    mean, own = np.mean(stills, axis=0), faces.own_words.values["own"].double().numpy()
    return {
        str(emotion): (
            int((emotions == emotion).sum()),
            mean[emotions == emotion].mean(0),
            own[emotions == emotion].mean(0),
        )
        for emotion in np.unique(emotions)
    }
