"""Votes of compact recipes: which speak for what kind of label, and how a recipe's are fitted."""

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from omnisila.data.clips.folds import footage_groups
from omnisila.labels import label_set
from omnisila.models.votes import LabelVotes
from omnisila.recipes.rows.compact import CompactTraining, Material
from omnisila.training.voting import VotingData, fit_votes, window_summaries

# What speaks for each kind of label on footage of cameras that were left out (decision D140).
VIOLENCE = ("motion", "motion+people+limbs", "jerk")
HANDLING = ("motion+people+limbs+pose", "jerk", "spread")
COLLISION = ("middle", "middle_peak", "relation", "jerk")
FLAMES = ("level", "peak", "middle", "middle_peak")
EXPRESSION = ("face",)


def fitted_votes(recipe: CompactTraining, material: Material, windows: Int[Tensor, "training"]) -> LabelVotes | None:
    """The recipe's votes, fitted on some windows; None where it has none.

    Raises:
        TrainingError: as ``fit_votes``.
    """
    if recipe.votes is None:
        return None
    votes = recipe.votes.build()
    fit_votes(votes, voting_data(recipe, material, windows, votes.reads), recipe.voting)
    return votes


def voting_data(
    recipe: CompactTraining, material: Material, windows: Int[Tensor, "training"], names: Sequence[str]
) -> VotingData:
    """Some windows with the named summaries, as votes are fitted on them."""
    groups, clip_of = footage_groups(material.clips), material.bank.clip[windows].tolist()
    label = {
        name: [
            material.clips[clip].label_over(name, material.bank.span(window))
            for window, clip in zip(windows.tolist(), clip_of, strict=True)
        ]
        for name in recipe.labels
    }
    return VotingData(
        window_summaries(material.bank, windows, names),
        label,
        {name: label_set(name).quiet for name in recipe.labels},
        [material.clips[clip].set_name for clip in clip_of],
        [groups[clip] for clip in clip_of],
        [material.clips[clip].is_still for clip in clip_of],
    )
