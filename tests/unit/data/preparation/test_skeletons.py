"""Skeletons are drawn whole, upright, and at the motion's rate."""

from pathlib import Path

import numpy as np
import pytest

from omnisila.data.preparation.skeletons import JOINTS, count_frames, load_joints, render_skeletons, skeleton_frames
from omnisila.errors import DataSetError
from omnisila.media.video import probe


def test_a_skeleton_stands_upright_within_the_picture():
    joints = np.zeros((3, JOINTS, 3), np.float32)
    joints[:, :, 1] = 0.9
    joints[:, 15, 1] = 1.7  # the head
    joints[:, [10, 11], 1] = 0.0  # the feet
    frames = list(skeleton_frames(joints, side_px=64))
    assert [frame.time_s for frame in frames] == [0.0, 0.05, 0.1]
    drawn = np.asarray(frames[0].image) < 250
    rows = np.flatnonzero(drawn.any(axis=(1, 2)))
    assert (rows.min(), rows.max()) == (pytest.approx(6, abs=1), pytest.approx(58, abs=1))
    upper = np.asarray(frames[0].image)[20, 32]
    lower = np.asarray(frames[0].image)[50, 32]
    assert tuple(upper) == (0x33, 0x33, 0x33)  # the spine's colour
    assert tuple(lower) == (0x39, 0x78, 0xE0)  # the left leg's


def test_a_moving_skeleton_moves():
    joints = np.random.default_rng(0).normal(size=(2, JOINTS, 3)).astype(np.float32)
    first, second = skeleton_frames(joints, side_px=32)
    assert first.image.shape == (32, 32, 3)
    assert (first.image != second.image).any()


def test_motions_load_and_faults_are_named(tmp_path: Path):
    path = tmp_path / "012314.npy"
    np.save(path, np.ones((170, JOINTS, 3)))
    assert count_frames(path) == 170
    assert load_joints(path).shape == (170, JOINTS, 3)
    path.write_bytes(b"\x93NUMPY broken")
    with pytest.raises(DataSetError, match="cannot be read as a motion"):
        load_joints(path)
    with pytest.raises(DataSetError, match="no such file"):
        load_joints(tmp_path / "gone.npy")


def test_a_drawn_motion_is_a_video_of_its_length(tmp_path: Path):
    joints = np.random.default_rng(0).normal(size=(30, JOINTS, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", joints)
    render_skeletons(tmp_path / "a.npy", tmp_path / "out/a.mp4", side_px=64)
    info = probe(tmp_path / "out/a.mp4")
    assert (info.duration_s, info.width_px, info.height_px) == (pytest.approx(1.5), 64, 64)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]
