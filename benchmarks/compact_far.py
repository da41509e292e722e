"""How votes carry over: simple classifiers beside them on the same folds, and whole data sets left out (far tests).

Nothing here asks a language model, so all of it is measured in minutes; answers are kept, so that it resumes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from sklearn.ensemble import ExtraTreesClassifier

from omnisila.data.clips.folds import footage_groups
from omnisila.errors import TrainingError
from omnisila.evaluation.identifying import ranking
from omnisila.files import write_atomically
from omnisila.models.votes import VotesConfig
from omnisila.recipes.rows.compact import CompactTraining, Material
from omnisila.recipes.rows.voting import voting_data
from omnisila.recipes.studies.folds import judged_windows
from omnisila.recipes.studies.measures import Question, questions_on
from omnisila.scenes.summaries import SUMMARIES
from omnisila.training.voting import LabelRows, VotingConfig, VotingData, fit_votes

MODEL, OWN_CALM_ALONE, MEAN = "model", "model, learnt without other sets' calm", "mean of these simple classifiers"
TREES = 200
LINES = ("level", "middle", "spread", "jerk", "motion", "people")
Scores = Float[np.ndarray, "windows"]
Train = Callable[[VotingData, str, VotingData], Scores]  # training windows, label, windows to judge


class Told(NamedTuple):
    """How well a label is told from calm: accuracy where events and calm weigh as they come, AUC over all, and within.

    ``within`` is the mean AUC within groups that have both, weighted by their pairs; NaN where none has.
    """

    accuracy: float
    auc: float
    within: float
    items: int


def simple_classifiers() -> dict[str, Train]:
    """The classifiers that the model must beat, trained on a label's own data sets."""
    lines = {f"logistic regression on {name}": _line(name) for name in LINES}
    trees = {f"extra-trees on {name}": _trees(name) for name in ("motion", "people")}
    return {**lines, "logistic regression on relation": _line("relation"), **trees}


def tried_ideas(recipe: CompactTraining) -> dict[str, Train]:
    """What else was tried: the same votes with one thing changed, and other votes."""
    assert recipe.votes is not None
    shipped, voting = recipe.votes, recipe.voting
    alone = {
        f"one vote alone: {name}": _alone(name, voting)
        for name in (
            "motion",
            "motion+people+limbs",
            "motion+people+limbs+pose",
            "jerk",
            "spread",
            "level",
            "peak",
            "middle",
            "middle_peak",
            "pose",
        )
    }
    every = "+".join(("motion", "people", "limbs", "jerk", "spread"))
    return {
        OWN_CALM_ALONE: _voted(shipped, voting.replace(others=0.0)),
        "model, calm of other sets at full weight": _voted(shipped, voting.replace(others=1.0)),
        "model, its least vote": _voted(shipped.replace(agree=tuple(shipped.votes)), voting, locating=True),
        **alone,
        "all changes side by side in one vote": _alone(every, voting),
        "model with the whole frame in place of its middle": _voted(
            shipped.replace(votes={label: _of_whole(names) for label, names in shipped.votes.items()}), voting
        ),
        "model with the static look as one more vote": _voted(
            shipped.replace(votes={label: (*names, "level") for label, names in shipped.votes.items()}), voting
        ),
        "extra-trees on motion+people+limbs, calm of other sets beside": _trees("motion+people+limbs", voting.others),
    }


def _voted(votes: VotesConfig, voting: VotingConfig, locating: bool = False) -> Train:
    def train(known: VotingData, label: str, asked: VotingData) -> Scores:
        model = votes.replace(votes={label: votes.votes[label]}).build()
        fit_votes(model, known, voting)
        return model.by_label[label](asked.summaries, locating).double().numpy()

    return train


def _of_whole(names: Sequence[str]) -> tuple[str, ...]:
    whole = {"middle": "level", "middle_peak": "peak"}
    return tuple(dict.fromkeys(whole.get(name, name) for name in names))


def _alone(name: str, voting: VotingConfig) -> Train:
    """One vote for whatever label is asked about."""

    def train(known: VotingData, label: str, asked: VotingData) -> Scores:
        return _voted(VotesConfig(votes={label: (name,)}), voting)(known, label, asked)

    return train


def _line(name: str) -> Train:
    return _alone(name, VotingConfig(strength={"motion": 3e-2, "people": 1e-2}, others=0.0, folds=0))


def _trees(name: str, others: float = 0.0) -> Train:
    def train(known: VotingData, label: str, asked: VotingData) -> Scores:
        reads = name.split("+")
        rows = LabelRows.of(known, label, reads, others)
        seen, judged = (
            torch.cat([data.summaries[part] for part in reads], 1).numpy() for data in (known.at(rows.places), asked)
        )
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=4, random_state=0)
        trees.fit(seen, rows.is_event, sample_weight=rows.weights(np.arange(len(rows.places))))
        share = np.asarray(trees.predict_proba(judged))[:, 1].clip(1e-3, 1 - 1e-3)
        return np.log(share / (1 - share))

    return train


class FarTests:
    """A recipe's data with its votes, simple classifiers and tried ideas.

    Args:
        recipe: with votes.
        material: its training data.
        fold_of: the fold of each clip.
        kept: where what is measured is kept.
    """

    def __init__(self, recipe: CompactTraining, material: Material, fold_of: Sequence[int], kept: Path) -> None:
        assert recipe.votes is not None
        self.recipe, self.material, self.kept = recipe, material, kept
        self.windows = judged_windows(material.bank)
        self.data = voting_data(recipe, material, self.windows, tuple(SUMMARIES))
        self.clip = material.bank.clip[self.windows].numpy()
        self.fold = np.array(fold_of)[self.clip]
        groups = footage_groups(material.clips)
        self.group = np.array([groups[clip] for clip in self.clip])
        self.questions = tuple(item for item in questions_on(recipe) if item.label in recipe.votes.votes)

    def on_folds(self, question: Question) -> dict[str, Told]:
        """The simple classifiers and their mean on the folds that the model is measured on."""
        systems = simple_classifiers()
        return self._kept("folds", question, systems, lambda train: self._held_out(question, train))

    def far(self, question: Question) -> dict[str, Told]:
        """The model's votes, the simple classifiers and the ideas without the set that they are asked on.

        Footage of other sets that shows the same video or camera is left out as well. Empty where no other set shows
        the label.
        """
        judged = np.flatnonzero(self.data.set_name == question.set_name)
        known = np.flatnonzero(
            (self.data.set_name != question.set_name) & ~np.isin(self.group, np.unique(self.group[judged]))
        )
        if not (self.data.label[question.labels][known] == question.label).any():
            return {}

        def scores(train: Train) -> Scores:
            found = np.full(len(self.data.set_name), np.nan)
            found[judged] = train(self.data.at(known), str(question.label), self.data.at(judged))
            return found

        assert self.recipe.votes is not None
        model = {MODEL: _voted(self.recipe.votes, self.recipe.voting)}
        return self._kept("far", question, {**model, **simple_classifiers(), **tried_ideas(self.recipe)}, scores)

    def odds_without(self, set_name: str, votes: VotesConfig) -> dict[str, Scores]:
        """Log-odds of every voted label for every window, as events are looked for.

        The votes are learnt without a set and its cameras elsewhere.
        """
        known = (self.data.set_name != set_name) & ~np.isin(self.group, self.group[self.data.set_name == set_name])
        model = votes.build()
        fit_votes(model, self.data.at(np.flatnonzero(known)), self.recipe.voting)
        return {label: vote(self.data.summaries, True).double().numpy() for label, vote in model.by_label.items()}

    def _held_out(self, question: Question, train: Train) -> Scores:
        found = np.full(len(self.fold), np.nan)
        for fold in np.unique(self.fold):
            known = self.data.at(np.flatnonzero(self.fold != fold))
            unseen = np.flatnonzero((self.fold == fold) & (self.data.set_name == question.set_name))
            if len(unseen):
                found[unseen] = train(known, str(question.label), self.data.at(unseen))
        return found

    def _kept(
        self, kind: str, question: Question, systems: Mapping[str, Train], scores: Callable[[Train], Scores]
    ) -> dict[str, Told]:
        file = self.kept / f"{kind}-{question.set_name}-{str(question.label).replace(' ', '-')}.json"
        if file.exists():
            return {name: Told(*told) for name, told in json.loads(file.read_text()).items()}
        found: dict[str, Scores] = {}
        for name, train in systems.items():
            try:
                found[name] = scores(train)
            except TrainingError:
                continue  # it reads change, and pictures alone show the label
        simple = [found[name] for name in simple_classifiers() if name in found]
        told = {name: self.told(question, item) for name, item in found.items()}
        told[MEAN] = self.told(question, np.mean(simple, axis=0))
        write_atomically(file, json.dumps(told))
        return told

    def _truth(self, question: Question) -> Int[np.ndarray, "windows"]:
        """1 where a window shows the question's label, 0 where it is calm, -1 where it is not asked about."""
        words = self.data.label[question.labels]
        asked = (self.data.set_name == question.set_name) & (
            (words == question.label) | (words == self.data.quiet[question.labels])
        )
        return np.where(asked, (words == question.label).astype(int), -1)

    def told(self, question: Question, scores: Scores) -> Told:
        """Clips whose label holds throughout are one item, the mean of their windows; other windows are their own."""
        truth = self._truth(question)
        places = np.flatnonzero(truth >= 0)
        throughout = np.array([self.material.clips[clip].throughout for clip in self.clip[places]])
        unit = np.where(throughout, self.clip[places], len(self.material.clips) + places)
        _, first, item = np.unique(unit, return_index=True, return_inverse=True)
        mean = np.bincount(item, scores[places]) / np.bincount(item)
        return told(truth[places][first] == 1, mean, self.group[places][first])


def told(is_event: Bool[np.ndarray, "items"], score: Scores, group: Shaped[np.ndarray, "items"]) -> Told:
    """How well log-odds tell events from calm."""
    weighted, pairs = 0.0, 0
    for name in np.unique(group):
        mine = group == name
        events = int(is_event[mine].sum())
        if 0 < events < mine.sum():
            count = events * int(mine.sum() - events)
            weighted, pairs = weighted + count * ranking(is_event[mine], score[mine]).auc, pairs + count
    within = weighted / pairs if pairs else float("nan")
    return Told(float(((score > 0) == is_event).mean()), ranking(is_event, score).auc, within, len(score))
