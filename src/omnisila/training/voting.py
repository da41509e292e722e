"""Fitting votes: a label against calm of its own data sets, and with less weight against the calm of all others.

A clip speaks only for the labels that its data set knows: fights are told from the calm of the same cameras, so that
the classifier cannot pass by knowing the camera. Calm footage of other sets keeps it from calling every new look an
event (decision D140).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from torch import Tensor

from omnisila.config import Config
from omnisila.errors import TrainingError
from omnisila.models.votes import LabelVote, LabelVotes, Summaries, Vote
from omnisila.scenes.summaries import LOOKS, summaries
from omnisila.training.bank import FeatureBank

BATCH = 256  # windows


class VotingConfig(Config):
    """How votes are fitted.

    Attributes:
        strength: inverse strength C of the L2 penalty by vote; ``weak`` for votes that it does not name.
        weak: for summaries of thousands of numbers.
        others: total weight of the calm windows of other data sets, relative to a label's own sets.
        folds: inner folds whose held-out votes calibrate a label; 0 leaves it uncalibrated.
    """

    strength: dict[str, float] = Field(
        default_factory=lambda: {
            "motion": 3e-2,
            "motion+people+limbs": 0.1,
            "motion+people+limbs+pose": 3e-2,
            "relation": 1e-2,
        }
    )
    weak: float = Field(default=3e-3, gt=0)
    others: float = Field(default=0.3, ge=0)
    folds: int = Field(default=4, ge=0)


class VotingData:
    """The windows that votes are fitted on.

    Args:
        summaries: of every window.
        label: what each window shows, by label set; None where its data set cannot say.
        quiet: label set -> its quiet label.
        is_still: pictures, which show no change.
    """

    def __init__(
        self,
        summaries: Summaries,
        label: Mapping[str, Sequence[str | None] | np.ndarray],
        quiet: Mapping[str, str | None],
        set_name: Sequence[str] | np.ndarray,
        group: Sequence[str] | np.ndarray,
        is_still: Sequence[bool] | np.ndarray,
    ) -> None:
        self.summaries, self.quiet = summaries, quiet
        self.label = {name: np.array([word or "" for word in words]) for name, words in label.items()}
        self.set_name, self.group = np.array(set_name), np.array(group)
        self.is_still = np.array(is_still, dtype=bool)

    def at(self, chosen: Int[np.ndarray, "chosen"]) -> "VotingData":
        places = torch.from_numpy(chosen)
        return VotingData(
            {name: values[places] for name, values in self.summaries.items()},
            {name: words[chosen] for name, words in self.label.items()},
            self.quiet,
            self.set_name[chosen],
            self.group[chosen],
            self.is_still[chosen],
        )


def window_summaries(bank: FeatureBank, windows: Int[Tensor, "windows"], names: Sequence[str]) -> dict[str, Tensor]:
    batches = (bank.batch(some) for some in windows.split(BATCH))
    parts = [summaries(batch.scenes, batch.visual, names) for batch in batches]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


@torch.no_grad()
def fit_votes(votes: LabelVotes, data: VotingData, config: VotingConfig) -> None:
    """Fit every label's votes, and calibrate them on inner folds of its own data sets.

    Args:
        votes: changed in place.

    Raises:
        TrainingError: no window shows a label, or none of its data sets shows calm.
    """
    for label, vote in votes.by_label.items():
        rows = LabelRows.of(data, label, vote.reads, config.others)
        own = np.flatnonzero(rows.is_own)
        groups = len(set(rows.group[own]))
        if config.folds and groups > 1:
            held_out = np.zeros(len(rows.places))
            for _, unseen in GroupKFold(min(config.folds, groups)).split(own, groups=rows.group[own]):
                known = np.setdiff1d(np.arange(len(rows.places)), own[unseen])
                if rows.is_event[known].all() or not rows.is_event[known].any():
                    continue  # one camera holds all events, or all calm: nothing to tell apart without it
                _fit(vote, data.summaries, rows, known, config)
                seen = _at(data.summaries, vote.reads, rows.places[own[unseen]])
                held_out[own[unseen]] = vote.mean_vote(seen).numpy()
            vote.offset.fill_(_balanced_offset(held_out[own], rows.is_event[own]))
        _fit(vote, data.summaries, rows, np.arange(len(rows.places)), config)


class LabelRows(NamedTuple):
    """The windows that speak for one label: those of its own data sets, then the calm of others."""

    places: Int[np.ndarray, "rows"]
    is_event: Bool[np.ndarray, "rows"]
    is_own: Bool[np.ndarray, "rows"]
    set_name: np.ndarray
    group: np.ndarray
    others: float

    @classmethod
    def of(cls, data: VotingData, label: str, reads: Sequence[str], others: float) -> "LabelRows":
        names = [name for name, words in data.label.items() if (words == label).any()]
        if not names:
            raise TrainingError(f"votes on {label}: no training window shows it. Leave the label out.")
        name = names[0]
        words = data.label[name]
        usable = ~data.is_still if LOOKS.keys().isdisjoint(reads) else np.ones(len(words), dtype=bool)
        event, calm = usable & (words == label), usable & (words == data.quiet[name])
        if not event.any():
            raise TrainingError(f"votes on {label}: pictures alone show it, and they do not move. Add clips of it.")
        own = np.isin(data.set_name, np.unique(data.set_name[event]))
        if not (own & calm).any():
            raise TrainingError(
                f"votes on {label}: its data sets {', '.join(np.unique(data.set_name[event]))} show no calm. "
                "Add calm footage of the same cameras, or leave the label out."
            )
        places = np.flatnonzero(event | calm if others else event | (own & calm))
        return cls(places, event[places], own[places], data.set_name[places], data.group[places], others)

    def weights(self, chosen: Int[np.ndarray, "chosen"]) -> Float[np.ndarray, "chosen"]:
        """Events and calm of the label's own sets weigh the same; the other sets share ``others`` evenly.

        Of its own sets each counts by its footage, not by its windows: one long video is one camera.
        """
        is_event, is_own = self.is_event[chosen], self.is_own[chosen]
        set_name, group = self.set_name[chosen], self.group[chosen]
        weights, count = np.zeros(len(chosen)), is_own.sum()
        for kind in (is_own & is_event, is_own & ~is_event):
            weights[kind] = 0.5 * count * _shares(set_name[kind], group[kind])
        weights[~is_own] = self.others * count * _shares(set_name[~is_own], set_name[~is_own])
        return weights


def _balanced_offset(votes: Float[np.ndarray, "windows"], is_event: Bool[np.ndarray, "windows"]) -> float:
    """The likeliest offset of log-odds where events and calm weigh the same."""
    weights = np.where(is_event, 0.5 / max(is_event.sum(), 1), 0.5 / max((~is_event).sum(), 1))
    # at log-odds of 50 doubles hold no doubt
    return cast("float", brentq(lambda offset: (weights * expit(votes + offset)).sum() - 0.5, -50.0, 50.0))


def _shares(
    set_name: Shaped[np.ndarray, "windows"], unit: Shaped[np.ndarray, "windows"]
) -> Float[np.ndarray, "windows"]:
    """Weights that sum to 1: data sets by their number of different units, windows evenly within each."""
    shares = np.zeros(len(set_name))
    for name in np.unique(set_name):
        mine = set_name == name
        shares[mine] = len(np.unique(unit[mine])) / mine.sum()
    return shares / max(shares.sum(), 1e-12)


def _at(summaries: Summaries, names: Sequence[str], places: Int[np.ndarray, "rows"]) -> dict[str, Tensor]:
    return {name: summaries[name][torch.from_numpy(places)] for name in names}


def _fit(
    label_vote: LabelVote,
    summaries: Summaries,
    rows: LabelRows,
    chosen: Int[np.ndarray, "chosen"],
    config: VotingConfig,
) -> None:
    """Fit each summary's vote on some of the rows."""
    weights = rows.weights(chosen)
    for name, vote in label_vote.votes.items():
        assert isinstance(vote, Vote)
        values = vote.join(_at(summaries, vote.reads, rows.places[chosen]))
        vote.fit_standardisation(values)
        line = LogisticRegression(C=config.strength.get(name, config.weak), max_iter=500)
        line.fit(vote.standardise(values).numpy(), rows.is_event[chosen], sample_weight=weights)
        vote.weight.copy_(torch.from_numpy(np.asarray(line.coef_)[0]))
        vote.bias.fill_(float(np.asarray(line.intercept_)[0]))
