"""Clips composed of still faces: what they claim to show is what they show, of the people that were given."""

import numpy as np
import pytest

from omnisila.data.clips.compose_faces import FRAMES, ComposeConfig, Still, composed
from omnisila.errors import DataSetError

LABELS = ("Amusement", "Fear", "Surprise")
STILLS = [
    Still(10, "anna", "Amusement"),
    Still(11, "anna", None),
    Still(12, "ben", None),
    Still(13, "ben", None),
    Still(14, "cora", "Surprise"),
]


def test_the_target_is_the_share_of_the_seen_frames_with_the_expression():
    clips = composed(STILLS, LABELS, 200, ComposeConfig(), seed=0)
    assert clips.calm.shape == (200, FRAMES)
    share = np.array([weight[face].mean() for weight, face in zip(clips.weight, clips.face, strict=True)])
    assert np.allclose(clips.truth.sum(axis=1), share)
    assert ((clips.truth > 0).sum(axis=1) <= 1).all()
    assert clips.face.any(axis=1).all()
    assert not clips.face.all()
    assert set(np.unique(clips.weight)) == {0.0, 0.5, 1.0}
    by_place = {still.place: still for still in STILLS}
    for shown, truth, person in zip(clips.shown, clips.truth, clips.person, strict=True):
        assert {by_place[place].person for place in shown.tolist()} == {person}
        if truth.any():
            assert {by_place[place].label for place in shown.tolist()} == {LABELS[int(truth.argmax())]}


def test_calm_frames_are_of_the_same_person_where_there_are_any():
    clips = composed(STILLS, LABELS, 200, ComposeConfig(calm_frac=0.0), seed=1)
    for calm, person in zip(clips.calm, clips.person, strict=True):
        assert set(calm.tolist()) <= ({11} if person == "anna" else {11, 12, 13})


def test_the_same_seed_gives_the_same_clips_and_another_one_others():
    first, again, other = (composed(STILLS, LABELS, 20, ComposeConfig(), seed) for seed in (3, 3, 4))
    assert (first.calm == again.calm).all()
    assert (first.truth == again.truth).all()
    assert not (first.truth == other.truth).all()


def test_nothing_to_compose_is_named():
    with pytest.raises(DataSetError, match="0 expressions of persons and 1 persons"):
        composed(STILLS[2:4], LABELS, 1, ComposeConfig(), seed=0)
