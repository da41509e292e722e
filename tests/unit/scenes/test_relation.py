"""Predicates: each holds in the drawn situation it names, and is stated once."""

import torch

from omnisila.scenes.extractor import SceneStream
from omnisila.scenes.nets.nanodet import COCO_CLASSES
from omnisila.scenes.objects import Track
from omnisila.scenes.relation import LAYOUT, PREDICATES, RelationConfig, evidence


def track(name: str, box: tuple[float, float, float, float], number: int = 0, right: float = 0.0) -> Track:
    """An object at a place, moving to the right by so many frame widths a second."""
    velocity = torch.tensor([right, 0.0, right, 0.0])
    return Track(number, COCO_CLASSES.index(name), torch.tensor(box), velocity, 0.9, 0.0, 0)


def said(*tracks: Track) -> list[tuple[str, str, str]]:
    values, mask = RelationConfig().build()([tracks])
    return [(r.subject, r.predicate, r.object) for r in evidence(SceneStream(0.0, 2.0, values, mask))]


PERSON = track("person", (0.3, 0.2, 0.5, 0.8))


def test_a_small_thing_within_a_person_is_held() -> None:
    assert said(PERSON, track("handbag", (0.44, 0.5, 0.5, 0.6), 1)) == [("person", "holding", "handbag")]


def test_a_bicycle_under_a_person_is_ridden() -> None:
    assert said(PERSON, track("bicycle", (0.25, 0.5, 0.55, 0.9), 1))[0] == ("person", "riding", "bicycle")


def test_a_chair_under_a_person_is_sat_on() -> None:
    assert said(PERSON, track("chair", (0.3, 0.55, 0.5, 0.9), 1))[0] == ("person", "on", "chair")


def test_overlapping_people_touch_and_it_is_said_once() -> None:
    assert said(PERSON, track("person", (0.45, 0.2, 0.65, 0.8), 1)) == [("person", "touching", "person")]


def test_closing_in_and_moving_away_are_told_apart() -> None:
    still = track("person", (0.7, 0.2, 0.9, 0.8), 1)
    coming, leaving = (track("person", (0.3, 0.2, 0.5, 0.8), 0, right=speed) for speed in (0.5, -0.5))
    assert ("person", "moving towards", "person") in said(coming, still)
    assert ("person", "moving away from", "person") in said(leaving, still)


def test_distance_alone_is_reach_then_nearness_then_nothing() -> None:
    places = {0.1: "within reach of", 0.3: "near", 0.65: None}  # gaps in frame widths; people are 0.6 high
    for gap, predicate in places.items():
        left = (0.0, 0.2, 0.1, 0.8)
        right = (0.1 + gap, 0.2, 0.2 + gap, 0.8)
        triplets = said(track("person", left), track("person", right, 1))
        assert triplets == ([("person", predicate, "person")] if predicate else []), gap


def test_at_most_five_triplets_and_the_most_telling_stay() -> None:
    crowd = [track("person", (0.1 * i, 0.2, 0.1 * i + 0.09, 0.8), i) for i in range(6)]
    triplets = said(*crowd, track("knife", (0.42, 0.5, 0.46, 0.6), 9))
    assert len(triplets) == 5
    assert triplets[0] == ("person", "holding", "knife")


def test_one_object_or_none_has_no_relation() -> None:
    assert said() == []
    assert said(PERSON) == []


def test_a_triplets_features_are_one_hot() -> None:
    values, mask = RelationConfig().build()([(PERSON, track("handbag", (0.44, 0.5, 0.5, 0.6), 1))])
    row = values[mask][0]
    for name in ("subject", "predicate", "object"):
        assert LAYOUT.read(row, name).sum().item() == 1.0
    assert LAYOUT.read(row, "predicate").argmax().item() == PREDICATES.index("holding")
