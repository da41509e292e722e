"""Votes: how much each summary of a window speaks for a label against calm of the same look.

An ensemble of strongly regularised linear classifiers, each on one summary or several side by side. On the small data
of the compact models it holds on cameras that were never seen, where a language model's likelihoods do not (decision
D140): the label's odds are the votes' mean, calibrated, and the language side says the rest.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.layers import SMALLEST_DEVIATION
from omnisila.scenes.summaries import LOOKS, SUMMARIES

Summaries = Mapping[str, Float[Tensor, "batch _"]]
JOIN = "+"
LIMIT = 6.0  # of a standardised feature in deviations, and of one vote in nats: no outlier decides alone


class Vote(nn.Module):
    """Log-odds of one label. Fitted as a convex problem, so its numbers are buffers: no optimiser moves them.

    Args:
        name: the summaries that it reads side by side, with plus signs between them.
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.reads = tuple(name.split(JOIN))
        width = sum(SUMMARIES[summary] for summary in self.reads)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.register_buffer("weight", torch.zeros(width))
        self.register_buffer("bias", torch.zeros(()))

    def join(self, summary: Summaries) -> Float[Tensor, "batch width"]:
        return torch.cat([summary[name] for name in self.reads], 1)

    def fit_standardisation(self, values: Float[Tensor, "windows width"]) -> None:
        """Mean and deviation of the training windows; what never changes keeps its size."""
        deviation, mean = torch.std_mean(values.double(), 0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.where(deviation > SMALLEST_DEVIATION, 1.0))

    def standardise(self, values: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """In deviations from the training windows' mean, outliers cut."""
        return ((values - self.mean) / self.deviation).clamp(-LIMIT, LIMIT)

    def forward(self, summary: Summaries) -> Float[Tensor, "batch"]:
        return (self.standardise(self.join(summary)) @ self.weight + self.bias).clamp(-LIMIT, LIMIT)


class LabelVote(nn.Module):
    """A label's log-odds against the quiet label: the mean of its summaries' votes, calibrated.

    Args:
        agree: where events are located, the least vote counts in place of the mean.
    """

    offset: Tensor

    def __init__(self, votes: Sequence[str], agree: bool = False) -> None:
        super().__init__()
        self.agree = agree
        self.votes = nn.ModuleDict({name: Vote(name) for name in votes})
        self.register_buffer("offset", torch.zeros(()))

    @property
    def reads(self) -> tuple[str, ...]:
        """The summaries that any of its votes reads."""
        return tuple(dict.fromkeys(name for vote in self.votes.values() for name in cast("Vote", vote).reads))

    def mean_vote(self, summary: Summaries) -> Float[Tensor, "batch"]:
        """Before calibration."""
        return torch.stack([vote(summary) for vote in self.votes.values()]).mean(0)

    def forward(self, summary: Summaries, locating: bool = False) -> Float[Tensor, "batch"]:
        if locating and self.agree:
            return torch.stack([vote(summary) for vote in self.votes.values()]).amin(0) + self.offset
        return self.mean_vote(summary) + self.offset


class LabelVotes(nn.Module):
    """The labels that are voted on.

    Args:
        language_weight: of the language model's log-likelihoods beside the votes.
    """

    def __init__(self, labels: Mapping[str, LabelVote], language_weight: float) -> None:
        super().__init__()
        self.labels = nn.ModuleDict(dict(labels))
        self.language_weight = language_weight

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for vote in self.by_label.values() for name in vote.reads))

    @property
    def by_label(self) -> dict[str, LabelVote]:
        return cast("dict[str, LabelVote]", dict(self.labels.items()))

    def weigh(
        self,
        log_probs: Float[Tensor, "batch answers"],
        answers: Sequence[str],
        summary: Summaries,
        locating: bool = False,
    ) -> Float[Tensor, "batch answers"]:
        """Log-likelihoods of a label set's answers with the votes in them; as they came where no answer is voted on.

        An answer that is not voted on, above all the quiet label, has odds of 0 nats.

        Args:
            log_probs: what the language side says.
            locating: whether events are looked for, and not what a given stretch shows.
        """
        votes = self.by_label
        if not any(answer in votes for answer in answers):
            return log_probs
        odds = torch.stack(
            [votes[a](summary, locating) if a in votes else log_probs.new_zeros(len(log_probs)) for a in answers], 1
        )
        return (self.language_weight * log_probs.log_softmax(-1) + odds).log_softmax(-1)


class VotesConfig(Config):
    """What is voted on.

    Attributes:
        votes: label -> its votes, each named by the summaries (``scenes.summaries.SUMMARIES``) that it reads side by
            side, with plus signs between them.
        agree: labels of which a finding needs all votes: where events are located, the least vote counts in place of
            the mean (decision D221).
        averaged: labels whose log-odds are averaged into the anomaly curve (decision D267).
        language_weight: of the language model's log-likelihoods of the same labels beside the votes.
    """

    votes: dict[str, tuple[str, ...]]
    agree: tuple[str, ...] = ()
    averaged: tuple[str, ...] = ()
    language_weight: float = 0.0

    @property
    def acts(self) -> tuple[str, ...]:
        """The labels that no vote reads a look for."""
        return tuple(
            label for label, names in self.votes.items() if LOOKS.keys().isdisjoint(JOIN.join(names).split(JOIN))
        )

    def build(self) -> LabelVotes:
        labels = {label: LabelVote(names, label in self.agree) for label, names in self.votes.items()}
        return LabelVotes(labels, self.language_weight)
