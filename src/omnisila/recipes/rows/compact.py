"""Training of compact models: what every recipe has, and the stages from an untrained model to a task-tuned one."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from omnisila.config import Config
from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.folds import footage_groups
from omnisila.data.instructions import Instruction, render_clauses, render_instruction
from omnisila.data.sets import act_sets
from omnisila.digests import digest
from omnisila.errors import TrainingError
from omnisila.labels import BUILT_IN, label_set
from omnisila.models.checkpoint import RunRecord
from omnisila.models.compact import CompactConfig
from omnisila.models.hawkeye import HawkeyeConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.scene_model import SceneModel
from omnisila.models.tokenizer import train_tokenizer
from omnisila.models.votes import VotesConfig
from omnisila.recipes.rows.full import side_field
from omnisila.scene_registry import SCENES
from omnisila.schema import SceneName
from omnisila.training.bank import FeatureBank
from omnisila.training.descriptions import CauseTable, WindowClauses
from omnisila.training.heads import HeadTuningConfig, head_tuning, headed_parts
from omnisila.training.loop import LoopConfig
from omnisila.training.optim import OptimConfig
from omnisila.training.perturb import PerturbConfig
from omnisila.training.sampling import BalancedSampler, Question
from omnisila.training.stages import (
    OnStep,
    SceneTuningConfig,
    TaskTuningConfig,
    fill_dictionary,
    scene_tuning,
    task_tuning,
)
from omnisila.training.tuning_data import TuningData
from omnisila.training.voting import VotingConfig

T = TypeVar("T", bound="CompactTraining")
FILL_BATCH = 256  # windows
QUIET = {labels.quiet for labels in BUILT_IN.values()}


class Material(NamedTuple):
    """What all runs on the same data share."""

    clips: Sequence[AnnotatedVideo]
    bank: FeatureBank
    descriptions: Sequence[WindowClauses]


class CardText(NamedTuple):
    """What a model card says that is not measured; ``about`` may name {num_layers} and {width} of the Llama."""

    about: str
    command: str
    limits: str


class CompactTraining(Config, ABC):
    """Everything that decides a compact model beside its features; its digest names what was made with it.

    Attributes:
        name: what the model is called in results.
        labels: the labels that are taught, by label set.
        set_weights: how often a data set is drawn with a label set; sets that are not named do not train.
        acts: sets whose label is an act that a place's look must not give away.
        votes: what decides on labels in place of the language model's likelihoods; None leaves it to them.
        voting: how votes are fitted.
        perturb: what windows lose while training.
        scene_tuning: the stage that reads no label; None leaves it out, as ``head_tuning``.
    """

    name: str
    labels: dict[str, tuple[str, ...]]
    set_weights: dict[str, dict[str, float]]
    acts: tuple[str, ...] = Field(default_factory=act_sets)
    video_llm: CompactConfig
    votes: VotesConfig | None = None
    voting: VotingConfig = VotingConfig()
    perturb: PerturbConfig = PerturbConfig(visual_lost=0.2, scene_lost=0.15)
    scene_tuning: SceneTuningConfig | None = SceneTuningConfig(loop=LoopConfig(steps=150), batch_size=32)
    head_tuning: HeadTuningConfig | None = HeadTuningConfig(
        loop=LoopConfig(steps=300, optim=OptimConfig(learning_rate=2e-3, weight_decay=0.2))
    )
    task_tuning: TaskTuningConfig = TaskTuningConfig(
        loop=LoopConfig(steps=150, optim=OptimConfig(learning_rate=1.5e-3, weight_decay=0.1)),
        batch_size=32,
        causes=4,
    )

    @property
    @abstractmethod
    def card(self) -> CardText:
        """The model card's words."""

    @property
    def described(self) -> tuple[SceneName, ...]:
        return tuple(SCENES)

    @property
    @abstractmethod
    def scene_side(self) -> ICMConfig | HawkeyeConfig:
        """What is built in front of the language model."""

    @property
    def sets(self) -> tuple[str, ...]:
        """The data sets that it trains on, in alphabetical order."""
        return tuple(sorted({name for sets in self.set_weights.values() for name in sets}))

    def digest(self, *without: str) -> str:
        """Twelve digits of a SHA-256 over the fields, in any order."""
        fields = json.dumps(self.model_dump(mode="json", exclude=set(without)), sort_keys=True)
        return digest(fields)[:12]

    def record(self, data_digests: Mapping[str, str]) -> RunRecord:
        """What ``run.json`` says."""
        return RunRecord(
            name=self.name,
            **side_field(self.scene_side),
            video_llm=self.video_llm,
            votes=self.votes,
            labels=self.labels,
            recipe=self.model_dump(mode="json"),
            data_digests=dict(data_digests),
        )

    @property
    def language_digest(self) -> str:
        """Of everything but votes: the language side is trained without them."""
        return self.digest("votes", "voting")

    @property
    def seed(self) -> int:
        """Of the random numbers in head and task tuning."""
        return self.task_tuning.loop.seed

    def with_seed(self, seed: int) -> Self:
        return self.replace(task_tuning=self.task_tuning.replace(loop=self.task_tuning.loop.replace(seed=seed)))


def restrict_to_taught(recipe: T, clips: Sequence[AnnotatedVideo]) -> T:
    """The recipe without the data sets, labels and label sets that the clips do not teach.

    Raises:
        TrainingError: nothing is left.
    """
    there = {clip.set_name for clip in clips}
    weights = {name: {name: weight for name, weight in sets.items() if name in there}
               for name, sets in recipe.set_weights.items()}  # fmt: skip
    shown = {
        (name, label)
        for clip in clips
        for name, own in clip.labels.items()
        if clip.set_name in weights.get(name, {})
        for label in (own, None if clip.throughout else label_set(name).quiet)
    }
    labels = {name: tuple(label for label in known if (name, label) in shown) for name, known in recipe.labels.items()}
    kept = {name: known for name, known in labels.items() if len(known) > 1}
    if not kept:
        raise TrainingError(
            f"the data sets {', '.join(sorted(there))} do not teach two labels of any of {', '.join(recipe.labels)}. "
            "Put more of the data sets there."
        )
    taught = {label for known in kept.values() for label in known}
    votes = recipe.votes and recipe.votes.replace(
        votes={label: names for label, names in recipe.votes.votes.items() if label in taught},
        agree=tuple(label for label in recipe.votes.agree if label in taught),
        averaged=tuple(label for label in recipe.votes.averaged if label in taught),
    )
    sets = {name: sets for name, sets in weights.items() if name in kept}
    return recipe.replace(labels=kept, set_weights=sets, votes=votes)


def questions(material: Material, recipe: CompactTraining) -> list[Question]:
    """Each window with each of its true labels that the recipe trains."""
    asked: list[Question] = []
    for window in range(len(material.bank)):
        clip = material.clips[int(material.bank.clip[window])]
        for labels, trained in recipe.labels.items():
            label = clip.label_over(labels, material.bank.span(window))
            if label in trained:
                asked.append(Question(window, labels, label))
    return asked


def build_model(recipe: CompactTraining, material: Material, seed: int = 0) -> SceneModel:
    """An untrained model whose tokenizer and standardisation know the material."""
    torch.manual_seed(seed)
    model = recipe.scene_side.build(recipe.video_llm.build(train_tokenizer(_texts(recipe, material))))
    batch = material.bank.batch(torch.arange(len(material.bank)))
    model.fit_standardisation(batch.scenes, batch.visual)
    model.video_llm.fit_standardisation(batch.visual)  # type: ignore[attr-defined]
    return model


def _texts(recipe: CompactTraining, material: Material) -> list[str]:
    instructions = [render_instruction(Instruction("describe", scene=scene)) for scene in SCENES]
    answers = ["nothing"]
    for name, labels in recipe.labels.items():
        labelled = label_set(name)
        instructions.append(render_instruction(Instruction("identify", labelled)))
        instructions += [render_instruction(Instruction("attribute", labelled, label)) for label in labels]
        answers += labels
    sentences = {render_clauses([clause.text]) for described in material.descriptions for clause in described}
    return [*instructions, *answers, *sorted(sentences)]


def tuning_data(recipe: CompactTraining, material: Material, windows: Int[Tensor, "training"]) -> TuningData:
    """The material as the stages read it.

    Stills borrow the motion of calm moving windows among those given: that of a fight, lent to a calm street, would
    teach the action expert that fights are calm.
    """
    clip_of = material.bank.clip.tolist()
    is_still = torch.tensor([material.clips[clip].is_still for clip in clip_of])
    calm = torch.tensor([set(material.clips[clip].labels.values()) <= QUIET for clip in clip_of])
    donors = windows[(~is_still & calm)[windows]]
    is_act = torch.tensor([material.clips[clip].set_name in recipe.acts for clip in clip_of])
    return TuningData(
        material.bank, is_still, is_act, material.descriptions, recipe.perturb.build(material.bank, donors)
    )


def tune_scenes(
    recipe: CompactTraining, material: Material, state_folder: Path | None = None, on_step: OnStep | None = None
) -> SceneModel:
    """A model after scene tuning, or untrained if the recipe has none. It has seen no label."""
    model = build_model(recipe, material)
    if recipe.scene_tuning is not None:
        windows = torch.arange(len(material.bank))
        data = tuning_data(recipe, material, windows)
        scene_tuning(model, data, windows, recipe.scene_tuning, state_folder, on_step, recipe.described)
    return model


def tune_task(
    recipe: CompactTraining,
    material: Material,
    model: SceneModel,
    training_clips: Sequence[int],
    state_folder: Path | None = None,
    on_step: OnStep | None = None,
) -> SceneModel:
    """The model after its own stages and task tuning on some of the clips; changed in place.

    Args:
        training_clips: numbers of the clips whose labels may be read.
    """
    allowed = torch.zeros(len(material.clips), dtype=torch.bool)
    allowed[torch.tensor(list(training_clips))] = True
    windows = torch.nonzero(allowed[material.bank.clip])[:, 0]
    asked = [question for question in questions(material, recipe) if allowed[material.bank.clip[question.window]]]
    groups = footage_groups(material.clips)
    clip_of = [int(material.bank.clip[question.window]) for question in asked]
    sampler = BalancedSampler(
        asked,
        [material.clips[clip].set_name for clip in clip_of],
        [groups[clip] for clip in clip_of],
        {(labels, name): weight for labels, sets in recipe.set_weights.items() for name, weight in sets.items()},
    )
    causes = {name: _causes(material, asked, name) for name in recipe.labels}
    data = tuning_data(recipe, material, windows)
    if recipe.head_tuning is not None:
        stage = recipe.head_tuning.replace(loop=recipe.head_tuning.loop.replace(seed=recipe.seed))
        folder = state_folder / "heads" if state_folder is not None else None
        head_tuning(headed_parts(model), data, sampler, recipe.labels, stage, folder, on_step)
    fill_dictionary(model, (material.bank.batch(part).scenes for part in windows.split(FILL_BATCH)))
    task_tuning(model, data, sampler, causes, recipe.labels, recipe.task_tuning, state_folder, on_step)
    return model


def _causes(material: Material, asked: Sequence[Question], labels: str) -> CauseTable:
    mine = [question for question in asked if question.labels == labels]
    return CauseTable([material.descriptions[question.window] for question in mine], [q.label for q in mine])


def started_from(recipe: CompactTraining, material: Material, tuned: Mapping[str, Tensor]) -> SceneModel:
    """The recipe's model with whatever parts a scene-tuned model shares with it; the rest stays untrained."""
    model = build_model(recipe, material, seed=recipe.seed)
    if recipe.scene_tuning is not None:
        own = model.state_dict()
        model.load_state_dict({name: tuned.get(name, value) for name, value in own.items()})
    return model
