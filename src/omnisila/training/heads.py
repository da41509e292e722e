"""Head tuning: a model's scene side learns the labels before a language model stands behind it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.bh_moe import join_tokens
from omnisila.models.compact import CompactVideoLLM
from omnisila.models.experts import SceneExpert
from omnisila.models.hawkeye import Hawkeye
from omnisila.models.icm import ICM
from omnisila.models.layers import masked_mean
from omnisila.models.likelihood import label_loss
from omnisila.models.scene_model import SceneModel
from omnisila.scenes.windows import WindowBatch
from omnisila.training.loop import LoopConfig, StepReport, train
from omnisila.training.sampling import BalancedSampler, LabelQuestions
from omnisila.training.tuning_data import TuningData


class HeadTuningConfig(Config):
    """How long the scene side learns alone."""

    loop: LoopConfig
    batch_size: int = 96
    label_smoothing: float = 0.05


class Tokens(NamedTuple):
    """What a head reads: the mean of the vectors that are present."""

    values: Float[Tensor, "batch tokens width"]
    mask: Bool[Tensor, "batch tokens"]


class HeadedParts(NamedTuple):
    """The parts of a model that learn with heads.

    Attributes:
        widths: head -> width of the vectors that it reads.
        read: what each head reads of a batch, and a loss beside the heads' own.
    """

    parts: Sequence[nn.Module]
    widths: dict[str, int]
    read: Callable[[WindowBatch], tuple[dict[str, Tokens], Float[Tensor, ""]]]


def headed_parts(model: SceneModel) -> HeadedParts:
    """What a compact model teaches with heads."""
    if isinstance(model, ICM):
        return _icm_parts(model)
    assert isinstance(model, Hawkeye)  # the two kinds of compact models
    return _hawkeye_parts(model)


def _icm_parts(model: ICM) -> HeadedParts:
    """Every expert learns from its own scene, and the compact language model's projector from the visual tokens."""
    experts = {name: expert for name, expert in model.experts.items() if isinstance(expert, SceneExpert)}
    parts: list[nn.Module] = list(experts.values())
    widths = {name: expert.embed.out_features for name, expert in experts.items()}
    llm = model.video_llm
    if isinstance(llm, CompactVideoLLM):  # a pretrained Video-LLM's eyes need no such help
        parts.append(llm.projector)
        widths["visual"] = llm.width

    def read(batch: WindowBatch) -> tuple[dict[str, Tokens], Float[Tensor, ""]]:
        tokens = {name: Tokens(*expert(batch.scenes[name])) for name, expert in experts.items()}
        if isinstance(llm, CompactVideoLLM):
            tokens["visual"] = Tokens(llm.visual_tokens(batch.visual), batch.visual.mask.any(-1))
        return tokens, torch.zeros(())

    return HeadedParts(parts, widths, read)


def _hawkeye_parts(model: Hawkeye) -> HeadedParts:
    """X_c+1, X_s and y learn, with L_bc beside them, so that the two compact models learn alike."""

    def read(batch: WindowBatch) -> tuple[dict[str, Tokens], Float[Tensor, ""]]:
        graphs = model.graphs(batch.scenes, batch.visual)
        h = join_tokens(graphs.action, graphs.relation)
        y, weights = model.moe(h)
        tokens = {
            "action": Tokens(graphs.action.values.flatten(1, 2), graphs.action.mask.flatten(1)),
            "relation": Tokens(graphs.relation.values.flatten(1, 2), graphs.relation.mask.flatten(1)),
            "mixture": Tokens(y, h.present),
        }
        return tokens, model.constraint(weights, h.present, h.is_action)

    width = model.video.embed.out_features
    widths = {"action": width, "relation": width, "mixture": width}
    return HeadedParts([model.video, model.asg, model.org, model.moe], widths, read)


def head_tuning(
    headed: HeadedParts,
    data: TuningData,
    sampler: BalancedSampler,
    trained: Mapping[str, Sequence[str]],
    config: HeadTuningConfig,
    state_folder: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> None:
    """Teach each part to tell the labels, through a linear head that is thrown away.

    Gradients through a language model's likelihoods reach the scene side slowly and let the strongest scene learn for
    all; with heads of their own, every part knows what its scene can tell (decision D21).

    Args:
        state_folder: for resuming.

    Raises:
        TrainingError: as ``train``.
    """
    questions = LabelQuestions(trained)
    heads = nn.ModuleDict({name: nn.Linear(width, len(questions.answers)) for name, width in headed.widths.items()})

    def step_losses(_: int, random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        drawn = sampler.draw(config.batch_size, random)
        truth, allowed = questions.truth(drawn), questions.allowed_answers(drawn)
        tokens, loss = headed.read(data.batch(drawn.windows, random))
        for name, (values, mask) in tokens.items():
            seen = mask.any(1)
            if seen.any():  # a scene that no window of the batch shows has nothing to learn
                logits = heads[name](masked_mean(values[seen], mask[seen]))
                loss = loss + label_loss(logits, truth[seen], allowed[seen], config.label_smoothing)
        yield loss

    train(nn.ModuleList([*headed.parts, heads]), step_losses, config.loop, state_folder, on_step)
