"""The face cascade on a real photograph (NASA, public domain)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnisila.scenes.nets.mtcnn import FACENET, MTCNN, CascadeConfig, Faces, aligned_faces

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


# what facenet-pytorch 2.6.0 gives with its defaults: box and landmarks in pixels, and the probability; only parts
# inside the picture are compared where the face is cut by the edge
FACENET_FACES: dict[str, tuple[slice, slice, list[tuple[list[float], float, list[list[float]]]]]] = {
    "whole": (slice(None), slice(None), [
        ([91.138, 31.782, 134.540, 87.489], 0.99997,
         [[102.443, 50.796], [124.161, 51.973], [112.936, 64.570], [101.707, 70.124], [123.453, 71.049]]),
    ]),
    "cut by the edge": (slice(20, 120), slice(104, 220), [
        ([0.0, 6.751, 24.388, 73.525], 0.99511,
         [[-16.887, 29.690], [12.256, 30.973], [-4.987, 45.116], [-18.332, 53.372], [10.309, 53.988]]),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", FACENET_FACES)
def test_the_preset_agrees_with_facenet_pytorch(photograph: Tensor, case: str) -> None:
    rows, columns, wanted = FACENET_FACES[case]
    picture = photograph[rows, columns]
    (faces,) = FACENET.build().detect(picture[None])
    size = torch.tensor([picture.shape[1], picture.shape[0]])
    boxes, scores, landmarks = (torch.tensor(part) for part in zip(*wanted, strict=True))
    torch.testing.assert_close(faces.boxes_frac * size.repeat(2), boxes, atol=0.05, rtol=0.0)
    torch.testing.assert_close(faces.scores, scores, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(faces.landmarks_frac * size, landmarks, atol=0.05, rtol=0.0)


def test_the_preset_agrees_with_facenet_pytorch_on_two_faces(photograph: Tensor) -> None:
    picture = torch.cat([photograph[:, :200], photograph.flip(1)[:, 60:]], 1)
    (faces,) = FACENET.build().detect(picture[None])
    wanted = torch.tensor([[89.491, 32.205, 133.159, 86.733], [261.066, 33.048, 305.249, 87.086]])
    torch.testing.assert_close(faces.boxes_frac * torch.tensor([396, 256] * 2), wanted, atol=0.05, rtol=0.0)


def test_of_faces_beyond_the_edges_the_preset_keeps_facenet_pytorchs(photograph: Tensor) -> None:
    """What lies beyond the picture is cut off: candidates that differ there alone are equally likely."""
    picture = photograph[33:77, 85:132].repeat_interleave(3, 0).repeat_interleave(3, 1)
    (faces,) = FACENET.build().detect(picture[None])
    wanted = torch.tensor([[8.751, 0.0, 141.0, 132.0]])
    torch.testing.assert_close(faces.boxes_frac * torch.tensor([141, 132] * 2), wanted, atol=0.05, rtol=0.0)


def test_our_own_thresholds_use_the_same_geometry(net: MTCNN, photograph: Tensor) -> None:
    """With a grey border the cascade sees what it sees of a picture that has the border painted in."""
    painted = torch.full((308, 308, 3), 127, dtype=torch.uint8)
    painted[26:282, 26:282] = photograph
    plain = CascadeConfig(min_face_frac=0.07 * 256 / 308, border_frac=0.0).build()
    inside = net.detect(photograph[None])[0].boxes_frac * 256 + 26
    torch.testing.assert_close(plain.detect(painted[None])[0].boxes_frac * 308, inside, atol=0.05, rtol=0.0)


def test_the_aligned_face_is_facenet_pytorchs(photograph: Tensor) -> None:
    box = torch.tensor([[91.138, 31.782, 134.540, 87.489]]) / 256
    (face,) = aligned_faces(photograph, box)
    assert face.shape == (160, 160, 3)
    assert face[::53, ::53, 0].tolist() == [
        [152, 113, 149, 44], [160, 156, 154, 113], [175, 231, 176, 148], [13, 214, 133, 228]
    ]  # fmt: skip
    means = face.float().mean((0, 1))
    torch.testing.assert_close(means, torch.tensor([185.064, 154.699, 128.5387]), atol=1e-3, rtol=0.0)


def test_a_box_of_no_pixel_gives_a_black_aligned_face(photograph: Tensor) -> None:
    assert not aligned_faces(photograph, torch.tensor([[0.5, 0.5, 0.5, 0.5]])).any()
    assert len(aligned_faces(photograph, torch.zeros(0, 4))) == 0


def test_faces_below_the_smallest_size_are_left_out(photograph: Tensor) -> None:
    net = CascadeConfig(min_face_frac=0.5).build()
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
