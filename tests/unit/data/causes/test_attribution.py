"""Attribution: clauses say what the evidence shows, and nothing else."""

from omnisila.data.causes.attribution import SceneSummary, clauses, scene_clauses
from omnisila.data.instructions import parse_clauses, render_clauses
from omnisila.schema import (
    Box,
    Evidence,
    FaceEvidence,
    JointEvidence,
    ObjectEvidence,
    PersonEvidence,
    TripletEvidence,
)

STANDING = {"nose": (0.5, 0.32), "left_shoulder": (0.48, 0.4), "left_hip": (0.48, 0.55), "right_hip": (0.52, 0.55),
            "left_wrist": (0.45, 0.55), "right_wrist": (0.55, 0.55)}  # fmt: skip


def box(left: float, top: float, right: float, bottom: float) -> Box:
    return Box(left_frac=left, top_frac=top, right_frac=right, bottom_frac=bottom)


def person(time_s: float, track: int = 0, at: Box | None = None, score: float = 0.9, **moved: tuple[float, float]):
    joints = {**STANDING, **moved}
    return PersonEvidence(
        time_s=time_s, track=track, box=at or box(0.4, 0.3, 0.6, 0.8), score=0.9,
        joints=tuple(
            JointEvidence(name=name, x_frac=x, y_frac=y, score=score)
            for name, (x, y) in joints.items()
        ),
    )  # fmt: skip


def texts(evidence: Evidence, summary: SceneSummary | None = None) -> list[str]:
    return [clause.text for clause in clauses(evidence, summary)]


def test_no_evidence_gives_no_clause():
    assert clauses(Evidence()) == ()


def test_calm_people_are_only_counted():
    people = tuple(person(t / 4, track) for t in range(4) for track in range(2))
    assert texts(Evidence(people=people)) == ["two people"]


def test_a_swung_arm_is_fast_and_a_raised_one_raised():
    swing = tuple(person(t / 4, left_wrist=(0.45 + 0.3 * (t % 2), 0.55)) for t in range(4))
    assert texts(Evidence(people=swing)) == ["one person", "a person moving the arms fast"]
    up = (person(0.0, right_wrist=(0.55, 0.1)),)
    assert texts(Evidence(people=up)) == ["a person with a raised arm", "one person"]


def test_joints_that_were_hardly_seen_say_nothing():
    swing = tuple(person(t / 4, score=0.1, left_wrist=(0.1 + 0.8 * (t % 2), 0.1)) for t in range(4))
    assert texts(Evidence(people=swing)) == ["one person"]


def test_samples_far_apart_tell_no_speed():
    jump = (person(0.0), person(2.0, at=box(0.0, 0.3, 0.2, 0.8), left_wrist=(0.9, 0.1)))
    assert "a person moving fast" not in texts(Evidence(people=jump))
    assert "a person moving the arms fast" not in texts(Evidence(people=jump))


def test_someone_running_and_someone_on_the_ground():
    run = tuple(person(t / 4, at=box(0.2 * t, 0.3, 0.2 * t + 0.2, 0.8)) for t in range(3))
    assert "a person moving fast" in texts(Evidence(people=run))
    flat = (person(0.0, at=box(0.2, 0.7, 0.7, 0.85), left_shoulder=(0.3, 0.8), left_hip=(0.5, 0.81)),)
    assert "a person on the ground" in texts(Evidence(people=flat))


def test_triplets_read_as_english():
    def triplet(subject: str, predicate: str, thing: str) -> TripletEvidence:
        return TripletEvidence(time_s=1.0, subject=subject, predicate=predicate, object=thing, score=0.9,
                               subject_box=box(0, 0, 0.5, 0.5), object_box=box(0.2, 0.2, 0.6, 0.6))  # fmt: skip

    evidence = Evidence(
        triplets=(triplet("person", "within reach of", "person"), triplet("person", "holding", "umbrella"),
                  triplet("bus", "touching", "bus")),
    )  # fmt: skip
    assert set(texts(evidence)) == {
        "two people within reach of each other", "a person holding an umbrella", "two buses touching each other"
    }  # fmt: skip


def test_faces_take_their_likeliest_expression_only_when_it_is_clear():
    def face(**expressions: float) -> FaceEvidence:
        return FaceEvidence(time_s=0.0, box=box(0, 0, 1, 1), score=1.0, expressions=expressions)

    assert texts(Evidence(faces=(face(angry=0.8, happy=0.2),))) == ["an angry face"]
    assert texts(Evidence(faces=(face(angry=0.4, happy=0.3, sad=0.3),))) == ["a face without a clear expression"]


def test_a_fast_vehicle_and_its_scene():
    cars = tuple(
        ObjectEvidence(time_s=t / 2, track=3, name="car", score=0.8, box=box(0.3 * t, 0.5, 0.3 * t + 0.2, 0.6))
        for t in range(3)
    )
    found = clauses(Evidence(objects=cars), SceneSummary(moving_frac=0.5, brightness=0.1))
    assert scene_clauses(found, "relation") == ("a car", "a car moving fast")
    assert scene_clauses(found, "action") == ("movement in much of the view",)
    assert scene_clauses(found, "background") == ("a place with vehicles", "a dark view")
    answer = render_clauses([clause.text for clause in found])
    assert parse_clauses(answer) == tuple(clause.text for clause in found)


def test_better_supported_clauses_come_first():
    objects = tuple(
        ObjectEvidence(time_s=t, track=0, name=name, score=0.9, box=box(0, 0, 0.1, 0.1))
        for name, count in (("knife", 1), ("backpack", 3))
        for t in range(count)
    )
    assert texts(Evidence(objects=objects)) == ["a backpack", "a place with goods", "a knife"]
