"""Training of a scene model in front of a pretrained Video-LLM: scene tuning, then task tuning."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from omnisila.errors import TrainingError
from omnisila.models.checkpoint import RunRecord, save_run
from omnisila.models.lora import set_gradient_checkpointing
from omnisila.models.scene_model import SceneModel
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.pace import Say
from omnisila.recipes.rows.full import FullTraining
from omnisila.recipes.rows.table import check_stages
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import Entities, SceneInputs, to_device
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.windows import stack
from omnisila.schema import Example
from omnisila.training.answering import Answering, AnsweringConfig
from omnisila.training.clip_source import ClipSource, ExampleFile, Prepared, prepared_videos
from omnisila.training.log import TrainingLog
from omnisila.training.loop import STATE_FILE, StepReport, train
from omnisila.training.parallel import Parallel
from omnisila.training.stages import fill_dictionary
from omnisila.weights.checkpoint_files import file_digest

SAMPLED = 2048  # clips that standardisation and dictionary are made from
SEEN = 16  # clips whose pictures are encoded for standardisation: 2056 visual tokens each


class Questions(NamedTuple):
    """Examples and the footage they are about."""

    examples: Path
    footage: Path


class Trainer:
    """One training of a recipe: the model, where it is, and where its run folder is.

    Args:
        out: the run folder; states to resume from stand in its ``state/``.
    """

    def __init__(self, recipe: FullTraining, out: Path, cache: FeatureCache, parallel: Parallel, say: Say) -> None:
        recipe = recipe.replace(sem=recipe.sem.at_rate(recipe.window.rate_hz))  # as the analyzer looks at videos
        self.recipe, self.out, self.cache, self.parallel = recipe, out, cache, parallel
        self.data: dict[str, str] = {}
        self.say: Say = say if parallel.leads else lambda _: None
        if cache.warning:
            self.say(cache.warning)
        self.sem = LoadedWhenNeeded(recipe.sem)
        self.layouts = self.sem.layouts
        torch.manual_seed(recipe.loop.seed)  # all processes begin with the same adapters and experts
        self.llm: TransformersVideoLLM = recipe.backbone.load(parallel.device, recipe.window.rate_hz)
        self.model: SceneModel = recipe.scene_side(self.layouts, self.llm).build(self.llm)
        self.model.to(parallel.device)
        set_gradient_checkpointing(self.llm.model, recipe.gradient_checkpointing)

    def train(self, scene_tuning: Questions | None, task_tuning: Questions, until: str = "task") -> RunRecord | None:
        """Scene tuning, then task tuning; each goes on where a killed run left it.

        Args:
            scene_tuning: descriptions of scenes; None only for a recipe without scene tuning.
            until: ``scene`` stops after scene tuning, ``task`` never.

        Returns:
            What was saved; None where training stopped before.

        Raises:
            TrainingError: no example can be used, training diverges, or memory runs out.
            OutputError: the run folder cannot be written; what stands there is whole.
        """
        check_stages(self.recipe.name, self.recipe.scene_tuning is not None, scene_tuning is not None, until)
        task = self._source("task", task_tuning, lambda example: example.task != "describe")
        described = None
        if scene_tuning is not None and self.recipe.scene_tuning is not None:
            scenes = self.recipe.described
            described = self._source(
                "scene", scene_tuning, lambda example: example.task == "describe" and example.labels in scenes
            )
        self.sem.unload()  # the Video-LLM needs the memory
        self._standardise([source for source in (described, task) if source is not None])
        self.parallel.shard(self.model)
        if self.recipe.scene_tuning is not None and described is not None:
            self._stage("scene", described, self.recipe.scene_tuning)
        if until == "scene":
            return None
        if not (self.out / "state" / "task" / STATE_FILE).exists():  # which holds what was made here as it was trained
            fill_dictionary(self.model, self._sample_clips(task))
        self._stage("task", task, self.recipe.task_tuning)
        return self._save(task)

    def _stage(self, name: str, source: ClipSource, config: AnsweringConfig) -> None:
        self.say(f"{name} tuning on {len(source)} examples")
        loop = self.recipe.loop.replace(steps=config.steps(len(source)))
        losses = Answering(self.model, source, config, loop.seed, self.parallel)
        data = self.data if name == "task" else {name: self.data[name]}
        material = f"{self.recipe.model_dump_json()} {data}"
        train(self.model, losses, loop, self.out / "state" / name, self._log(name), self.parallel, material)
        failures = sum(self.parallel.exchange(losses.failures), Counter[str]())
        for reason, count in failures.items():
            self.say(f"left out {count} times: {reason}")

    def _log(self, stage: str) -> Callable[[StepReport], None]:
        if not self.parallel.leads:
            return lambda _: None
        log = TrainingLog(self.out, stage)

        def on_step(report: StepReport) -> None:
            log(report)
            self.say(f"{stage} {report.step + 1}/{report.steps}: loss {report.loss:.4f}")

        return on_step

    def _source(self, stage: str, questions: Questions, wanted: Callable[[Example], bool]) -> ClipSource:
        training = ExampleFile(questions.examples, lambda example: example.split == "train" and wanted(example))
        self.data[stage] = file_digest(questions.examples)
        prepared = self._prepare_features(sorted(training.videos), questions.footage)
        for reason in prepared.failed.values():
            self.say(f"left out: {reason}")

        def usable(example: Example) -> bool:
            """Its video can be read, at least as far as the example begins."""
            known = prepared.extracted.get(example.video)
            return known is not None and example.start_s < known.end_s

        kept = ExampleFile(
            questions.examples,
            lambda example: example.split == "train" and wanted(example) and usable(example),
        )
        if len(kept) < len(training):
            self.say(
                f"{len(training) - len(kept)} of {len(training)} examples are left out: {len(prepared.failed)} videos "
                "cannot be read, or end before the example begins"
            )
        if not len(kept):
            reason = next(iter(prepared.failed.values()), "there are no examples")
            raise TrainingError(
                f"{questions.footage}: no video to train on ({reason}). Give the folder of the examples' videos."
            )
        shown, fitted = self.recipe.window, self.llm.backbone.fit_frames
        return ClipSource(kept, questions.footage, prepared.extracted, self.cache, shown, fitted)

    def _prepare_features(self, videos: Sequence[str], footage: Path) -> Prepared:
        """All videos' features in the cache: every process extracts its share, then knows of all."""
        mine = videos[self.parallel.rank :: self.parallel.world]
        everyone = self.parallel.exchange(prepared_videos(mine, footage, self.sem, self.cache, self.say))
        extracted = {video: known for theirs in everyone for video, known in theirs.extracted.items()}
        failed = {video: reason for theirs in everyone for video, reason in theirs.failed.items()}
        elsewhere = [video for video, known in extracted.items() if not self.cache.holds(known)]
        again = prepared_videos(elsewhere, footage, self.sem, self.cache)  # where processes share no cache
        return Prepared(extracted | again.extracted, failed)

    def _sample_clips(self, source: ClipSource) -> Iterator[SceneInputs]:
        """Scene features of clips spread evenly over the examples."""
        for chosen in spread_over(len(source), SAMPLED).split(64):
            scenes = stack([source.window(place) for place in chosen.tolist()]).scenes
            yield to_device(scenes, self.parallel.device)

    def _standardise(self, sources: list[ClipSource]) -> None:
        seen = [scenes for source in sources for scenes in self._sample_clips(source)]
        together = {
            name: Entities(
                torch.cat([part[name].values for part in seen]), torch.cat([part[name].mask for part in seen])
            )
            for name in seen[0]
        }
        self.model.fit_standardisation(together, self._encode_pictures(sources[-1]))

    def _encode_pictures(self, source: ClipSource) -> Entities:
        """What the tower makes of some clips' pictures, in float32 for statistics; unreadable ones are masked out."""
        clips = [source[place] for place in spread_over(len(source), SEEN).tolist()]
        encoded = self.llm.backbone.encode(torch.stack([clip.frames for clip in clips]).to(self.parallel.device))
        seen = torch.stack([clip.seen for clip in clips]).to(encoded.mask.device)
        return Entities(encoded.values.float(), encoded.mask & seen.unsqueeze(-1))

    def _save(self, source: ClipSource) -> RunRecord:
        labels: dict[str, dict[str, None]] = {}
        for place in range(len(source)):
            example = source.examples[place]
            if example.task == "identify":
                labels.setdefault(example.labels, {})[example.answer] = None
        trained = {name: tuple(answers) for name, answers in labels.items()}
        record = self.recipe.record(self.layouts, self.llm, trained)
        record = record.replace(data_digests=self.data)
        record = save_run(self.out, self.model, record, half=False, write=self.parallel.leads)
        self.say(f"{self.out}: model {record.identity.digest[:12]} is ready")
        return record


def spread_over(count: int, wanted: int) -> Int[Tensor, "chosen"]:
    """At most so many of ``count`` places, evenly spread."""
    return torch.linspace(0, count - 1, min(count, wanted)).round().long()
