"""Tracking: identity through motion and short losses, prediction between detections, rows and records agree."""

import pytest
import torch

from omnisila.scenes.extractor import SceneStream
from omnisila.scenes.nets.nanodet import COCO_CLASSES, Detections
from omnisila.scenes.objects import (
    LAYOUT,
    PERSON,
    ObjectsConfig,
    Track,
    TrackerState,
    evidence,
    follow_tracks,
    track_vectors,
)

CAR, CUP = COCO_CLASSES.index("car"), COCO_CLASSES.index("cup")


def found(*objects: tuple[int, list[float]]) -> Detections:
    return Detections(
        torch.tensor([box for _, box in objects]).reshape(-1, 4),
        torch.full((len(objects),), 0.8),
        torch.tensor([number for number, _ in objects], dtype=torch.long),
    )


def person(left: float, width: float = 0.1) -> tuple[int, list[float]]:
    return PERSON, [left, 0.3, left + width, 0.7]


def test_people_who_walk_past_each_other_keep_their_numbers() -> None:
    config, state = ObjectsConfig(), TrackerState()
    first: dict[float, int] = {}
    for step in range(9):
        right, left = 0.1 + 0.05 * step, 0.75 - 0.05 * step
        low = (PERSON, [left, 0.55, left + 0.1, 0.95])
        state = follow_tracks(state, found(person(right), low), step / 2, config)
        numbers = {float(track.box[1]): track.number for track in state.tracks}
        first = first or numbers
        assert numbers == first


def test_velocity_carries_a_box_between_detections() -> None:
    config = ObjectsConfig()
    state = follow_tracks(TrackerState(), found(person(0.1)), 0.0, config)
    state = follow_tracks(state, found(person(0.15)), 0.5, config)
    (track,) = state.tracks
    assert track.at(0.75)[0].item() == pytest.approx(0.175, abs=1e-6)
    assert track.at(9.0)[0].item() == pytest.approx(0.2, abs=1e-6), "carried on for half a second at most"


def test_a_missed_detection_keeps_the_number_and_a_long_absence_ends_the_track() -> None:
    config = ObjectsConfig(max_misses=2)
    for missed, same in ((1, True), (2, True), (3, False)):
        state = follow_tracks(TrackerState(), found(person(0.4)), 0.0, config)
        for step in range(missed):
            state = follow_tracks(state, found(), (step + 1) / 2, config)
        state = follow_tracks(state, found(person(0.4)), (missed + 1) / 2, config)
        assert (state.tracks[0].number == 0) is same, missed


def test_a_class_never_takes_over_the_track_of_another() -> None:
    state = follow_tracks(TrackerState(), found(person(0.4)), 0.0, ObjectsConfig())
    state = follow_tracks(state, found((CAR, person(0.4)[1])), 0.5, ObjectsConfig())
    assert {(track.class_index, track.number) for track in state.tracks} == {(PERSON, 0), (CAR, 1)}


def test_records_say_what_the_rows_hold_and_leave_people_to_their_own() -> None:
    cup = Track(7, CUP, torch.tensor([0.25, 0.5, 0.5, 0.75]), torch.zeros(4), 0.5, 0.0, 0)
    values, mask = track_vectors([(cup, cup._replace(number=8, class_index=PERSON)), ()], LAYOUT, 12)
    assert values.shape == (2, 12, LAYOUT.width)
    (record,) = evidence(SceneStream(3.0, 2.0, values.half(), mask))
    assert (record.name, record.track, record.time_s, record.score) == ("cup", 7, 3.0, 0.5)
    assert (record.box.left_frac, record.box.bottom_frac) == (0.25, 0.75)
