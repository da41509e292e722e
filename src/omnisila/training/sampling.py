"""Balanced sampling: data set, then label, then footage, then window, each drawn evenly.

Drawing windows evenly would let the largest data set and the longest video decide; drawing labels evenly over all sets
would teach which set goes with which label.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from omnisila.errors import TrainingError


class Question(NamedTuple):
    """One window, the label set it is asked about, and its true label."""

    window: int
    labels: str
    label: str


class Batch(NamedTuple):
    """Drawn questions, side by side."""

    windows: Int[Tensor, "batch"]
    labels: tuple[str, ...]
    label: tuple[str, ...]


class BalancedSampler:
    """Draws questions.

    Args:
        set_weights: how often a data set is drawn with a label set, by (label set, data set), relative to the others;
            pairs without one are left out.

    Raises:
        TrainingError: nothing is left to draw.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        set_name: Sequence[str],
        group: Sequence[str],
        set_weights: Mapping[tuple[str, str], float],
    ) -> None:
        self.questions = questions
        tree: dict[tuple[str, str], dict[str, dict[str, list[int]]]] = {}
        for number, (question, data_set, footage) in enumerate(zip(questions, set_name, group, strict=True)):
            pair = (question.labels, data_set)
            if set_weights.get(pair, 0.0) > 0:
                tree.setdefault(pair, {}).setdefault(question.label, {}).setdefault(footage, []).append(number)
        if not tree:
            raise TrainingError("no training windows are left. Give data sets that set_weights names.")
        weights = np.array([set_weights[pair] for pair in tree])
        self.share = weights / weights.sum()
        self.branches = [
            [[np.array(windows) for windows in footage.values()] for footage in labels.values()]
            for labels in tree.values()
        ]

    def draw(self, count: int, random: torch.Generator) -> Batch:
        """So many questions, with repeats."""
        dice = np.random.default_rng(int(torch.randint(2**62, (), generator=random)))
        drawn: list[Question] = []
        for pair in dice.choice(len(self.branches), size=count, p=self.share):
            labels = self.branches[pair]
            footage = labels[dice.integers(len(labels))]
            windows = footage[dice.integers(len(footage))]
            drawn.append(self.questions[windows[dice.integers(len(windows))]])
        return Batch(
            torch.tensor([question.window for question in drawn]),
            tuple(question.labels for question in drawn),
            tuple(question.label for question in drawn),
        )


class LabelQuestions:
    """The labels of all label sets side by side, and where each drawn question's truth stands among them."""

    def __init__(self, trained: Mapping[str, Sequence[str]]) -> None:
        self.answers = list(dict.fromkeys(label for labels in trained.values() for label in labels))
        self._allowed = {
            name: torch.tensor([answer in labels for answer in self.answers]) for name, labels in trained.items()
        }

    def truth(self, drawn: Batch) -> Int[Tensor, "batch"]:
        return torch.tensor([self.answers.index(label) for label in drawn.label])

    def allowed_answers(self, drawn: Batch) -> Bool[Tensor, "batch answers"]:
        return torch.stack([self._allowed[name] for name in drawn.labels])
