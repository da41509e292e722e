"""Joined clips: true event times, and nothing mixed between sets."""

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.compose import join_clips, plan_joins
from omnisila.schema import Span, Truth


def clip(path: str, label: str, set_name: str = "a", events: tuple[Span, ...] | None = None) -> AnnotatedVideo:
    return AnnotatedVideo(id=path, set_name=set_name, path=path, labels={"implicit": label}, sources=(path,),
                          throughout=events is None, truth=None if events is None else
                          tuple(Truth(span=span, label=label) for span in events))  # fmt: skip


def test_touching_events_of_one_label_are_one_event_and_partial_seconds_are_cut():
    row = [clip("n", "Normal"), clip("f", "Fighting"), clip("g", "Fighting"), clip("n2", "Normal"), clip("h", "Fire")]
    join = join_clips("j", row, {"n": 2.9, "f": 2.08, "g": 3.0, "n2": 1.0, "h": 2.5}, "implicit")
    assert join.duration_s == 10
    assert [(one.label, one.span.start_s, one.span.end_s) for one in join.truth] == [
        ("Fighting", 2, 7),
        ("Fire", 8, 10),
    ]


def test_events_inside_a_clip_move_with_it():
    crash = clip("c", "Traffic Accidents", events=(Span(start_s=0.5, end_s=1.5), Span(start_s=1.75, end_s=9)))
    join = join_clips("j", [clip("n", "Normal"), crash], {"n": 3.0, "c": 2.5}, "implicit")
    assert [(one.span.start_s, one.span.end_s) for one in join.truth] == [(3.5, 4.5), (4.75, 5.0)]


def test_plans_alternate_within_one_set_and_repeat_exactly():
    clips = [clip(f"{s}{label}{i}", label, s) for s in "ab" for label in ("Normal", "Fighting") for i in range(4)]
    clips.append(clip("lonely", "Fire", "c"))
    durations_s = {one.path: 2.0 for one in clips}
    joins = plan_joins(clips, durations_s, count=3, events=2)
    assert joins == plan_joins(clips, durations_s, count=3, events=2)
    assert len(joins) == 6
    for join in joins:
        assert len({part.clip.set_name for part in join.parts}) == 1
        assert len(join.truth) == 2
        assert join.parts[0].clip.labels["implicit"] == join.parts[-1].clip.labels["implicit"] == "Normal"
