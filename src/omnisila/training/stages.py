"""The stages of training an ICM: scene tuning, the confounder dictionary, task tuning. Source: Omni-SILA 3.4, 4.3."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from omnisila.config import Config
from omnisila.data.instructions import Instruction, render_clauses, render_instruction
from omnisila.labels import LabelSet, label_set
from omnisila.models.icm import ICM
from omnisila.models.iec import ImplicitEnhancedCausal, confounder_dictionary
from omnisila.models.likelihood import answer_likelihood, label_language_loss, label_loss, language_loss
from omnisila.models.scene_model import SceneModel
from omnisila.models.tokens import batch_answers
from omnisila.scene_registry import SCENES
from omnisila.scenes.extractor import SceneInputs
from omnisila.scenes.windows import WindowBatch
from omnisila.schema import SceneName
from omnisila.training.descriptions import CauseTable, scene_answer
from omnisila.training.loop import LoopConfig, StepReport, train
from omnisila.training.sampling import BalancedSampler, LabelQuestions
from omnisila.training.tuning_data import TuningData

OnStep = Callable[[StepReport], None]


class SceneTuningConfig(Config):
    """Scene tuning: the four descriptions, mixed in balance."""

    loop: LoopConfig
    batch_size: int = 48


class TaskTuningConfig(Config):
    """Omni-SILA tuning: identify, and attribute beside it."""

    loop: LoopConfig
    batch_size: int = 64
    label_smoothing: float = 0.1
    language_weight: float = 0.1  # of L_lm of the true label beside the cross-entropy of the posterior
    causes: int = 8  # windows of a batch that are also asked why
    cause_weight: float = 0.1


def scene_tuning(
    model: SceneModel,
    data: TuningData,
    windows: Int[Tensor, "training"],
    config: SceneTuningConfig,
    state_folder: Path | None = None,
    on_step: OnStep | None = None,
    described: Sequence[SceneName] | None = None,
) -> None:
    """Teach the model to say what each extractor saw; needs no annotation.

    The loss is L_lm with what the model adds to it (L_rb, L_bc), as in task tuning. Source: Omni-SILA 3.4; Hawkeye 4.1.

    Args:
        state_folder: for resuming.
        described: the scenes it is asked about; None for all.

    Raises:
        TrainingError: as ``train``.
    """
    scenes = list(SCENES if described is None else described)

    def step_losses(_: int, random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        chosen = windows[torch.randint(len(windows), (config.batch_size,), generator=random)]
        asked = [scenes[i] for i in torch.randint(len(scenes), (config.batch_size,), generator=random).tolist()]
        instructions = [render_instruction(Instruction("describe", scene=scene)) for scene in asked]
        answers = [
            render_clauses(scene_answer(data.descriptions[window], scene))
            for window, scene in zip(chosen.tolist(), asked, strict=True)
        ]
        loss, perception = _answer_loss(model, data.batch(chosen, random), instructions, answers)
        yield model.total_loss(loss, perception)

    train(model, step_losses, config.loop, state_folder, on_step)


def fill_dictionary(model: SceneModel, scenes: Iterable[SceneInputs]) -> None:
    """Cluster X over training windows into an ICM's confounder dictionary; nothing without a causal block.

    Raises:
        TrainingError: fewer frames than centres.
    """
    if not isinstance(model, ICM) or not isinstance(model.iec, ImplicitEnhancedCausal):
        return
    seen: list[Tensor] = []
    with torch.no_grad():
        for part in scenes:
            perceived = model.perceive(part)
            seen.append(perceived.x[perceived.present].float().cpu())
    model.iec.set_dictionary(confounder_dictionary(torch.cat(seen), len(model.iec.dictionary)))


def task_tuning(
    model: SceneModel,
    data: TuningData,
    sampler: BalancedSampler,
    causes: Mapping[str, CauseTable],
    trained: Mapping[str, Sequence[str]],
    config: TaskTuningConfig,
    state_folder: Path | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Teach the model to identify, through the likelihoods that locating reads, and to say why.

    The loss is L_lm + L_rb, L_lm being the posterior's cross-entropy beside the language loss of labels and causes.

    Args:
        state_folder: for resuming.

    Raises:
        TrainingError: as ``train``.

    Source: Omni-SILA 3.4, the last paragraph; Hawkeye 3.3. What is added to L_lm is the model's (``total_loss``).
    """
    sets = {name: label_set(name) for name in trained}
    questions = LabelQuestions(trained)

    def step_losses(_: int, random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        drawn = sampler.draw(config.batch_size, random)
        batch = data.batch(drawn.windows, random)
        instructions = [sets[name].identify for name in drawn.labels]
        likelihood = answer_likelihood(model, batch.scenes, batch.visual, instructions, questions.answers)
        truth = questions.truth(drawn)
        loss = label_loss(likelihood.log_probs, truth, questions.allowed_answers(drawn), config.label_smoothing)
        loss = loss + config.language_weight * label_language_loss(likelihood.log_probs, truth, likelihood.token_counts)
        loss = model.total_loss(loss, likelihood.perception)
        if config.causes:
            why = _why(drawn.windows[: config.causes].tolist(), drawn.labels, drawn.label, sets, data, causes)
            some = data.batch(drawn.windows[: config.causes], random)
            loss = loss + config.cause_weight * _answer_loss(model, some, *why)[0]
        yield loss

    train(model, step_losses, config.loop, state_folder, on_step)


def _why(
    windows: Sequence[int],
    labels: Sequence[str],
    label: Sequence[str],
    sets: Mapping[str, LabelSet],
    data: TuningData,
    causes: Mapping[str, CauseTable],
) -> tuple[list[str], list[str]]:
    instructions = [
        render_instruction(Instruction("attribute", sets[name], true))
        for name, true in zip(labels[: len(windows)], label, strict=False)
    ]
    answers = [
        render_clauses(causes[name].cause(data.descriptions[window], true))
        for window, name, true in zip(windows, labels, label, strict=False)
    ]
    return instructions, answers


def _answer_loss(
    model: SceneModel, batch: WindowBatch, instructions: Sequence[str], answers: Sequence[str]
) -> tuple[Float[Tensor, ""], Any]:
    """L_lm of one answer a window, and what the scene side made of the windows (a ``Perceived``)."""
    llm = model.video_llm
    prompts = model.prompts(instructions, batch.scenes, batch.visual)
    asked = batch_answers(prompts, [llm.answer_ids(answer) for answer in answers], llm.pad_id)
    output = model(batch.scenes, batch.visual, asked.tokens)
    return language_loss(output.logits, asked.targets), output.perception
