"""The compact reaction model on a few drawn pictures: who is judged, what is scored, and what the card says."""

import numpy as np
import pytest
import torch

from omnisila.data.clips.compose_faces import Still
from omnisila.errors import DataSetError, TrainingError
from omnisila.labels import REACTION
from omnisila.models.reaction_run import load_reaction
from omnisila.recipes.compact_reaction import (
    CompactReaction,
    Faces,
    answers,
    faces_of,
    judged,
    shipped,
    trained,
    untrained,
)
from omnisila.recipes.compact_reaction_card import card
from omnisila.recipes.compact_reaction_measures import evidence, within_persons
from omnisila.scenes.reaction.fau import COLUMNS
from omnisila.training.composed_faces import ComposedClips, Drawn, StillFeatures

TINY = CompactReaction(parts=4, folds=2, seeds=1, clips_per_part=8, judged_per_part=6)
TINY = TINY.replace(training=TINY.training.replace(epochs=2))


@pytest.fixture
def faces():
    """Three pictures each of 16 people, whose features tell the truth in noise; Fear is shown by too few."""
    random = torch.Generator().manual_seed(0)
    reactions = [kind for _ in range(16) for kind in ("Amusement", "Surprise", None)]
    reactions[0] = "Fear"
    labels = ("Amusement", "Surprise")
    rows = torch.rand(48, len(COLUMNS), generator=random)
    own = torch.rand(48, 7, generator=random) / 2
    for place, reaction in enumerate(reactions):
        if reaction:
            rows[place, REACTION.labels.index(reaction)] = 1
            own[place, REACTION.labels.index(reaction)] += 0.5
    return Faces(
        stills=tuple(
            Still(place, f"person {place // 3}", kind if kind in labels else None)
            for place, kind in enumerate(reactions)
        ),
        emotions=tuple((kind or "neutral").lower() for kind in reactions),
        reactions=tuple(reactions),
        part_of=tuple(place // 3 % 4 for place in range(48)),
        features=StillFeatures({"fau": rows}, {"fau": (Drawn(20, 0.2, 0.8),)}),
        own_words=StillFeatures({"own": own}, {}),
        labels=labels,
        kinds={"fau": "expression_proxy"},
        left_out=5,
    )


def test_training_goes_on_with_the_same_pictures_features_alone(tmp_path, faces):
    trained(TINY, faces, range(4), 0, tmp_path)
    trained(TINY, faces, range(4), 0, tmp_path)
    values = {"fau": faces.features.values["fau"] + 1}
    with pytest.raises(TrainingError, match="other settings or data"):
        trained(TINY, faces._replace(features=faces.features._replace(values=values)), range(4), 0, tmp_path)
    with pytest.raises(TrainingError, match="other settings or data"):
        trained(TINY.replace(model=TINY.model.replace(activation="relu")), faces, range(4), 0, tmp_path)


def test_a_clip_is_of_people_of_its_own_part_alone(faces):
    seen = [
        {faces.stills[place].person for place in np.unique(np.r_[plan.calm.ravel(), plan.shown.ravel()])}
        for plan in (judged(TINY, faces, part) for part in range(4))
    ]
    assert all(not first & second for at, first in enumerate(seen) for second in seen[:at])


def test_what_a_still_does_not_tell_is_drawn_and_unseen_faces_are_masked(faces):
    plans = judged(TINY, faces, 0)
    clips = ComposedClips(faces.features, plans)
    batch = clips.batch(torch.arange(6))
    assert torch.equal(batch.masks["fau"], torch.from_numpy(plans.face))
    assert (batch.values["fau"][~batch.masks["fau"]] == 0).all()
    drawn = [values[mask] for values, mask in zip(batch.values["fau"][:, :, 20], batch.masks["fau"], strict=True)]
    assert all(len(one.unique()) == 1 and 0.2 <= one[0] <= 0.8 for one in drawn)
    assert len({float(one[0]) for one in drawn}) == 6
    again = clips.batch(torch.tensor([4]))
    assert torch.equal(again.values["fau"][0], batch.values["fau"][4])


@pytest.mark.parametrize("with_training", [True, False])
def test_only_trained_labels_are_scored_and_the_card_says_what_was_measured(faces, tmp_path, with_training):
    found = evidence(TINY, faces, tmp_path, lambda _: None, draws=20)
    assert {row.label for row in found.composed} == {"Amusement", "Surprise"}
    assert {row.label for row in found.stills if row.trained is None} == {"Fear"}
    record = shipped(TINY, faces, tmp_path, with_training)
    assert record.labels_scored == ("Amusement", "Surprise")
    run = load_reaction(tmp_path)
    assert run.record == record
    assert run.record.features == TINY.features
    plans = judged(TINY, faces, 1)
    said = answers(run.model, ComposedClips(faces.features, plans), 6)
    assert ((said >= 0) & (said <= 1)).all()
    if not with_training:
        happy, weight = faces.features.values["fau"][:, COLUMNS.index("happy")].clamp(0, 1), plans.weight[0]
        assert run.record.model == untrained(faces.labels)
        shown = weight * happy[plans.shown[0]].numpy() + (1 - weight) * happy[plans.calm[0]].numpy()
        assert said[0, 1] == pytest.approx(min(shown[plans.face[0]].mean(), 1), abs=1e-3)
        assert not said[:, [0, 2, 3, 4, 5]].any()
    text = card(TINY, faces, found)
    assert "Not scored, not reported: Adoration, Anxiety, Disgust, Empathic Pain, Fear." in text
    for wanted in (
        "Neither Hume-Reaction nor any video or sound",
        "Pearson",
        "Not measured",
        "5 without are left out",
        "bootstrap",
    ):
        assert wanted in text
    for row in (*found.composed, *found.stills):
        assert f"{row.untrained.value:.3f}" in text


def test_within_persons_does_not_reward_knowing_the_person():
    truth = np.array([True, False, True, False, False])
    person = np.array(["anna", "anna", "ben", "ben", "cora"])
    knows_anna = np.array([0.9, 0.9, 0.1, 0.2, 0.0])
    each = within_persons(truth, knows_anna, person)
    assert each[:2].tolist() == [0.5, 0.0]
    assert np.isnan(each[2])


def test_data_without_faces_are_refused(tmp_path):
    with pytest.raises(DataSetError, match=r"manifest\.csv: no such file"):
        faces_of(tmp_path, tmp_path / "features", TINY, lambda _: None)
