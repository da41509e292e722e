"""Votes that learn from a teacher: the loss as stated, and a student that is better for having one."""

import numpy as np
import pytest
import torch

from omnisila.errors import TrainingError
from omnisila.scenes.summaries import SUMMARIES
from omnisila.training.distilling import (
    DistillationConfig,
    Lesson,
    distil_votes,
    distillation_loss,
    student_logits,
)

LABELS = ("Dancing", "Running", "Calm")
READS = "motion+people"
CONFIG = DistillationConfig(reads=(READS,))


def world(windows: int, seed: int, sources: int = 6):
    """Windows whose label a few directions of the features decide, softly; the rule is the same for every seed."""
    rule = torch.randn(SUMMARIES["motion"], 2, generator=torch.Generator().manual_seed(7))
    random = torch.Generator().manual_seed(seed)
    summaries = {name: torch.randn(windows, SUMMARIES[name], generator=random) for name in ("motion", "people")}
    odds = torch.cat([summaries["motion"] @ rule / 4, torch.zeros(windows, 1)], 1)
    posterior = odds.softmax(-1)
    truth = torch.multinomial(posterior, 1, generator=random)[:, 0]
    return summaries, posterior, truth, np.arange(windows) % sources


def loss_of(made, summaries, truth):
    return float(torch.nn.functional.cross_entropy(student_logits(made.votes, LABELS, summaries), truth))


def test_the_loss_is_t_squared_kl_with_cross_entropy():
    logits, teacher = torch.randn(3, 3), torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
    truth, config = torch.tensor([-1, 2, 0]), DistillationConfig(temperature=3.0, hard_weight=0.5)
    wanted = 0.0
    for row in (0, 2):
        p = (teacher[row].log() / 3).softmax(-1)
        wanted += 9 * (p * (p.log() - (logits[row] / 3).log_softmax(-1))).sum()
    wanted -= 0.5 * (logits[1].log_softmax(-1)[2] + logits[2].log_softmax(-1)[0])
    assert distillation_loss(logits, teacher, truth, config).item() == pytest.approx(float(wanted / 3), abs=1e-5)
    same = teacher[[0, 2]].log()
    assert distillation_loss(same, teacher[[0, 2]], torch.tensor([-1, -1]), config).abs() < 1e-6


def test_a_teacher_that_knows_more_makes_a_better_student():
    summaries, posterior, truth, source = world(600, seed=1)
    few = torch.where(torch.arange(600) < 60, truth, -1)
    unseen, _, unseen_truth, _ = world(2000, seed=2)
    alone = distil_votes(LABELS, "Calm", Lesson(summaries, torch.zeros(600, 3), few, source), CONFIG)
    taught = distil_votes(LABELS, "Calm", Lesson(summaries, posterior, few, source), CONFIG)
    assert loss_of(taught, unseen, unseen_truth) < loss_of(alone, unseen, unseen_truth) - 0.05
    assert taught.votes.keys() == {"Dancing", "Running"}
    assert np.isfinite(taught.held_out_loss)


def test_two_fits_are_the_same():
    summaries, posterior, truth, source = world(120, seed=3)
    lesson = Lesson(summaries, posterior, truth, source)
    first, again = (student_logits(distil_votes(LABELS, "Calm", lesson, CONFIG).votes, LABELS, summaries) for _ in "ab")
    assert torch.equal(first, again)


def test_one_source_has_nothing_to_hold_out():
    summaries, posterior, truth, _ = world(60, seed=4)
    made = distil_votes(LABELS, None, Lesson(summaries, posterior, truth, np.zeros(60)), CONFIG)
    assert np.isnan(made.held_out_loss)
    assert made.votes.keys() == set(LABELS)


def test_nothing_said_is_told():
    summaries, posterior, truth, source = world(10, seed=5)
    with pytest.raises(TrainingError, match="no window that a teacher answers"):
        distil_votes(LABELS, "Calm", Lesson(summaries, posterior * 0, truth * 0 - 1, source), CONFIG)
