"""The face that is followed, its crops, and what stands for action units."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction.face import (
    COLUMNS,
    GEOMETRY,
    KIND,
    FaceTrack,
    crops,
    expression_proxy,
    face_warnings,
    follow_face,
)

Pictures = Callable[..., Tensor]


def test_no_face_is_a_mask(detector: MTCNN, face_pictures: Pictures) -> None:
    pictures = face_pictures(6, [(60, 96)], seen=lambda index: index not in (0, 3))
    track = follow_face(detector, pictures)
    assert track.mask.tolist() == [False, True, True, False, True, True]
    assert not track.boxes_frac[~track.mask].any()
    assert crops(pictures, track, 48).shape == (4, 3, 48, 48)
    assert list(face_warnings(track)) == ["no face in 2 of 6 frames"]
    assert list(face_warnings(follow_face(detector, face_pictures(2, [])))) == ["no face was found"]


def test_of_several_faces_the_largest_is_followed(detector: MTCNN, face_pictures: Pictures) -> None:
    track = follow_face(detector, face_pictures(3, [(20, 60), (160, 110)]))
    assert (track.faces == 2).all()
    assert (track.boxes_frac[:, 0] > 0.5).all()
    assert list(face_warnings(track)) == ["several faces in 3 of 3 frames: the largest one is followed"]


def test_the_same_person_is_followed_when_another_comes_nearer(detector: MTCNN, face_pictures: Pictures) -> None:
    """In the second clip half, somebody else stands on the other side, a little larger than at first."""
    first, second = face_pictures(2, [(180, 120)]), face_pictures(2, [(10, 100), (190, 90)])
    track = follow_face(detector, torch.cat([first, second]))
    assert track.faces.tolist() == [1, 1, 2, 2]
    assert (track.boxes_frac[:, 0] > 0.5).all()


def still(frames: int) -> FaceTrack:
    """A face of 0.2 x 0.4 of a frame of 200 x 100 px, level and facing us, all frames alike."""
    points = torch.tensor([[0.45, 0.4], [0.55, 0.4], [0.5, 0.5], [0.46, 0.6], [0.54, 0.6]])
    box = torch.tensor([0.4, 0.3, 0.6, 0.7])
    return FaceTrack(
        box.repeat(frames, 1),
        points.repeat(frames, 1, 1),
        torch.ones(frames),
        torch.ones(frames, dtype=torch.bool),
        torch.ones(frames, dtype=torch.long),
    )


def test_geometry_is_measured_in_eye_distances() -> None:
    said = expression_proxy(torch.full((1, 7), 1 / 7), still(1), 200, 100)
    row = dict(zip(GEOMETRY, said.values[0, 7:].tolist(), strict=True))
    wanted = {
        "roll_sin": 0.0, "roll_cos": 1.0, "face_width": 2.0, "face_height": 2.0, "mouth_width": 0.8,
        "eyes_to_mouth": 1.0, "nose_along": 0.0, "nose_down": 0.5, "mouth_tilt": 0.0, "centre_x_frac": 0.5,
        "face_size_frac": 0.08**0.5, "moved_along": 0.0, "grown": 0.0,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-5)
    assert len(COLUMNS) == said.values.shape[1] == 24


def test_geometry_is_that_of_the_head_wherever_it_is_and_however_large() -> None:
    track = still(1)
    away = track._replace(boxes_frac=track.boxes_frac * 0.5, landmarks_frac=track.landmarks_frac * 0.5)
    inner = slice(7, 7 + GEOMETRY.index("face_size_frac"))
    expressions = torch.zeros(1, 7)
    near, far = (expression_proxy(expressions, one, 200, 100).values for one in (track, away))
    torch.testing.assert_close(near[:, inner], far[:, inner])


def test_motion_needs_a_face_before() -> None:
    track = still(3)
    track.boxes_frac[1:] += torch.tensor([0.05, 0.0, 0.05, 0.0])
    track.mask[0] = False
    said = expression_proxy(torch.zeros(3, 7), track, 200, 100)
    moved = said.values[:, 7 + GEOMETRY.index("moved_along")]
    assert moved.tolist() == [0.0, 0.0, 0.0]
    track.mask[0] = True
    moved = expression_proxy(torch.zeros(3, 7), track, 200, 100).values[:, 7 + GEOMETRY.index("moved_along")]
    assert moved.tolist() == pytest.approx([0.0, 0.5, 0.0])


def test_landmarks_that_fall_together_stay_finite() -> None:
    track = still(2)
    track.landmarks_frac[1] = 0.5
    said = expression_proxy(torch.zeros(2, 7), track, 200, 100)
    assert torch.isfinite(said.values).all()
    assert said.values.abs().max() <= 5.0


def test_it_is_not_called_action_units() -> None:
    assert KIND == "expression_proxy"
    assert not any("au" in name.lower().split("_") for name in COLUMNS)
