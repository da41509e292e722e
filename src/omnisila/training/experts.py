"""Expert tuning: every expert learns the labels from its own scene before a language model stands between them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.compact import CompactVideoLLM
from omnisila.models.experts import ExpertState, SceneExpert
from omnisila.models.icm import ICM
from omnisila.models.layers import masked_mean
from omnisila.models.likelihood import label_loss
from omnisila.scenes.windows import SCENES
from omnisila.training.loop import LoopConfig, StepReport, train
from omnisila.training.sampling import BalancedSampler, LabelQuestions
from omnisila.training.tuning_data import TuningData

VISUAL = "visual"


class ExpertTuningConfig(Config):
    """How long the experts learn alone."""

    loop: LoopConfig
    batch_size: int = 96
    label_smoothing: float = 0.05


def expert_tuning(
    model: ICM,
    data: TuningData,
    sampler: BalancedSampler,
    trained: Mapping[str, Sequence[str]],
    config: ExpertTuningConfig,
    state_folder: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> None:
    """Teach each expert to tell the labels from its own scene, through a linear head that is thrown away.

    Gradients through a language model's likelihoods reach the experts slowly and let the strongest scene learn for all;
    with heads of their own, every expert knows what its scene can tell (decision D21).

    Args:
        sampler: draws the questions.
        trained: the labels that are taught, by label set.
        state_folder: for resuming.

    Raises:
        TrainingError: as ``train``.
    """
    questions = LabelQuestions(trained)
    experts = {name: expert for name, expert in model.experts.items() if isinstance(expert, SceneExpert)}
    heads = nn.ModuleDict(
        {name: nn.Linear(e.embed.out_features, len(questions.answers)) for name, e in experts.items()}
    )
    module = nn.ModuleList([nn.ModuleDict(experts), heads])
    if isinstance(model.video_llm, CompactVideoLLM):  # a pretrained Video-LLM's eyes need no such help
        heads[VISUAL] = nn.Linear(model.video_llm.width, len(questions.answers))
        module.append(model.video_llm.projector)

    def step_losses(_: int, random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        drawn = sampler.draw(config.batch_size, random)
        truth, allowed = questions.truth(drawn), questions.allowed(drawn)
        batch = data.batch(drawn.windows, random)
        states = {
            name: experts[name](entities)
            for name, entities in zip(SCENES, batch.scenes, strict=True)
            if name in experts
        }
        if isinstance(model.video_llm, CompactVideoLLM):
            states[VISUAL] = ExpertState(model.video_llm.visual_tokens(batch.visual), batch.visual.mask.any(-1))
        loss = torch.zeros(())
        for one in head_losses(heads, states.items(), truth, allowed, config.label_smoothing):
            loss = loss + one
        yield loss

    train(module, step_losses, config.loop, state_folder, on_step)


def head_losses(
    heads: nn.ModuleDict,
    states: Iterable[tuple[str, tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]]],
    truth: Int[Tensor, "batch"],
    allowed: Bool[Tensor, "batch answers"],
    label_smoothing: float,
) -> Iterator[Float[Tensor, ""]]:
    """How well each head tells the labels from the mean of what is present; a state that no window has is passed over.

    Args:
        states: name of a head, and the vectors that it reads with the mask of those that are there.
    """
    for name, (values, mask) in states:
        seen = mask.any(1)
        if seen.any():
            logits = heads[name](masked_mean(values[seen], mask[seen]))
            yield label_loss(logits, truth[seen], allowed[seen], label_smoothing)
