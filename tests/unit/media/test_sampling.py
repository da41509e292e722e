"""Which times are looked at, and which frame each time shows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnisila.media.frames import Frame
from omnisila.media.sampling import at_rate, frames_at, uniform_times, window_starts


def numbered(times_s):
    return [Frame(time_s, torch.full((2, 2, 3), index, dtype=torch.uint8)) for index, time_s in enumerate(times_s)]


def indices(frames):
    return [int(frame.image[0, 0, 0]) for frame in frames]


def test_at_rate_holds_the_last_frame_at_or_before_each_time():
    sampled = list(at_rate(numbered([0.0, 0.4, 0.5, 1.2]), 4, end_s=2.0))
    assert [frame.time_s for frame in sampled] == [k / 4 for k in range(8)]
    assert indices(sampled) == [0, 0, 2, 2, 2, 3, 3, 3]


def test_at_rate_takes_its_end_from_the_last_interval():
    assert len(list(at_rate(numbered([0.0, 0.5, 1.0]), 4))) == 6
    assert len(list(at_rate(numbered([0.0]), 4))) == 1
    assert list(at_rate([], 4)) == []


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    st.sampled_from([0.5, 1.0, 3.0, 4.0, 12.0, 29.97]),
)
def test_at_rate_agrees_with_a_search_over_all_frames(gaps_ms, rate_hz):
    times_s = [sum(gaps_ms[: i + 1]) / 1000 for i in range(len(gaps_ms))]
    end_s = times_s[-1] + 0.5
    sampled = list(at_rate(numbered(times_s), rate_hz, end_s=end_s))
    for k, frame in enumerate(sampled):
        assert frame.time_s == k / rate_hz
        before = [i for i, time_s in enumerate(times_s) if time_s - 6e-4 <= frame.time_s]
        assert indices([frame]) == [max(before, default=0)]
    assert len(sampled) / rate_hz >= end_s - 6e-4 > (len(sampled) - 1) / rate_hz


def test_eight_uniform_times_are_the_centres_of_eighths():
    assert uniform_times(4.0, 6.0, 8) == pytest.approx([4.125 + k / 4 for k in range(8)])


@given(st.floats(0, 1e5), st.floats(0.001, 1e5))
def test_thirty_two_with_both_ends_are_always_exactly_thirty_two(start_s, length_s):
    times_s = uniform_times(start_s, start_s + length_s, 32, ends=True)
    assert len(times_s) == 32
    assert (times_s[0], times_s[-1]) == (start_s, pytest.approx(start_s + length_s))
    assert list(times_s) == sorted(times_s)


def test_a_lone_time_is_the_middle():
    assert uniform_times(0.0, 3.0, 1, ends=True) == uniform_times(0.0, 3.0, 1) == (1.5,)


def test_windows_cover_the_video():
    assert window_starts(0.0, 3.5, 1.0) == (0.0, 1.0, 2.0, 3.0)
    assert window_starts(0.0, 0.3, 1.0) == (0.0,)
    assert window_starts(2.0, 5.0, 2.0, 0.5) == (2.0, 2.5, 3.0)


def test_frames_at_gives_each_time_asked_for_in_order(make_video, frame_level):
    path = make_video(frames=360, width_px=32, height_px=32, options={"crf": "4", "g": "24"})
    times_s = (29.0, 0.1, 14.26, 14.26, -1.0, 99.0)
    frames = frames_at(path, times_s)
    assert [frame.time_s for frame in frames] == list(times_s)
    shown = [348, 1, 171, 171, 0, 359]
    levels = [int(frame.image[-3, -3, 0]) for frame in frames]
    assert levels == pytest.approx([frame_level(i) for i in shown], abs=2)
    assert frames_at(path, ()) == ()


def test_thirty_two_frames_of_a_two_frame_video(make_video):
    path = make_video(frames=2)
    assert len(frames_at(path, uniform_times(0.0, 2 / 12, 32, ends=True))) == 32
