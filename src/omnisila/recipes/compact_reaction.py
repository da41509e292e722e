"""The compact reaction model: how often a face shows amusement or surprise, learned from or measured on still faces.

Stills are all the labelled data there is without Hume-Reaction, so clips are composed of them and intensity means the
share of the time at which the face shows the expression. Every measurement is on people that the model never saw. What
is trained ships only where it is surely better than the embedded expression network alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.config import Config
from omnisila.data.clips.compose_faces import ComposeConfig, ComposedFaces, Still, composed
from omnisila.data.clips.duplicates import with_near_duplicates
from omnisila.data.clips.folds import folds, footage_groups
from omnisila.data.readers import emotion_faces
from omnisila.errors import DataSetError
from omnisila.evaluation.reaction import pearson
from omnisila.labels import REACTION
from omnisila.models.baselines.expression_share import ExpressionShareConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import ReactionModel
from omnisila.models.reaction_run import ReactionModelConfig, ReactionRecord, save_reaction
from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.reaction.cache import ReactionCache
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import extract
from omnisila.scenes.reaction.fau import COLUMNS
from omnisila.training.composed_faces import ComposedClips, Drawn, StillFeatures
from omnisila.training.regression import Labelled, RegressionConfig, fit, predicted

Say = Callable[[str], None]
# the embedded expression network's own word for a reaction: what the model must be better than
OWN_WORDS = {"Amusement": "happy", "Disgust": "disgusted", "Fear": "fearful", "Surprise": "surprised"}
# where in a video a face stands, and how it moves there, which a still does not tell
PLACEMENT = {
    "face_size_frac": (0.1, 0.9), "centre_x_frac": (0.2, 0.8), "centre_y_frac": (0.2, 0.8),
    "moved_along": (-0.1, 0.1), "moved_down": (-0.1, 0.1), "grown": (-0.05, 0.05),
}  # fmt: skip


class CompactReaction(Config):
    """Everything that decides the model beside its data.

    Attributes:
        least_persons: people who must show an expression for its label to be trained.
        parts: of the people, fixed; a clip is composed of one part's stills, and folds and the clips that choose the
            epoch are whole parts.
    """

    name: str = "compact-reaction"
    features: ReactionFeatureConfig = ReactionFeatureConfig.embedded()
    streams: tuple[str, ...] = ("fau",)
    least_persons: int = 30
    compose: ComposeConfig = ComposeConfig()
    model: ReactionModelConfig = ProbeConfig(hidden=32, activation="gelu")
    training: RegressionConfig = RegressionConfig(
        epochs=25, learning_rate=3e-3, batch=64, weight_decay=0.05, patience=6
    )
    parts: int = 10
    folds: int = 5
    seeds: int = 3
    clips_per_part: int = 400
    judged_per_part: int = 150


class Faces(NamedTuple):
    """The stills with a face: what they show, who they are, the part of the people they belong to, their features.

    ``own_words`` are the expression network's probabilities, one column a label of the reaction set.
    """

    stills: tuple[Still, ...]
    emotions: tuple[str, ...]
    reactions: tuple[str | None, ...]
    part_of: tuple[int, ...]
    features: StillFeatures
    own_words: StillFeatures
    labels: tuple[str, ...]
    kinds: dict[str, str]
    left_out: int

    def part(self, number: int) -> list[Still]:
        """The stills of one part of the people."""
        return [still for still, part in zip(self.stills, self.part_of, strict=True) if part == number]


def faces_of(root: Path, features: Path, recipe: CompactReaction, say: Say) -> Faces:
    """Read and describe the stills; those without a face are left out and counted.

    Raises:
        DataSetError: the set is not as its reader expects, or too few people show any expression.
    """
    cache, extractor = ReactionCache(features), recipe.features.build()
    if cache.warning:
        say(cache.warning)
    read = emotion_faces.faces(root)
    kept: list[emotion_faces.EmotionFace] = []
    rows: dict[str, list[Tensor]] = {name: [] for name in {*recipe.streams, "fau"}}
    outcomes = extract((Clip(face.clip.file(root)) for face in read), extractor, cache)
    for face, outcome in zip(read, outcomes, strict=True):
        if outcome.features is None:
            say(f"left out {face.clip.path}: {outcome.reason}")
        elif outcome.features.modalities["fau"].present:
            kept.append(face)
            for name, found in rows.items():
                found.append(outcome.features.modalities[name].values[0])
    if not kept:
        raise DataSetError(f"{root}: no face in any of {len(read)} pictures. Give the folder with emotion_faces.")
    clips = with_near_duplicates([face.clip for face in kept], root)
    persons = footage_groups(clips)
    shown = {label: {p for p, face in zip(persons, kept, strict=True) if face.reaction == label} for label in OWN_WORDS}
    labels = tuple(label for label in REACTION.labels if len(shown.get(label, ())) >= recipe.least_persons)
    if not labels:
        raise DataSetError(
            f"{root}: no expression is shown by {recipe.least_persons} people. Give more, or lower least_persons."
        )
    return Faces(
        stills=tuple(
            Still(place, person, face.reaction if face.reaction in labels else None)
            for place, (person, face) in enumerate(zip(persons, kept, strict=True))
        ),
        emotions=tuple(face.emotion for face in kept),
        reactions=tuple(face.reaction for face in kept),
        part_of=folds(clips, recipe.parts),
        features=StillFeatures({name: torch.stack(rows[name]) for name in recipe.streams}, _drawn(recipe)),
        own_words=StillFeatures({"own": _own_words(torch.stack(rows["fau"]))}, {}),
        labels=labels,
        kinds={name: extractor.kinds[name] for name in {*recipe.streams, "fau"}},
        left_out=len(read) - len(kept),
    )


def trained(
    recipe: CompactReaction, faces: Faces, parts: Sequence[int], seed: int, state: Path
) -> tuple[ReactionModel, Float[np.ndarray, "labels"]]:
    """A model of the people in these parts, and each label's mean over its training clips.

    The labels that are not trained have the target 0, and are never reported.

    Raises:
        TrainingError: the state is of another run, or training diverged.
    """
    plans = ComposedFaces.joined([_plans(recipe, faces, part, recipe.clips_per_part, seed) for part in parts])
    clips = ComposedClips(faces.features, plans)
    groups = tuple(f"part {part}" for part in parts for _ in range(recipe.clips_per_part))
    columns = [REACTION.labels.index(label) for label in faces.labels]

    def mean_pearson(truth: Float[Tensor, "clips emotions"], said: Float[Tensor, "clips emotions"]) -> float:
        return pearson(truth[:, columns].double().numpy(), said[:, columns].double().numpy()).mean

    torch.manual_seed(seed)
    model = recipe.model.build(faces.features.widths)
    data, training = Labelled(clips, clips.truth, groups), recipe.training.replace(seed=seed)
    fit(model, data, training, mean_pearson, state, f"{recipe.model_dump_json()} {faces.features.digest}")
    return model, plans.truth.mean(axis=0)


def judged(recipe: CompactReaction, faces: Faces, part: int) -> ComposedFaces:
    """The composed clips of a part on which models are measured; the same for every seed."""
    return _plans(recipe, faces, part, recipe.judged_per_part, recipe.seeds)


def shipped(recipe: CompactReaction, faces: Faces, out: Path, with_training: bool) -> ReactionRecord:
    """Write the run folder, weights in half precision: a model of everybody, or the untrained network's own words."""
    if with_training:
        model, mean = trained(recipe, faces, range(recipe.parts), 0, out / "state" / "all")
        config, streams = recipe.model, recipe.streams
    else:
        config, streams = untrained(faces.labels), ("fau",)
        model = config.build({"fau": len(COLUMNS)})
        mean = judged(recipe, faces, 0).truth.mean(axis=0)
    return save_reaction(
        out,
        model.half(),
        ReactionRecord(
            name=recipe.name,
            model=config,
            widths=model.widths,
            streams={name: name for name in streams},
            kinds={name: faces.kinds[name] for name in streams},
            features=recipe.features,
            features_digest=recipe.features.networks_digest,
            scored=faces.labels,
            train_mean=tuple(mean.tolist()),
            recipe=recipe.model_dump(mode="json"),
        ),
    )


def untrained(labels: Sequence[str]) -> ExpressionShareConfig:
    """The embedded expression network's own probabilities, averaged over the frames."""
    columns = {REACTION.labels.index(label): COLUMNS.index(OWN_WORDS[label]) for label in labels}
    return ExpressionShareConfig(columns=columns)


def answers(model: ReactionModel, clips: ComposedClips, count: int) -> Float[np.ndarray, "clips labels"]:
    """Intensities of the first clips."""
    return predicted(model, clips, torch.arange(count)).double().numpy()


def _plans(recipe: CompactReaction, faces: Faces, part: int, count: int, seed: int) -> ComposedFaces:
    return composed(faces.part(part), REACTION.labels, count, recipe.compose, seed * recipe.parts + part)


def _drawn(recipe: CompactReaction) -> dict[str, tuple[Drawn, ...]]:
    places = tuple(Drawn(COLUMNS.index(name), *limits) for name, limits in PLACEMENT.items())
    return {name: places for name in recipe.streams if name == "fau"}


def _own_words(proxy: Float[Tensor, "stills columns"]) -> Float[Tensor, "stills labels"]:
    zeros = torch.zeros(len(proxy))
    return torch.stack(
        [
            proxy[:, EXPRESSIONS.index(OWN_WORDS[label])] if label in OWN_WORDS else zeros
            for label in REACTION.labels
        ],
        dim=1,
    )  # fmt: skip
