"""Frames of a clip: always as many as asked for, both ends among them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from omnisila.errors import MediaError
from omnisila.scenes.reaction.clip import ClipFrames, clip_frames
from omnisila.schema import Span


def levels(frames: ClipFrames) -> list[int]:
    """The grey level of each frame, in the corner that counts."""
    return [int(image[-3, -3].float().mean().round()) for image in frames.pictures[frames.picture]]


@pytest.mark.parametrize(("frames", "rate_hz"), [(1, 12), (4, 12), (31, 12), (32, 12), (33, 12), (100, 30)])
def test_there_are_always_32_with_both_ends(
    make_video: Callable[..., Path], frame_level: Callable[[int], int], frames: int, rate_hz: int
) -> None:
    found = clip_frames(make_video(frames=frames, rate_hz=rate_hz), 32)
    seen = levels(found)
    assert len(seen) == 32
    assert seen[0] == pytest.approx(frame_level(0), abs=2)
    assert seen[-1] == pytest.approx(frame_level(frames - 1), abs=2)
    assert len(found.pictures) <= min(frames, 32)


def test_frames_are_equidistant(make_video: Callable[..., Path], frame_level: Callable[[int], int]) -> None:
    found = clip_frames(make_video(frames=20, rate_hz=10), 5)
    assert found.times_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert levels(found) == pytest.approx([frame_level(index) for index in (0, 5, 10, 15, 19)], abs=2)


def test_a_stretch_is_cut_at_the_clip_s_end(make_video: Callable[..., Path], frame_level: Callable[[int], int]) -> None:
    found = clip_frames(make_video(frames=20, rate_hz=10), 3, Span(start_s=1.0, end_s=9.0))
    assert found.span == Span(start_s=1.0, end_s=2.0)
    assert levels(found) == pytest.approx([frame_level(index) for index in (10, 15, 19)], abs=2)
    with pytest.raises(MediaError, match=r"no pictures from 5\.0 s on"):
        clip_frames(make_video(frames=20, rate_hz=10), 3, Span(start_s=5.0, end_s=9.0))


def test_few_pictures_and_damage_are_named(
    make_video: Callable[..., Path], make_bad_file: Callable[[str, str], Path]
) -> None:
    assert "only 4 different pictures" in clip_frames(make_video(frames=4), 32).warnings[0]
    damaged = clip_frames(make_bad_file("a.mp4", "damaged"), 32)
    assert any("could not be decoded" in warning for warning in damaged.warnings)


def test_far_apart_frames_of_a_long_clip_are_sought(
    make_video: Callable[..., Path], frame_level: Callable[[int], int]
) -> None:
    found = clip_frames(make_video(frames=40, rate_hz=1), 4)
    assert levels(found) == pytest.approx([frame_level(index) for index in (0, 13, 26, 39)], abs=2)
