"""Graph tuning: Hawkeye's graphs and mixture learn the labels before a language model stands behind them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.bh_moe import joined
from omnisila.models.graph_inputs import FrameTokens
from omnisila.models.hawkeye import Hawkeye
from omnisila.training.experts import head_losses
from omnisila.training.loop import LoopConfig, StepReport, train
from omnisila.training.sampling import BalancedSampler, LabelQuestions
from omnisila.training.tuning_data import TuningData

ACTION, RELATION, MIXTURE = "action", "relation", "mixture"


class GraphTuningConfig(Config):
    """How long the graphs learn alone."""

    loop: LoopConfig
    batch_size: int = 64
    label_smoothing: float = 0.05


def graph_tuning(
    model: Hawkeye,
    data: TuningData,
    sampler: BalancedSampler,
    trained: Mapping[str, Sequence[str]],
    config: GraphTuningConfig,
    state_folder: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> None:
    """Teach X_c+1, X_s and y to tell the labels, each through a linear head that is thrown away; L_bc beside it.

    What expert tuning is to the ICM (``omnisila.training.experts``), so that the two compact models learn alike.

    Args:
        sampler: draws the questions.
        trained: the labels that are taught, by label set.
        state_folder: for resuming.

    Raises:
        TrainingError: as ``train``.
    """
    questions = LabelQuestions(trained)
    width = model.video.embed.out_features
    heads = nn.ModuleDict({name: nn.Linear(width, len(questions.answers)) for name in (ACTION, RELATION, MIXTURE)})
    module = nn.ModuleList([model.video, model.asg, model.org, model.moe, heads])

    def step_losses(_: int, random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        drawn = sampler.draw(config.batch_size, random)
        truth, allowed = questions.truth(drawn), questions.allowed(drawn)
        batch = data.batch(drawn.windows, random)
        graphs = model.graphs(batch.scenes, batch.visual)
        h = joined(graphs.action, graphs.relation)
        y, weights = model.moe(h)
        loss = model.constraint(weights, h.present, h.is_action)
        mixture = FrameTokens(y.unsqueeze(1), h.present.unsqueeze(1))
        tokens = ((ACTION, graphs.action), (RELATION, graphs.relation), (MIXTURE, mixture))
        states = ((name, (one.values.flatten(1, 2), one.mask.flatten(1))) for name, one in tokens)
        for one in head_losses(heads, states, truth, allowed, config.label_smoothing):
            loss = loss + one
        yield loss

    train(module, step_losses, config.loop, state_folder, on_step)
