"""ICM at full size: one function a row of Omni-SILA's Tables 1 to 3, and what any of them does in training."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from omnisila.config import Config
from omnisila.errors import InputError, TrainingError
from omnisila.models.checkpoint import RunRecord, save_run
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.lora import set_gradient_checkpointing
from omnisila.models.sbm import SBMConfig
from omnisila.models.video_backbone import Backbone, VideoBackboneConfig
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import Entities, Layouts, SceneInputs
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import SCENES, WindowConfig, stack
from omnisila.schema import Example, SceneName
from omnisila.training.answering import Answering, AnsweringConfig
from omnisila.training.clip_source import ClipSource, prepared_videos
from omnisila.training.example_file import ExampleFile
from omnisila.training.log import TrainingLog
from omnisila.training.loop import STATE_FILE, LoopConfig, StepReport, train
from omnisila.training.optim import OptimConfig
from omnisila.training.parallel import Parallel
from omnisila.training.stages import fill_dictionary

Say = Callable[[str], None]
SAMPLED = 2048  # clips that standardisation and dictionary are made from
TUNED = LoopConfig(
    steps=1,  # as many as the examples take
    save_every=200,
    bfloat16=True,
    optim=OptimConfig(
        learning_rate=2e-5,  # Omni-SILA 4.3, as the next
        warmup_frac=0.03,
        weight_decay=0.0,
        ema_decay=0.0,
        betas=(0.9, 0.999),
    ),
)


class FullRecipe(Config):
    """Everything that decides a full model beside its data; a row of a table leaves something out.

    Attributes:
        scene_tuning: None goes straight to task tuning.
        gradient_checkpointing: far less memory for a third more time.
    """

    name: str = "ICM"
    backbone: VideoBackboneConfig = VideoBackboneConfig()
    sem: FullSEMConfig | SEMConfig = FullSEMConfig()
    window: WindowConfig = WindowConfig(window_s=1.0, rate_hz=8.0, frames=8)  # Omni-SILA 4.1
    expert: ExpertConfig = ExpertConfig()
    sbm: SBMConfig | None = SBMConfig()
    iec: IECConfig | None = IECConfig()
    left_out: tuple[SceneName, ...] = ()
    scene_tuning: AnsweringConfig | None = AnsweringConfig()
    task_tuning: AnsweringConfig = AnsweringConfig()
    loop: LoopConfig = TUNED
    gradient_checkpointing: bool = True

    def icm(self, layouts: Layouts) -> ICMConfig:
        """The ICM's configuration for what those extractors give."""
        return ICMConfig(
            features={scene: layouts[scene].feature_width for scene in SCENES if scene not in self.left_out},
            expert=self.expert,
            sbm=self.sbm,
            iec=self.iec,
        )


def full() -> FullRecipe:
    """The published model."""
    return FullRecipe()


def without_sbm() -> FullRecipe:
    """Experts are averaged instead of routed. Source: Omni-SILA Tables 1 and 2, "w/o SBM"."""
    return full().replace(name="ICM without SBM", sbm=None)


def without_iec() -> FullRecipe:
    """No causal intervention. Source: Omni-SILA Tables 1 and 2, "w/o IEC"."""
    return full().replace(name="ICM without IEC", iec=None)


def without_scene_tuning() -> FullRecipe:
    """Task tuning at once. Source: Omni-SILA Table 1, "w/o scene tuning"."""
    return full().replace(name="ICM without scene tuning", scene_tuning=None)


def without_scene(scene: SceneName) -> FullRecipe:
    """One scene's expert is left out. Source: Omni-SILA Table 3."""
    return full().replace(name=f"ICM without {scene}", left_out=(scene,))


def with_experts(layers: int, width: int) -> FullRecipe:
    """Experts of another depth and width; the paper prints 8 layers and, read literally, 4096."""
    expert = ExpertConfig().replace(num_layers=layers, width=width)
    return full().replace(name=f"ICM, experts of {layers} layers, width {width}", expert=expert)


ROWS: dict[str, Callable[[], FullRecipe]] = {
    "full": full,
    "without-sbm": without_sbm,
    "without-iec": without_iec,
    "without-scene-tuning": without_scene_tuning,
    **{f"without-{scene}": lambda scene=scene: without_scene(scene) for scene in SCENES},
    "experts-4-layers": lambda: with_experts(4, 1024),
    "experts-12-layers": lambda: with_experts(12, 1024),
    "experts-512-wide": lambda: with_experts(8, 512),
    "experts-2048-wide": lambda: with_experts(8, 2048),
}


def chosen_recipe(recipe: str, backbone: str | None = None, extractors: str | None = None) -> FullRecipe:
    """A row by name, or the published model with the changes of a JSON file; then another backbone or profile.

    Raises:
        InputError: no such row or profile, or a file that changes what a recipe does not have.
    """
    chosen = ROWS[recipe]() if recipe in ROWS else _changed(Path(recipe))
    if backbone is not None:
        chosen = chosen.replace(backbone=chosen.backbone.replace(source=backbone))
    if extractors is not None:
        profiles = {"full": FullSEMConfig, "embedded": SEMConfig}
        if extractors not in profiles:
            raise InputError(f"extractors {extractors!r}. Choose full or embedded.")
        if not isinstance(chosen.sem, profiles[extractors]):
            chosen = chosen.replace(sem=profiles[extractors]())
    return chosen


def _changed(path: Path) -> FullRecipe:
    """The published recipe with the fields that a file names, at any depth."""
    if path.suffix != ".json":
        raise InputError(f"recipe {str(path)!r}. Choose from: {', '.join(ROWS)}; or give a JSON file.")
    try:
        changes = json.loads(path.read_bytes())
        return FullRecipe.model_validate(_merged(full().model_dump(mode="json"), changes))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = "; ".join(str(error).splitlines()[:2])
        raise InputError(f"{path}: no recipe ({reason}). Give a JSON object of fields to change.") from error


def _merged(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        deeper = isinstance(value, dict) and isinstance(whole.get(name), dict)
        return _merged(whole[name], value) if deeper else value

    return {**whole, **{name: one(name, value) for name, value in changes.items()}}


class Questions(NamedTuple):
    """Examples and the footage they are about."""

    examples: Path
    footage: Path


class Trainer:
    """One training of a recipe: the model, where it is, and where its run folder is.

    Args:
        recipe: what is trained.
        out: the run folder; states to resume from stand in its ``state/``.
        cache: of scene features.
        parallel: the processes that train together.
        say: told what happens.
    """

    def __init__(self, recipe: FullRecipe, out: Path, cache: FeatureCache, parallel: Parallel, say: Say) -> None:
        self.recipe, self.out, self.cache, self.parallel = recipe, out, cache, parallel
        self.say: Say = say if parallel.leads else lambda _: None
        self.sem = recipe.sem.build()
        torch.manual_seed(recipe.loop.seed)  # all processes begin with the same adapters and experts
        self.backbone: Backbone = recipe.backbone.load(parallel.device, recipe.window.rate_hz)
        self.model: ICM = recipe.icm(self.sem.layouts).build(self.backbone.llm)
        self.model.to(parallel.device)
        set_gradient_checkpointing(self.backbone.llm.model, recipe.gradient_checkpointing)

    def trained(self, scene_tuning: Questions | None, task_tuning: Questions, until: str = "task") -> RunRecord | None:
        """Scene tuning, the dictionary, task tuning; each goes on where a killed run left it.

        Args:
            scene_tuning: descriptions of the four scenes; None only for a recipe without scene tuning.
            task_tuning: what the model is for.
            until: ``scene`` stops after scene tuning, ``task`` never.

        Returns:
            What was saved; None where training stopped before.

        Raises:
            TrainingError: no example can be used, training diverges, or memory runs out.
            OutputError: the run folder cannot be written; what stands there is whole.
        """
        if self.recipe.scene_tuning is not None and scene_tuning is None:
            raise TrainingError(
                f"recipe {self.recipe.name!r} begins with scene tuning. Give --scenes with its examples "
                "(omnisila prepare scene-tuning), or choose the recipe without-scene-tuning."
            )
        task = self._source(task_tuning, lambda example: example.task != "describe")
        described = self._source(scene_tuning, lambda example: example.task == "describe") if scene_tuning else None
        self._standardised([source for source in (described, task) if source is not None])
        self.parallel.shard(self.model)
        if self.recipe.scene_tuning is not None and described is not None:
            self._stage("scene", described, self.recipe.scene_tuning)
        if until == "scene":
            return None
        if not (self.out / "state" / "task" / STATE_FILE).exists():  # which holds the dictionary as it was trained
            fill_dictionary(self.model, self._sampled(task))
        self._stage("task", task, self.recipe.task_tuning)
        return self._saved(task)

    def _stage(self, name: str, source: ClipSource, config: AnsweringConfig) -> None:
        self.say(f"{name} tuning on {len(source)} examples")
        loop = self.recipe.loop.replace(steps=config.steps(len(source)))
        losses = Answering(self.model, self.backbone.tower, source, config, loop.seed, self.parallel)
        train(self.model, losses, loop, self.out / "state" / name, self._log(name), self.parallel)
        for reason, count in losses.failures.items():
            self.say(f"left out {count} times: {reason}")

    def _log(self, stage: str) -> Callable[[StepReport], None]:
        if not self.parallel.leads:
            return lambda _: None
        log = TrainingLog(self.out, stage)

        def on_step(report: StepReport) -> None:
            log(report)
            self.say(f"{stage} {report.step + 1}/{report.steps}: loss {report.loss:.4f}")

        return on_step

    def _source(self, questions: Questions, wanted: Callable[[Example], bool]) -> ClipSource:
        training = ExampleFile(questions.examples, lambda example: example.split == "train" and wanted(example))
        if self.parallel.leads:  # one process extracts, the others find it in the cache
            prepared_videos(list(training.videos), questions.footage, self.sem, self.cache, self.say)
        self.parallel.wait()
        prepared = prepared_videos(list(training.videos), questions.footage, self.sem, self.cache)
        for reason in prepared.failed.values():
            self.say(f"left out: {reason}")
        lost = sum(training.videos[video] for video in prepared.failed)
        if lost:
            self.say(f"{lost} of {len(training)} examples are about {len(prepared.failed)} videos that cannot be read")
            training = ExampleFile(
                questions.examples,
                lambda example: example.split == "train" and wanted(example) and example.video in prepared.extracted,
            )
        frames, tower = self.recipe.window.frames, self.backbone.tower
        return ClipSource(training, questions.footage, prepared.extracted, self.cache, frames, tower.fitted)

    def _sampled(self, source: ClipSource) -> Iterator[SceneInputs]:
        """Scene features of clips spread evenly over the examples."""
        for chosen in spread_over(len(source), SAMPLED).split(64):
            scenes = stack([source.window(place) for place in chosen.tolist()]).scenes
            device = self.parallel.device
            yield SceneInputs(*(Entities(e.values.to(device), e.mask.to(device)) for e in scenes))

    def _standardised(self, sources: list[ClipSource]) -> None:
        seen = [scenes for source in sources for scenes in self._sampled(source)]
        columns = zip(*seen, strict=True)
        self.model.fit_standardisation(
            SceneInputs(
                *(
                    Entities(torch.cat([e.values for e in parts]), torch.cat([e.mask for e in parts]))
                    for parts in columns
                )
            )
        )

    def _saved(self, source: ClipSource) -> RunRecord:
        labels: dict[str, dict[str, None]] = {}
        for place in range(len(source)):
            example = source.examples[place]
            if example.task == "identify":
                labels.setdefault(example.labels, {})[example.answer] = None
        record = RunRecord(
            name=self.recipe.name,
            icm=self.recipe.icm(self.sem.layouts),
            video_llm=self.recipe.backbone,
            sem=self.recipe.sem,
            window=self.recipe.window,
            labels={name: tuple(answers) for name, answers in labels.items()},
            recipe=self.recipe.model_dump(mode="json"),
        )
        record = save_run(self.out, self.model, record, half=False, write=self.parallel.leads)
        self.say(f"{self.out}: model {record.identity.digest[:12]} is ready")
        return record


def _together(parts: Sequence[Entities]) -> Entities:
    return Entities(torch.cat([part.values for part in parts]), torch.cat([part.mask for part in parts]))


def spread_over(count: int, wanted: int) -> Int[Tensor, "chosen"]:
    """At most so many of ``count`` places, evenly spread."""
    return torch.linspace(0, count - 1, min(count, wanted)).round().long()
