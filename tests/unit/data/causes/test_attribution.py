"""Attribution: clauses say what the evidence shows, and nothing else."""

from collections.abc import Sequence

from omnisila.data.causes.attribution import MIN_OBJECT_SCORE, Clause, SceneSummary, clauses, clauses_for
from omnisila.data.instructions import clauses_of, render_clauses
from omnisila.labels import ANOMALY, BUILT_IN, EXPLICIT, IMPLICIT
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


def words_of(found: Sequence[Clause], scene: str) -> tuple[str, ...]:
    return tuple(clause.text for clause in found if clause.scene == scene)


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
    assert words_of(found, "relation") == ("a car", "a car moving fast")
    assert words_of(found, "action") == ("movement in much of the view",)
    assert words_of(found, "background") == ("a place with vehicles", "a dark view")
    answer = render_clauses([clause.text for clause in found])
    assert clauses_of(answer) == tuple(clause.text for clause in found)


def test_better_supported_clauses_come_first():
    objects = tuple(
        ObjectEvidence(time_s=t, track=0, name=name, score=0.9, box=box(0, 0, 0.1, 0.1))
        for name, count in (("knife", 1), ("backpack", 3))
        for t in range(count)
    )
    assert texts(Evidence(objects=objects)) == ["a backpack", "a place with goods", "a knife"]


def thing(name: str, time_s: float = 0.0, score: float = 0.9, left: float = 0.1) -> ObjectEvidence:
    return ObjectEvidence(time_s=time_s, track=1, name=name, box=box(left, 0.1, left + 0.1, 0.2), score=score)


def test_what_contradicts_a_label_or_says_nothing_of_it_is_no_cause():
    calm = clauses(
        Evidence(people=(person(0.0),), objects=(thing("chair"), thing("car"))), SceneSummary(0.01, 0.5, 0.0)
    )
    assert {"one person", "hardly any movement", "a chair", "a car"} <= {clause.text for clause in calm}
    assert clauses_for(calm, IMPLICIT, "Fighting") == ()
    assert [clause.text for clause in clauses_for(calm, IMPLICIT, "Traffic Accidents")] == ["a car"]
    wild = clauses(Evidence(people=(person(0.0, 0), person(0.0, 1))), SceneSummary(0.4, 0.5, 0.2))
    fighting = {clause.text for clause in clauses_for(wild, IMPLICIT, "Fighting")}
    assert fighting == {"two people", "movement in much of the view"}
    assert [clause.text for clause in clauses_for(wild, IMPLICIT, "Fire")] == ["flame-like colours"]


def test_a_vehicle_that_moves_fast_speaks_for_an_accident_and_an_airplane_does_not():
    for name, said in (("car", ["a car", "a car moving fast"]), ("airplane", []), ("train", [])):
        moving = tuple(thing(name, t / 2, left=0.1 + 0.3 * t) for t in range(2))
        found = clauses_for(clauses(Evidence(objects=moving)), ANOMALY, "Accident")
        assert sorted(clause.text for clause in found) == said


def test_things_that_were_hardly_recognised_are_not_named():
    unsure = MIN_OBJECT_SCORE - 0.01
    relation = TripletEvidence(time_s=0.0, subject="person", predicate="holding", object="knife", score=unsure,
                               subject_box=box(0, 0, 0.5, 0.5), object_box=box(0.2, 0.2, 0.6, 0.6))  # fmt: skip
    assert clauses(Evidence(objects=(thing("airplane", score=unsure),), triplets=(relation,))) == ()
    sure = clauses(Evidence(triplets=(relation.replace(score=MIN_OBJECT_SCORE),)))
    assert [clause.text for clause in clauses_for(sure, ANOMALY, "Robbery")] == ["a person holding a knife"]
    assert clauses_for(sure, ANOMALY, "Shoplifting") == ()


def test_a_sentiment_is_explained_by_faces_of_it():
    happy = FaceEvidence(time_s=0.0, box=box(0, 0, 0.5, 0.5), score=0.9, expressions={"happy": 0.9, "sad": 0.1})
    found = clauses(Evidence(faces=(happy,), people=(person(0.0),)), SceneSummary(0.3, 0.5, 0.0))
    assert [clause.text for clause in clauses_for(found, EXPLICIT, "positive")] == ["a happy face"]
    assert clauses_for(found, EXPLICIT, "negative") == ()


def test_every_label_that_may_be_found_says_what_speaks_for_it():
    for labels in BUILT_IN.values():
        if labels.quiet is not None:  # others give no findings
            assert set(labels.reportable) == set(labels.signs)
