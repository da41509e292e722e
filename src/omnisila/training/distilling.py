"""Votes that learn a teacher's posteriors: T^2 KL and cross-entropy, a convex problem for votes that are linear.

Source: Hinton et al. 2015, Distilling the knowledge in a neural network, section 2; decision D251.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from pydantic import Field, PositiveFloat
from sklearn.model_selection import GroupKFold
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import TrainingError
from omnisila.models.votes import LabelVote, Summaries, Vote

_STEPS = 100  # of L-BFGS at most; it stops by itself where nothing is gained


class DistillationConfig(Config):
    """How votes learn.

    Attributes:
        temperature: T, at which teacher and student are compared.
        hard_weight: of the cross-entropy of known labels beside the teacher's divergence.
        reads: what a label's vote may read; of these, and of the weights of the L2 penalty, those with the least loss
            on held-out sources are taken.
        folds: of sources; with one source the first choices are taken.
    """

    temperature: PositiveFloat = 2.0
    hard_weight: float = Field(default=1.0, ge=0)
    reads: tuple[str, ...] = (
        "level+motion+people+limbs+relation",
        "motion+people+limbs+relation",
        "level+face+motion+people+limbs+relation",
    )
    penalties: tuple[PositiveFloat, ...] = (1e-2, 1e-3, 1e-1)
    folds: int = Field(default=4, ge=2)


class Lesson(NamedTuple):
    """Windows with what is said of one label set.

    Attributes:
        teacher: its posteriors; a row of zeros where it says nothing, or nothing that is believed.
        truth: the known label's column, -1 where none is known.
        source: the footage of each window.
    """

    summaries: Summaries
    teacher: Float[Tensor, "windows labels"]
    truth: Int[Tensor, "windows"]
    source: Shaped[np.ndarray, "windows"]

    def at(self, chosen: Int[np.ndarray, "chosen"]) -> "Lesson":
        places = torch.from_numpy(chosen)
        summaries = {name: values[places] for name, values in self.summaries.items()}
        return Lesson(summaries, self.teacher[places], self.truth[places], self.source[chosen])


class Distilled(NamedTuple):
    """A label set's votes, with the held-out loss by which they were chosen; NaN where there was one source."""

    votes: dict[str, LabelVote]
    reads: str
    penalty: float
    held_out_loss: float


def distillation_loss(
    logits: Float[Tensor, "windows labels"],
    teacher: Float[Tensor, "windows labels"],
    truth: Int[Tensor, "windows"],
    config: DistillationConfig,
) -> Float[Tensor, ""]:
    """T^2 KL(teacher || student) at temperature T where there is a teacher, with the cross-entropy of known labels.

    The mean over all windows. T^2 keeps the size of the gradients that T would shrink. Source: Hinton et al. 2015, 2.
    """
    taught, known = teacher.sum(1) > 0, truth >= 0
    wanted = (teacher[taught].clamp(min=1e-6).log() / config.temperature).log_softmax(-1)
    soft = F.kl_div((logits[taught] / config.temperature).log_softmax(-1), wanted, reduction="sum", log_target=True)
    hard = F.cross_entropy(logits[known], truth[known], reduction="sum")
    return (config.temperature**2 * soft + config.hard_weight * hard) / max(len(logits), 1)


def distil_votes(labels: Sequence[str], quiet: str | None, lesson: Lesson, config: DistillationConfig) -> Distilled:
    """Votes for every label but the quiet one, fitted together.

    Args:
        quiet: the label that has odds of 0 and no vote.

    Raises:
        TrainingError: nothing is said of any window.
    """
    told = np.flatnonzero(((lesson.teacher.sum(1) > 0) | (lesson.truth >= 0)).numpy())
    if not len(told):
        raise TrainingError(
            f"{', '.join(labels)}: no window that a teacher answers and no known label. Give other footage, a "
            "teacher that answers it, or --agreement none."
        )
    lesson = lesson.at(told)
    sources = len(set(lesson.source.tolist()))
    choices = list(itertools.product(config.reads, config.penalties))
    loss = float("nan")
    if sources > 1:
        losses = [_held_out_loss(labels, quiet, lesson, config, *choice) for choice in choices]
        loss = min(losses)
        choices = [choices[losses.index(loss)]]
    reads, penalty = choices[0]
    return Distilled(_fit(labels, quiet, lesson, config, reads, penalty), reads, penalty, loss)


def student_logits(
    votes: dict[str, LabelVote], labels: Iterable[str], summaries: Summaries
) -> Float[Tensor, "windows labels"]:
    """Log-odds against the quiet label, which has none."""
    none = torch.zeros(len(next(iter(summaries.values()))))
    return torch.stack([votes[label](summaries) if label in votes else none for label in labels], 1)


def _held_out_loss(
    labels: Sequence[str], quiet: str | None, lesson: Lesson, config: DistillationConfig, reads: str, penalty: float
) -> float:
    """Mean loss of windows of sources that were left out."""
    total = 0.0
    folds = min(config.folds, len(set(lesson.source.tolist())))
    for known, unseen in GroupKFold(folds).split(lesson.source, groups=lesson.source):
        votes, held_out = _fit(labels, quiet, lesson.at(known), config, reads, penalty), lesson.at(unseen)
        logits = student_logits(votes, labels, held_out.summaries)
        total += float(distillation_loss(logits, held_out.teacher, held_out.truth, config)) * len(unseen)
    return total / len(lesson.source)


def _fit(
    labels: Sequence[str], quiet: str | None, lesson: Lesson, config: DistillationConfig, reads: str, penalty: float
) -> dict[str, LabelVote]:
    first = Vote(reads)
    values = first.join(lesson.summaries)
    first.fit_standardisation(values)
    standard = first.standardise(values)
    voted = [label != quiet for label in labels]
    with torch.enable_grad():
        weight, bias = nn.Parameter(torch.zeros(standard.shape[1], sum(voted))), nn.Parameter(torch.zeros(sum(voted)))
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            logits = torch.zeros(len(standard), len(labels))
            logits[:, torch.tensor(voted)] = standard @ weight + bias
            loss = distillation_loss(logits, lesson.teacher, lesson.truth, config) + penalty / 2 * weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
    votes: dict[str, LabelVote] = {}
    for column, label in enumerate(label for label, has_vote in zip(labels, voted, strict=True) if has_vote):
        votes[label] = LabelVote([reads])
        made = votes[label].votes[reads]
        assert isinstance(made, Vote)
        made.mean.copy_(first.mean)
        made.deviation.copy_(first.deviation)
        made.weight.copy_(weight.detach()[:, column])
        made.bias.copy_(bias.detach()[column])
    return votes
