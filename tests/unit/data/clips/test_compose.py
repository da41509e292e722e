"""Joined clips: true event times, nothing mixed between sets, and a real file that plays them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from omnisila.data.clips.clip import Clip
from omnisila.data.clips.compose import joined, planned_joins, write_join
from omnisila.media.video import VideoReader
from omnisila.schema import Span


def clip(path: str, label: str, set_name: str = "a", events: tuple[Span, ...] | None = None) -> Clip:
    return Clip(set_name=set_name, path=path, labels={"implicit": label}, events=events, sources=(path,),
                is_still=False, licence="CC0")  # fmt: skip


def test_touching_events_of_one_label_are_one_event_and_partial_seconds_are_cut():
    row = [clip("n", "Normal"), clip("f", "Fighting"), clip("g", "Fighting"), clip("n2", "Normal"), clip("h", "Fire")]
    join = joined("j", row, {"n": 2.9, "f": 2.08, "g": 3.0, "n2": 1.0, "h": 2.5}, "implicit")
    assert join.duration_s == 10
    assert [(one.label, one.span.start_s, one.span.end_s) for one in join.truth] == [
        ("Fighting", 2, 7),
        ("Fire", 8, 10),
    ]


def test_events_inside_a_clip_move_with_it():
    crash = clip("c", "Traffic Accidents", events=(Span(start_s=0.5, end_s=1.5), Span(start_s=1.75, end_s=9)))
    join = joined("j", [clip("n", "Normal"), crash], {"n": 3.0, "c": 2.5}, "implicit")
    assert [(one.span.start_s, one.span.end_s) for one in join.truth] == [(3.5, 4.5), (4.75, 5.0)]


def test_plans_alternate_within_one_set_and_repeat_exactly():
    clips = [clip(f"{s}{label}{i}", label, s) for s in "ab" for label in ("Normal", "Fighting") for i in range(4)]
    clips.append(clip("lonely", "Fire", "c"))
    durations_s = {one.path: 2.0 for one in clips}
    joins = planned_joins(clips, durations_s, count=3, events=2)
    assert joins == planned_joins(clips, durations_s, count=3, events=2)
    assert len(joins) == 6
    for join in joins:
        assert len({part.clip.set_name for part in join.parts}) == 1
        assert len(join.truth) == 2
        assert join.parts[0].clip.labels["implicit"] == join.parts[-1].clip.labels["implicit"] == "Normal"


def test_a_join_becomes_a_real_video(
    make_video: Callable[..., Path], tmp_path: Path, frame_level: Callable[[int], int]
):
    make_video("a.mp4", frames=30, width_px=64, height_px=48)
    make_video("b.mp4", frames=26, width_px=48, height_px=64)
    join = joined("j", [clip("a.mp4", "Normal"), clip("b.mp4", "Fighting")], {"a.mp4": 2.5, "b.mp4": 2.2}, "implicit")
    path = tmp_path / "out/join.mp4"
    write_join(join, tmp_path, path, width_px=128, height_px=96)
    reader = VideoReader(path)
    frames = list(reader)
    assert reader.info.duration_s == pytest.approx(4.0, abs=0.1)
    assert len(frames) == 48
    assert float(frames[30].image[48, 64].float().mean()) == pytest.approx(frame_level(6), abs=8)
    assert float(frames[30].image[48, 4].float().mean()) < 20  # the bar beside a clip that stands upright
