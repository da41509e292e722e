"""Hawkeye at full size, as published and as released: one function a row of Hawkeye's Table 1."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omnisila.errors import TrainingError
from omnisila.models.asg import ASGConfig
from omnisila.models.bh_moe import BHMoEConfig, ConstraintConfig
from omnisila.models.checkpoint import RunRecord
from omnisila.models.clip_graph import CLASSES, PREDICATES
from omnisila.models.graph_inputs import JointReading, PatchGrid, TripletReading
from omnisila.models.hawkeye import HawkeyeConfig
from omnisila.models.hawkeye_release import HawkeyeReleaseConfig, ProbabilityReading
from omnisila.models.lora import PRESETS
from omnisila.models.org import ORGConfig
from omnisila.models.scene_model import SceneModel
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.video_backbone import Backbone, VideoBackboneConfig
from omnisila.recipes.rows import table as rows
from omnisila.recipes.rows.hawkeye import DESCRIBED
from omnisila.recipes.shipping.full import FullTraining
from omnisila.scenes.extractor import Entities, Layouts, SceneInputs
from omnisila.schema import Example
from omnisila.training.answering import AnsweringConfig

ONE_EPOCH = AnsweringConfig(batch_size=8, epochs=1)  # Hawkeye 4.4


class HawkeyeTraining(FullTraining):
    """What both presets share: two described scenes, one epoch a stage, and nothing between the stages."""

    scene_tuning: AnsweringConfig | None = ONE_EPOCH
    task_tuning: AnsweringConfig = ONE_EPOCH

    @abstractmethod
    def side(self, layouts: Layouts, backbone: Backbone) -> HawkeyeConfig | HawkeyeReleaseConfig:
        """What is built in front of the Video-LLM.

        Raises:
            TrainingError: the extractors give too little.
        """

    def build(self, layouts: Layouts, backbone: Backbone) -> SceneModel:
        """An untrained Hawkeye.

        Raises:
            TrainingError: the extractors give too little.
        """
        return self.side(layouts, backbone).build(backbone.llm)

    def describes(self, example: Example) -> bool:
        """Actions of HumanML3D and regions of RefCOCO. Source: Hawkeye 3.3, stage 1."""
        return example.labels in DESCRIBED

    def standardise(self, model: SceneModel, scenes: SceneInputs, seen: Callable[[], Entities]) -> None:
        """Joints and visual tokens; the release standardises nothing.

        Raises:
            TrainingError: features that are not finite.
        """
        model.fit_standardisation(scenes, seen())

    def before_task_tuning(self, model: SceneModel, scenes: Iterable[SceneInputs]) -> None:
        """Nothing: Hawkeye has no dictionary."""

    def record(self, layouts: Layouts, backbone: Backbone, labels: Mapping[str, tuple[str, ...]]) -> RunRecord:
        """What ``run.json`` says."""
        return RunRecord(
            name=self.name,
            hawkeye=self.side(layouts, backbone),
            video_llm=self.backbone,
            sem=self.sem,
            window=self.window,
            labels=dict(labels),
            recipe=self.model_dump(mode="json"),
        )


class HawkeyeFullRecipe(HawkeyeTraining):
    """Hawkeye as published; None leaves a part out, ``pooled`` gives the language model one token a frame."""

    name: str = rows.HAWKEYE["full"]
    width: int = 1024
    num_heads: int = 16
    asg: ASGConfig | None = ASGConfig()
    org: ORGConfig | None = ORGConfig()
    moe: BHMoEConfig | None = BHMoEConfig()
    constraint: ConstraintConfig | None = ConstraintConfig()
    pooled: bool = False

    def side(self, layouts: Layouts, backbone: Backbone) -> HawkeyeConfig:
        """Graphs over the tower's own patches."""
        joints = [name for name in ("joints", "tags") if name in layouts["action"].features]
        return HawkeyeConfig(
            visual_features=backbone.tower.features,
            grid=patch_grid(backbone),
            joints=JointReading.of(layouts["action"], *joints),
            triplets=TripletReading.of(layouts["relation"]),
            width=self.width,
            num_heads=self.num_heads,
            frames=self.window.frames,
            asg=self.asg,
            org=self.org,
            moe=self.moe,
            constraint=self.constraint,
            pooled=self.pooled,
        )


class HawkeyeReleaseRecipe(HawkeyeTraining):
    """Hawkeye as released; ``release`` holds its sizes, what it reads is what the extractors give."""

    name: str = rows.HAWKEYE["release"]
    backbone: VideoBackboneConfig = VideoBackboneConfig(lora=PRESETS["code"], class_tokens=False)
    release: HawkeyeReleaseConfig = HawkeyeReleaseConfig()

    def side(self, layouts: Layouts, backbone: Backbone) -> HawkeyeReleaseConfig:  # noqa: ARG002 (as the paper's)
        """Poses with tags and RelTR's probabilities of Visual Genome.

        Raises:
            TrainingError: the extractors give others.
        """
        relation, wanted = layouts["relation"], {"predicate": PREDICATES, "subject": CLASSES, "object": CLASSES}
        found = {name: relation.slice(name).stop - relation.slice(name).start for name in wanted}
        if found != wanted or "tags" not in layouts["action"].features:
            raise TrainingError(
                f"recipe {self.name!r} reads poses with tags and RelTR's probabilities of Visual Genome {wanted}, the "
                f"extractors give {found}. Train with --extractors full and RelTR's checkpoint0149.pth."
            )
        joints = JointReading.of(layouts["action"], "joints", "tags")
        return self.release.replace(joints=joints, triplets=ProbabilityReading.of(relation))


def patch_grid(backbone: Backbone) -> PatchGrid:
    """How the tower's tokens lie in the part of a frame that the tower says it shows.

    CLIP's are a square of patches, most often behind a class token; other towers' have the shape of their frames.
    """
    patches = backbone.tower.patches
    if not isinstance(backbone.llm, TransformersVideoLLM):
        side = math.isqrt(patches)
        return PatchGrid(rows=side, columns=side, class_tokens=patches - side * side, area=None)
    height_px, width_px = backbone.llm.backbone.size_px
    rows = round(math.sqrt(patches * height_px / width_px))
    return PatchGrid(rows=rows, columns=patches // rows, area=None)


def full() -> HawkeyeFullRecipe:
    """The published model."""
    return HawkeyeFullRecipe()


def release() -> HawkeyeReleaseRecipe:
    """The released model."""
    return HawkeyeReleaseRecipe()


def without_asg() -> HawkeyeFullRecipe:
    """Video tokens know no people. Source: Hawkeye Table 1, "w/o ASG"."""
    return _row("without-asg", asg=None)


def without_org() -> HawkeyeFullRecipe:
    """No tokens of objects and relations. Source: Hawkeye Table 1, "w/o ORG"."""
    return _row("without-org", org=None)


def without_moe() -> HawkeyeFullRecipe:
    """The graphs' tokens without experts. Source: Hawkeye Table 1, "w/o BH-MoE"."""
    return _row("without-moe", moe=None, constraint=None)


def without_constraint() -> HawkeyeFullRecipe:
    """Nothing balances the router. Source: Hawkeye Table 1, "w/o L_bc"."""
    return _row("without-l-bc", constraint=None)


def without_pre_tuning() -> HawkeyeFullRecipe:
    """Stage 2 at once. Source: Hawkeye Table 1, "w/o Pre-tuning"."""
    return _row("without-pre-tuning", scene_tuning=None)


def printed_constraint() -> HawkeyeFullRecipe:
    """L_bc exactly as printed, which outweighs the language loss. Source: Hawkeye 3.2, after Eq. (7)."""
    return _row("l-bc-as-printed", constraint=ConstraintConfig(dimensionless=False))


def _row(row: str, **changes: Any) -> HawkeyeFullRecipe:
    return full().replace(name=rows.HAWKEYE[row], **changes)


ROWS: dict[str, Callable[[], HawkeyeTraining]] = {
    "full": full,
    "release": release,
    "without-asg": without_asg,
    "without-org": without_org,
    "without-moe": without_moe,
    "without-l-bc": without_constraint,
    "without-pre-tuning": without_pre_tuning,
    "l-bc-as-printed": printed_constraint,
}
