"""The face that is followed, and its crops."""

from collections.abc import Callable

import torch
from torch import Tensor

from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction.face import crops, face_warnings, follow_face

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
