"""The compact ICM and its ablations: one function a row of the results. Source: Omni-SILA Tables 1 to 3."""

from collections.abc import Mapping

from omnisila.config import Config
from omnisila.data.instructions import SCENE_WORDS
from omnisila.models.checkpoint import RunRecord
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import COMPACT_EXPERT, ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.sbm import SBMConfig
from omnisila.models.scene_model import SceneModel
from omnisila.recipes.rows.compact import CardText, Lesson
from omnisila.scenes.sem import LAYOUTS
from omnisila.scenes.windows import SCENES
from omnisila.schema import SceneName
from omnisila.training.experts import ExpertTuningConfig, expert_tuning
from omnisila.training.loop import LoopConfig
from omnisila.training.optim import OptimConfig
from omnisila.training.perturb import PerturbConfig
from omnisila.training.stages import SceneTuningConfig, TaskTuningConfig, fill_dictionary

DICTIONARY_BATCH = 256
CARD = CardText(
    about="""\
An ICM (scene experts, scene-balanced mixture of experts, implicit-enhanced causal attention) at a thousandth of the
published size, in front of a {num_layers}-layer Llama of width {width} trained from scratch. It runs
on a CPU and comes with the package. It is no 7B model: it knows the labels below and nothing else, and its causes are
chosen among statements that the scene extractors found true, never written freely.""",
    command="omnisila train compact",
    limits="""\
## Limits

* The data are small, and compiled from the web by others; labels are noisy, and sets differ in look and codec. Expect
  worse numbers on footage unlike these sets, above all for moving cameras, crowds, sport, night and animation.
* Traffic accidents were learnt from few videos; most of their examples are stills. Treat them as hints.
* Sentiment is read from single faces: a face that looks unhappy to the training set's annotators may not be.
* Robbery and vandalism are not scored: their sets show weapons and paint, not the act, and half of their calm pictures
  come from two scenes, so a model would learn the scene.
* A person reviews every finding before anything is done. The model identifies no one and must not be used to decide
  about people, nor to infer emotions at work or in education.
""",
)


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
            "fight_surv": 1.2, "shoplifting_mnnit": 1.0, "traffic_accident": 1.0, "accident_seq": 0.4,
            "fire_smoke": 0.8, "emotion_faces": 0.2, "misc_demo": 0.2, "normal_cctv": 0.1, "robbery_weapon": 0.1,
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
    def card(self) -> CardText:
        """The model card's words."""
        return CARD

    @property
    def described(self) -> tuple[SceneName, ...]:
        """Scene tuning describes all scenes."""
        return tuple(SCENE_WORDS)

    @property
    def scene_side(self) -> ICMConfig:
        """The ICM's configuration."""
        return ICMConfig(
            features={scene: LAYOUTS[scene].feature_width for scene in SCENES if scene not in self.left_out},
            expert=self.expert,
            sbm=self.sbm,
            iec=self.iec,
            dropout=self.projector_dropout,
        )

    def before_task_tuning(self, model: SceneModel, lesson: Lesson) -> None:
        """Experts learn alone, then the dictionary is filled.

        Raises:
            TrainingError: as ``train``, or fewer frames than centres.
        """
        assert isinstance(model, ICM)  # as ``scene_side`` built it
        if self.expert_tuning is not None:
            stage = self.expert_tuning.replace(loop=self.expert_tuning.loop.replace(seed=self.task_tuning.loop.seed))
            folder = lesson.state_folder / "experts" if lesson.state_folder is not None else None
            expert_tuning(model, lesson.data, lesson.sampler, self.labels, stage, folder, lesson.on_step)
        bank = lesson.material.bank
        fill_dictionary(model, (bank.batch(part).scenes for part in lesson.windows.split(DICTIONARY_BATCH)))

    def record(self, data_digests: Mapping[str, str]) -> RunRecord:
        """What ``run.json`` says."""
        return RunRecord(
            name=self.name,
            icm=self.scene_side,
            video_llm=self.video_llm,
            labels=self.labels,
            recipe=self.model_dump(mode="json"),
            data_digests=dict(data_digests),
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
