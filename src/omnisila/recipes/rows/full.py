"""What every recipe of a full model has, and how a row of the tables or a file changes one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

from omnisila.config import Config
from omnisila.models.checkpoint import RunRecord
from omnisila.models.hawkeye import HawkeyeConfig
from omnisila.models.hawkeye_release import HawkeyeReleaseConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.pretrained_llm import VideoBackboneConfig
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.zero_shot import TunedConfig
from omnisila.recipes.rows.table import RecipeChoice, Row
from omnisila.scene_registry import SCENES
from omnisila.scenes.extractor import Layouts
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.schema import SceneName
from omnisila.training.answering import AnsweringConfig
from omnisila.training.loop import LoopConfig
from omnisila.training.optim import OptimConfig

SceneSide = ICMConfig | HawkeyeConfig | HawkeyeReleaseConfig | TunedConfig
PROFILES = {"full": FullSEMConfig, "embedded": SEMConfig}
TUNED = LoopConfig(
    steps=1,  # as many as the examples take
    save_every=200,
    bfloat16=True,
    optim=OptimConfig(
        learning_rate=2e-5,  # Omni-SILA 4.3 and Hawkeye 4.4, as the next
        warmup_frac=0.03,
        weight_decay=0.0,
        ema_decay=0.0,
        betas=(0.9, 0.999),
    ),
)


class FullTraining(Config, ABC):
    """Everything that decides a full model beside its data.

    Attributes:
        scene_tuning: None goes straight to task tuning.
        gradient_checkpointing: far less memory for a third more time.
    """

    name: str
    backbone: VideoBackboneConfig = VideoBackboneConfig()
    sem: FullSEMConfig | SEMConfig = FullSEMConfig()
    window: WindowConfig = WindowConfig(window_s=1.0, rate_hz=8.0, frames=8)  # Omni-SILA 4.1, Hawkeye 4.4
    scene_tuning: AnsweringConfig | None = AnsweringConfig()
    task_tuning: AnsweringConfig = AnsweringConfig()
    loop: LoopConfig = TUNED
    gradient_checkpointing: bool = True

    @property
    def described(self) -> tuple[SceneName, ...]:
        return tuple(SCENES)

    @abstractmethod
    def scene_side(self, layouts: Layouts, llm: TransformersVideoLLM) -> SceneSide:
        """What is built in front of the Video-LLM, for what it and those extractors give.

        Raises:
            TrainingError: it cannot read what they give.
        """

    def record(self, layouts: Layouts, llm: TransformersVideoLLM, labels: Mapping[str, tuple[str, ...]]) -> RunRecord:
        return RunRecord(
            name=self.name,
            **side_field(self.scene_side(layouts, llm)),
            video_llm=self.backbone,
            sem=self.sem,
            window=self.window,
            labels=dict(labels),
            recipe=self.model_dump(mode="json"),
        )


Recipe = TypeVar("Recipe", bound=Config)
Full = TypeVar("Full", bound=FullTraining)


def side_field(side: SceneSide) -> dict[str, Any]:
    """The scene side under its field of a ``RunRecord``."""
    field = "icm" if isinstance(side, ICMConfig) else "tuned" if isinstance(side, TunedConfig) else "hawkeye"
    return {field: side}


def change_fields(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with some fields changed, at any depth; None leaves a part out.

    Raises:
        ValidationError: it has no such field, or a field does not take the value.
    """
    return type(recipe).model_validate(_merge(recipe.model_dump(mode="json"), changes))


def row_of(recipe: Recipe, row: Row) -> Recipe:
    """The published recipe, compact or full, changed as a row of the tables says, under the row's name."""
    return change_fields(recipe, {**row.changes, "name": row.title})


def chosen_recipe(
    chosen: Full, choice: RecipeChoice, backbone: str | None = None, extractors: str | None = None
) -> Full:
    """A row with the fields that a file changes, at any depth; then another backbone or profile.

    Args:
        extractors: of ``PROFILES``.
    """
    chosen = change_fields(chosen, choice.changes)
    if backbone is not None:
        chosen = chosen.replace(backbone=chosen.backbone.replace(source=backbone))
    if extractors is not None and not isinstance(chosen.sem, PROFILES[extractors]):
        chosen = chosen.replace(sem=PROFILES[extractors]())
    return chosen


def _merge(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(whole)
    for name, value in changes.items():
        inside = whole.get(name)
        merged[name] = _merge(inside, value) if isinstance(value, dict) and isinstance(inside, dict) else value
    return merged
