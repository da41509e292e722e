"""Recipes on a part of their data sets: only what the clips teach is left, and all of it where all are there."""

import pytest

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import TrainingError
from omnisila.recipes.rows.compact import restrict_to_taught
from omnisila.recipes.rows.hawkeye import CompactHawkeye
from omnisila.recipes.rows.icm import CompactICM
from omnisila.recipes.studies.measures import questions_on
from omnisila.schema import Span, Truth


def clip(set_name: str, label: str, labels: str = "implicit", events: tuple[Span, ...] | None = None) -> AnnotatedVideo:
    return AnnotatedVideo(
        set_name=set_name, path=f"{set_name}/{label}.mp4", labels={labels: label}, sources=(set_name,), is_still=False,
        truth=None if events is None else tuple(Truth(span=span, label=label) for span in events),
        throughout=events is None, id=label,
    )  # fmt: skip


def test_labels_of_missing_sets_are_not_taught_nor_asked_about() -> None:
    recipe = restrict_to_taught(
        CompactICM(), [clip("fight_surv", "Fighting"), clip("fight_surv", "Normal"), clip("activitynet", "Normal")]
    )
    assert recipe.labels == {"implicit": ("Fighting", "Normal")}
    assert recipe.sets == ("fight_surv",)  # no weight for the other
    assert recipe.votes is not None
    assert set(recipe.votes.votes) == {"Fighting"}
    assert [(question.set_name, question.label) for question in questions_on(recipe)] == [("fight_surv", "Fighting")]
    crashes = clip("accident_seq", "Traffic Accidents", events=(Span(start_s=0, end_s=1),))
    assert restrict_to_taught(CompactICM(), [crashes]).labels == {"implicit": ("Traffic Accidents", "Normal")}
    with pytest.raises(TrainingError, match="data sets misc_demo do not teach two labels of any of implicit, explicit"):
        restrict_to_taught(CompactICM(), [clip("misc_demo", "Normal")])


def test_a_recipe_with_all_its_sets_stays_as_it_is() -> None:
    for recipe in (CompactICM(), CompactHawkeye()):
        clips = [
            clip(name, label, labels)
            for labels, sets in recipe.set_weights.items()
            for name in sets
            for label in recipe.labels[labels]
        ]
        assert restrict_to_taught(recipe, clips) == recipe
