"""ICM at full size: one function a row of Omni-SILA's Tables 1 to 3."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omnisila.models.checkpoint import RunRecord
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.sbm import SBMConfig
from omnisila.models.scene_model import SceneModel
from omnisila.models.video_backbone import Backbone
from omnisila.recipes.rows import table as rows
from omnisila.recipes.shipping.full import FullTraining
from omnisila.scenes.extractor import Entities, Layouts, SceneInputs
from omnisila.scenes.windows import SCENES
from omnisila.schema import Example, SceneName
from omnisila.training.stages import fill_dictionary


class FullRecipe(FullTraining):
    """A full ICM; a row of a table leaves something out."""

    name: str = rows.ICM["full"]
    expert: ExpertConfig = ExpertConfig()
    sbm: SBMConfig | None = SBMConfig()
    iec: IECConfig | None = IECConfig()
    left_out: tuple[SceneName, ...] = ()

    def icm(self, layouts: Layouts) -> ICMConfig:
        """The ICM's configuration for what those extractors give."""
        return ICMConfig(
            features={scene: layouts[scene].feature_width for scene in SCENES if scene not in self.left_out},
            expert=self.expert,
            sbm=self.sbm,
            iec=self.iec,
        )

    def build(self, layouts: Layouts, backbone: Backbone) -> ICM:
        """An untrained ICM."""
        return self.icm(layouts).build(backbone.llm)

    def describes(self, example: Example) -> bool:  # noqa: ARG002 (same call as other recipes')
        """All four scenes."""
        return True

    def standardise(
        self,
        model: SceneModel,
        scenes: SceneInputs,
        seen: Callable[[], Entities],  # noqa: ARG002 (the Video-LLM's own, which it knows)
    ) -> None:
        """Every expert's features.

        Raises:
            TrainingError: a scene that is never present, or features that are not finite.
        """
        assert isinstance(model, ICM)  # as ``build`` made it
        model.fit_standardisation(scenes)

    def before_task_tuning(self, model: SceneModel, scenes: Iterable[SceneInputs]) -> None:
        """The confounder dictionary.

        Raises:
            TrainingError: fewer frames than centres.
        """
        assert isinstance(model, ICM)
        fill_dictionary(model, scenes)

    def record(
        self,
        layouts: Layouts,
        backbone: Backbone,  # noqa: ARG002 (same call as other recipes')
        labels: Mapping[str, tuple[str, ...]],
    ) -> RunRecord:
        """What ``run.json`` says."""
        return RunRecord(
            name=self.name,
            icm=self.icm(layouts),
            video_llm=self.backbone,
            sem=self.sem,
            window=self.window,
            labels=dict(labels),
            recipe=self.model_dump(mode="json"),
        )


def full() -> FullRecipe:
    """The published model."""
    return FullRecipe()


def without_sbm() -> FullRecipe:
    """Experts are averaged instead of routed. Source: Omni-SILA Tables 1 and 2, "w/o SBM"."""
    return _row("without-sbm", sbm=None)


def without_iec() -> FullRecipe:
    """No causal intervention. Source: Omni-SILA Tables 1 and 2, "w/o IEC"."""
    return _row("without-iec", iec=None)


def without_scene_tuning() -> FullRecipe:
    """Task tuning at once. Source: Omni-SILA Table 1, "w/o scene tuning"."""
    return _row("without-scene-tuning", scene_tuning=None)


def without_scene(scene: SceneName) -> FullRecipe:
    """One scene's expert is left out. Source: Omni-SILA Table 3."""
    return _row(f"without-{scene}", left_out=(scene,))


def with_experts(row: str, layers: int = 8, width: int = 1024) -> FullRecipe:
    """Experts of another depth or width; the paper prints 8 layers and, read literally, 4096."""
    return _row(row, expert=ExpertConfig().replace(num_layers=layers, width=width))


def _row(row: str, **changes: Any) -> FullRecipe:
    return full().replace(name=rows.ICM[row], **changes)


ROWS: dict[str, Callable[[], FullRecipe]] = {
    "full": full,
    "without-sbm": without_sbm,
    "without-iec": without_iec,
    "without-scene-tuning": without_scene_tuning,
    **{f"without-{scene}": lambda scene=scene: without_scene(scene) for scene in SCENES},
    "experts-4-layers": lambda: with_experts("experts-4-layers", layers=4),
    "experts-12-layers": lambda: with_experts("experts-12-layers", layers=12),
    "experts-512-wide": lambda: with_experts("experts-512-wide", width=512),
    "experts-2048-wide": lambda: with_experts("experts-2048-wide", width=2048),
}
