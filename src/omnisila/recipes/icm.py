"""The compact ICM and its ablations: one function a row of the results. Source: Omni-SILA Tables 1 to 3."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from omnisila.config import Config
from omnisila.data.clips.clip import Clip
from omnisila.data.clips.folds import footage_groups
from omnisila.data.instructions import SCENE_WORDS, Instruction, render_clauses, render_instruction
from omnisila.labels import BUILT_IN, label_set
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import COMPACT_EXPERT, ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.sbm import SBMConfig
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes.sem import LAYOUTS
from omnisila.scenes.windows import SCENES
from omnisila.schema import SceneName
from omnisila.training.bank import FeatureBank
from omnisila.training.descriptions import CauseTable, WindowClauses
from omnisila.training.experts import ExpertTuningConfig, expert_tuning
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


class CompactRecipe(Config):
    """Everything that decides a compact model beside its features.

    ``set_weights`` says how often a data set is drawn with a label set; sets that are not named do not train.
    """

    name: str = "compact"
    labels: dict[str, tuple[str, ...]] = {  # noqa: RUF012 (pydantic copies defaults)
        "implicit": ("Fighting", "Theft", "Traffic Accidents", "Fire", "Normal"),
        "explicit": ("positive", "neutral", "negative"),
    }
    set_weights: dict[str, dict[str, float]] = {  # noqa: RUF012
        "implicit": {
            "fight_surv": 1.2, "shoplifting_mnnit": 1.0, "traffic_accident": 1.0, "traffic_seq": 0.4, "fire_smoke": 0.8,
            "emotion_faces": 0.2, "misc_demo": 0.2, "normal_cctv": 0.1, "robbery_weapon": 0.1,
            "vandalism_graffiti": 0.1,
        },
        "explicit": {"emotion_faces": 2.4},
    }  # fmt: skip
    acts: tuple[str, ...] = ("fight_surv",)  # sets whose label is an act that a place's look must not give away
    expert: ExpertConfig = COMPACT_EXPERT.replace(num_layers=2, pooling="query", dropout=0.1, input_dropout=0.5)
    sbm: SBMConfig | None = SBMConfig()
    iec: IECConfig | None = IECConfig(dropout=0.1)
    left_out: tuple[SceneName, ...] = ()
    video_llm: CompactConfig = CompactConfig(feedforward=512, dropout=0.1, visual_dropout=0.5)
    projector_dropout: float = 0.1
    perturb: PerturbConfig = PerturbConfig(visual_lost=0.2, scene_lost=0.15)
    scene_tuning: SceneTuningConfig | None = SceneTuningConfig(loop=LoopConfig(steps=150, bfloat16=True), batch_size=32)
    expert_tuning: ExpertTuningConfig | None = ExpertTuningConfig(
        loop=LoopConfig(steps=300, bfloat16=True, optim=OptimConfig(learning_rate=2e-3, weight_decay=0.2))
    )
    task_tuning: TaskTuningConfig = TaskTuningConfig(
        loop=LoopConfig(steps=150, bfloat16=True, optim=OptimConfig(learning_rate=1.5e-3, weight_decay=0.1)),
        batch_size=32,
        causes=4,
    )

    @property
    def icm(self) -> ICMConfig:
        """The ICM's configuration."""
        return ICMConfig(
            features={scene: LAYOUTS[scene].feature_width for scene in SCENES if scene not in self.left_out},
            expert=self.expert,
            sbm=self.sbm,
            iec=self.iec,
            dropout=self.projector_dropout,
        )

    def seeded(self, seed: int) -> "CompactRecipe":
        """The same recipe with other random numbers in task tuning."""
        loop = self.task_tuning.loop.replace(seed=seed)
        return self.replace(task_tuning=self.task_tuning.replace(loop=loop))


def compact() -> CompactRecipe:
    """The main model."""
    return CompactRecipe()


def without_sbm() -> CompactRecipe:
    """Experts are averaged instead of routed. Source: Omni-SILA Tables 1 and 2, "w/o SBM"."""
    return compact().replace(name="without SBM", sbm=None)


def without_iec() -> CompactRecipe:
    """No causal intervention. Source: Omni-SILA Tables 1 and 2, "w/o IEC"."""
    return compact().replace(name="without IEC", iec=None)


def without_scene_tuning() -> CompactRecipe:
    """Task tuning from random weights. Source: Omni-SILA Table 1, "w/o scene tuning"."""
    return compact().replace(name="without scene tuning", scene_tuning=None)


def without_scene(scene: SceneName) -> CompactRecipe:
    """One scene's expert is left out. Source: Omni-SILA Table 3."""
    return compact().replace(name=f"without {scene}", left_out=(scene,))


DICTIONARY_BATCH = 256
QUIET = {labels.quiet for labels in BUILT_IN.values()}


class Material(NamedTuple):
    """What all runs on the same data share."""

    clips: Sequence[Clip]
    bank: FeatureBank
    descriptions: Sequence[WindowClauses]


def questions(material: Material, recipe: CompactRecipe) -> list[Question]:
    """Each window with each of its true labels that the recipe trains."""
    asked: list[Question] = []
    for window in range(len(material.bank)):
        clip = material.clips[int(material.bank.clip[window])]
        for labels, trained in recipe.labels.items():
            label = clip.label_over(labels, material.bank.span(window))
            if label in trained:
                asked.append(Question(window, labels, label))
    return asked


def built(recipe: CompactRecipe, material: Material, seed: int = 0) -> ICM:
    """An untrained model whose tokenizer and standardisation know the material."""
    torch.manual_seed(seed)
    model = recipe.icm.build(recipe.video_llm.build(train_tokenizer(_texts(recipe, material))))
    batch = material.bank.batch(torch.arange(len(material.bank)))
    model.fit_standardisation(batch.scenes)
    model.video_llm.fit_standardisation(batch.visual)  # type: ignore[attr-defined]
    return model


def _texts(recipe: CompactRecipe, material: Material) -> list[str]:
    instructions = [render_instruction(Instruction("describe", scene=scene)) for scene in SCENE_WORDS]
    answers = ["nothing"]
    for name, labels in recipe.labels.items():
        labelled = label_set(name)
        instructions.append(render_instruction(Instruction("identify", labelled)))
        instructions += [render_instruction(Instruction("attribute", labelled, label)) for label in labels]
        answers += labels
    sentences = {render_clauses([clause.text]) for described in material.descriptions for clause in described}
    return [*instructions, *answers, *sorted(sentences)]


def tuning_data(recipe: CompactRecipe, material: Material, windows: Int[Tensor, "training"]) -> TuningData:
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


def scene_tuned(
    recipe: CompactRecipe, material: Material, state_folder: Path | None = None, on_step: OnStep | None = None
) -> ICM:
    """A model after scene tuning, or untrained if the recipe has none. It has seen no label."""
    model = built(recipe, material)
    if recipe.scene_tuning is not None:
        windows = torch.arange(len(material.bank))
        scene_tuning(model, tuning_data(recipe, material, windows), windows, recipe.scene_tuning, state_folder, on_step)
    return model


def task_tuned(
    recipe: CompactRecipe,
    material: Material,
    model: ICM,
    training_clips: Sequence[int],
    state_folder: Path | None = None,
    on_step: OnStep | None = None,
) -> ICM:
    """The model after dictionary and task tuning on some of the clips; changed in place.

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
    if recipe.expert_tuning is not None:
        stage = recipe.expert_tuning.replace(loop=recipe.expert_tuning.loop.replace(seed=recipe.task_tuning.loop.seed))
        folder = state_folder / "experts" if state_folder is not None else None
        expert_tuning(model, data, sampler, recipe.labels, stage, folder, on_step)
    fill_dictionary(model, (material.bank.batch(part).scenes for part in windows.split(DICTIONARY_BATCH)))
    task_tuning(model, data, sampler, causes, recipe.labels, recipe.task_tuning, state_folder, on_step)
    return model


def _causes(material: Material, asked: Sequence[Question], labels: str) -> CauseTable:
    mine = [question for question in asked if question.labels == labels]
    return CauseTable([material.descriptions[question.window] for question in mine], [q.label for q in mine])


def started_from(recipe: CompactRecipe, material: Material, tuned: Mapping[str, Tensor]) -> ICM:
    """The recipe's model with whatever parts a scene-tuned model shares with it; the rest stays untrained."""
    model = built(recipe, material, seed=recipe.task_tuning.loop.seed)
    if recipe.scene_tuning is not None:
        own = model.state_dict()
        model.load_state_dict({name: tuned.get(name, value) for name, value in own.items()})
    return model
