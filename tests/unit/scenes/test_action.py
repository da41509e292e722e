"""People and how they move: invariances of the pose features, identity over chunks, absence."""

import pytest
import torch

from omnisila.scenes.action import JOINT_NAMES, LAYOUT, MAX_PEOPLE, VIEW, ActionState, evidence
from omnisila.scenes.extractor import SceneStream
from omnisila.scenes.motion import MotionConfig
from omnisila.scenes.nets.nanodet import COCO_CLASSES
from omnisila.scenes.objects import PERSON, Track
from omnisila.scenes.sem import SceneEnrichedModeling

WIDTH = MotionConfig().width


def person(number: int, left: float, right: float = 0.0, size: float = 0.5) -> Track:
    box = torch.tensor([left, 0.3, left + size / 3, 0.3 + size])
    return Track(number, PERSON, box, torch.tensor([right, 0.0, right, 0.0]), 0.9, 0.0, 0)


def acted(
    sem: SceneEnrichedModeling,
    people: list[tuple[Track, ...]],
    state: ActionState | None = None,
    images: torch.Tensor | None = None,
    start_s: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor, ActionState]:
    """Action entities of frames without motion of the view, a quarter of a second apart."""
    count = len(people)
    images = torch.full((count, 120, 160, 3), 90, dtype=torch.uint8) if images is None else images
    times_s = [start_s + i / 4 for i in range(count)]
    still = torch.zeros(count, WIDTH), torch.zeros(count, dtype=torch.bool)
    return sem.extractors["action"](images, torch.arange(len(images)), times_s, people, *still, state or ActionState())


def test_no_people_and_no_motion_is_an_absent_scene(sem: SceneEnrichedModeling) -> None:
    values, mask, _ = acted(sem, [(), ()])
    assert not mask.any()
    assert values.abs().sum() == 0


def test_motion_of_the_view_is_one_more_entity(sem: SceneEnrichedModeling) -> None:
    images = torch.zeros(2, 120, 160, 3, dtype=torch.uint8)
    motion, moving = torch.ones(2, WIDTH), torch.tensor([True, False])
    values, mask, _ = sem.extractors["action"](
        images, torch.arange(2), [0.0, 0.25], [(), ()], motion, moving, ActionState()
    )
    assert mask[:, VIEW].tolist() == [True, False]
    assert LAYOUT.read(values[0, VIEW], "motion").tolist() == [1.0] * WIDTH
    assert values[1].abs().sum() == 0


def test_the_largest_five_people_stay_and_far_ones_are_left_out(sem: SceneEnrichedModeling) -> None:
    crowd = tuple(person(i, 0.1 * i, size=0.2 + 0.05 * i) for i in range(7))
    values, mask, _ = acted(sem, [(*crowd, person(9, 0.1, size=0.05))])
    assert int(mask.sum()) == MAX_PEOPLE
    assert LAYOUT.read(values[0, :MAX_PEOPLE], "track")[:, 0].tolist() == [6, 5, 4, 3, 2]


def test_neighbours_stand_so_many_heights_apart_and_close_in(sem: SceneEnrichedModeling) -> None:
    values, _, _ = acted(sem, [(person(0, 0.1, right=0.3), person(1, 0.55))])
    there, distance, approach, overlap = LAYOUT.read(values[0, 0], "neighbour").tolist()
    wide = 160 / 120  # frame widths in frame heights
    assert (there, overlap) == (1.0, 0.0)
    assert distance == pytest.approx(0.45 * wide / 0.5, rel=1e-4)
    assert approach == pytest.approx(0.3 * wide / 0.5, rel=1e-4)
    other = LAYOUT.read(values[0, 1], "neighbour")[2].item()
    assert other == pytest.approx(approach, rel=1e-4), "closing in is mutual"


def test_a_person_alone_has_no_neighbour(sem: SceneEnrichedModeling) -> None:
    values, _, _ = acted(sem, [(person(0, 0.4),)])
    there, distance, approach, overlap = LAYOUT.read(values[0, 0], "neighbour").tolist()
    assert (there, approach, overlap) == (0.0, 0.0, 0.0)
    assert distance > 1


def test_the_same_picture_twice_shows_a_tracked_person_at_rest(sem: SceneEnrichedModeling) -> None:
    values, _, _ = acted(sem, [(person(3, 0.4),)] * 2)
    first, second = (LAYOUT.read(values[i, 0], "dynamics") for i in (0, 1))
    assert first.tolist() == [0.0] * 6, "no earlier sample"
    assert second[0] == 1.0
    assert second[1:].abs().max() == 0
    assert LAYOUT.read(values[1, 0], "velocity").abs().max() == 0


def test_another_track_in_the_same_place_has_no_past(sem: SceneEnrichedModeling) -> None:
    values, _, _ = acted(sem, [(person(3, 0.4),), (person(4, 0.4),)])
    assert LAYOUT.read(values[1, 0], "dynamics")[0] == 0


def test_state_makes_two_calls_one(sem: SceneEnrichedModeling) -> None:
    images = torch.randint(0, 255, (4, 120, 160, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    people: list[tuple[Track, ...]] = [(person(0, 0.1 + 0.02 * i), person(1, 0.6)) for i in range(4)]
    whole, _, _ = acted(sem, people, images=images)
    head, _, state = acted(sem, people[:1], images=images[:1])
    tail, _, _ = acted(sem, people[1:], state, images[1:], start_s=0.25)
    torch.testing.assert_close(torch.cat([head, tail]), whole, atol=1e-3, rtol=1e-3)


def test_a_wrist_is_nearer_to_a_thing_at_hand_than_to_one_across_the_room(sem: SceneEnrichedModeling) -> None:
    def reach(box: list[float]) -> float:
        cup = Track(9, COCO_CLASSES.index("cup"), torch.tensor(box), torch.zeros(4), 0.9, 0.0, 0)
        values, _, _ = acted(sem, [(person(0, 0.4), cup)])
        *_, to_thing, any_thing = LAYOUT.read(values[0, 0], "hands").tolist()
        assert any_thing == 1.0
        return to_thing

    assert reach([0.46, 0.5, 0.5, 0.56]) < reach([0.9, 0.05, 0.95, 0.1])


def test_records_name_the_joints_in_frame_fractions(sem: SceneEnrichedModeling) -> None:
    values, mask, _ = acted(sem, [(person(3, 0.4),)])
    (record,) = evidence(SceneStream(1.0, 4.0, values.half(), mask))
    assert (record.track, record.time_s) == (3, 1.0)
    assert tuple(joint.name for joint in record.joints) == JOINT_NAMES
    assert record.joints[0].x_frac == pytest.approx(LAYOUT.read(values[0, 0], "joints")[0].item(), abs=1e-3)
