"""The face cascade on a real photograph (NASA, public domain)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnisila.scenes.nets.mtcnn import MTCNN, Faces

FACE_FRAC = torch.tensor([0.36, 0.12, 0.52, 0.34])  # where the face is, read off the photograph


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return torch.from_numpy(np.array(Image.open(Path(__file__).parents[3] / "fixtures" / "astronaut.jpg")))


@pytest.fixture(scope="module")
def net() -> MTCNN:
    return MTCNN.pretrained()


def agree(ours: Faces, wanted: Faces) -> bool:
    return all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, wanted, strict=True))


def test_the_face_is_found_where_it_is(net: MTCNN, photograph: Tensor) -> None:
    (faces,) = net.detect(photograph[None])
    assert len(faces.scores) == 1
    torch.testing.assert_close(faces.boxes_frac[0], FACE_FRAC, atol=0.02, rtol=0.0)
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks_frac[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_a_face_that_fills_the_picture_is_found(net: MTCNN, photograph: Tensor) -> None:
    left, top, right, bottom = (FACE_FRAC * 256).round().long().tolist()
    (faces,) = net.detect(photograph[None, top:bottom, left:right])
    assert len(faces.scores) == 1
    assert (faces.boxes_frac[0, 2:] - faces.boxes_frac[0, :2] > 0.85).all()


def test_a_wide_picture_gives_fractions_of_each_side(net: MTCNN, photograph: Tensor) -> None:
    wide = torch.zeros(256, 512, 3, dtype=torch.uint8)
    wide[:, 256:] = photograph
    (faces,) = net.detect(wide[None])
    wanted = torch.stack([0.5 + FACE_FRAC[0] / 2, FACE_FRAC[1], 0.5 + FACE_FRAC[2] / 2, FACE_FRAC[3]])
    torch.testing.assert_close(faces.boxes_frac[0], wanted, atol=0.02, rtol=0.0)


def test_faces_below_the_smallest_size_are_left_out(photograph: Tensor) -> None:
    net = MTCNN.pretrained()
    net.min_face_frac = 0.5
    (faces,) = net.detect(photograph[None])
    assert len(faces.scores) == 0


def test_pictures_of_a_batch_do_not_touch_each_other(net: MTCNN, photograph: Tensor) -> None:
    batch = torch.stack([photograph, torch.full_like(photograph, 90), photograph.flip(1)])
    together = net.detect(batch)
    assert [len(faces.scores) for faces in together] == [1, 0, 1]
    for ours, picture in zip(together, batch, strict=True):
        assert agree(ours, net.detect(picture[None])[0])


def test_no_pictures_and_tiny_pictures_have_no_faces(net: MTCNN) -> None:
    assert net.detect(torch.zeros(0, 20, 20, 3, dtype=torch.uint8)) == []
    for side_px in (1, 7, 13):
        assert len(net.detect(torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8))[0].scores) == 0
