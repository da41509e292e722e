"""What a face does, on a photograph of somebody who smiles: wherever the face is, however it is turned."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction.actions import COLUMNS, ActionReader
from omnisila.scenes.reaction.face import FaceTrack, follow_face

PHOTOGRAPH = Path(__file__).parents[3] / "fixtures" / "astronaut.jpg"  # 256 x 256
ACTS = COLUMNS[len(EXPRESSIONS) :]


@pytest.fixture(scope="module")
def reader() -> ActionReader:
    return ActionReader.pretrained()


def photograph(turned_deg: float = 0, size_px: int = 256, blank: bool = False) -> Tensor:
    picture = Image.open(PHOTOGRAPH).convert("RGB").rotate(turned_deg, Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(picture.resize((size_px, size_px))))
    return torch.full_like(pixels, 128) if blank else pixels


def acts(reader: ActionReader, picture: Tensor, track: FaceTrack) -> dict[str, float]:
    return dict(zip(ACTS, reader.read(picture[None], track)[0].tolist(), strict=True))


def test_a_smile_is_seen_in_the_corners_of_the_mouth(reader: ActionReader, detector: MTCNN) -> None:
    picture = photograph()
    found = acts(reader, picture, follow_face(detector, picture[None]))
    assert min(found["mouthSmileLeft"], found["mouthSmileRight"], found["presence"]) > 0.7
    assert max(found["mouthFrownLeft"], found["jawOpen"], found["eyeBlinkLeft"], found["mouthPucker"]) < 0.2
    assert all(0 <= value <= 1 for value in found.values())


@pytest.mark.parametrize(("turned_deg", "size_px"), [(25, 256), (-40, 256), (0, 700)])
def test_a_turned_or_larger_face_does_the_same(
    reader: ActionReader, detector: MTCNN, turned_deg: float, size_px: int
) -> None:
    straight, other = photograph(), photograph(turned_deg, size_px)
    wanted, found = (acts(reader, x, follow_face(detector, x[None])) for x in (straight, other))
    assert {name: found[name] for name in ACTS if "Smile" in name or "jaw" in name} == pytest.approx(
        {name: wanted[name] for name in ACTS if "Smile" in name or "jaw" in name}, abs=0.15
    )


def test_the_square_that_counts_is_the_landmarks_own(reader: ActionReader, detector: MTCNN) -> None:
    """A detector's box that is too large, and eyes that it took for one point, hardly matter."""
    picture = photograph()
    track = follow_face(detector, picture[None])
    middle = track.boxes_frac.view(1, 2, 2).mean(1, keepdim=True)
    loose = track._replace(
        boxes_frac=(middle + (track.boxes_frac.view(1, 2, 2) - middle) * 1.3).view(1, 4),
        landmarks_frac=track.landmarks_frac.mean(1, keepdim=True).expand(-1, 5, -1),
    )
    torch.testing.assert_close(reader.read(picture[None], loose), reader.read(picture[None], track), atol=0.2, rtol=0.0)


def test_pictures_without_a_face_are_passed_over(reader: ActionReader, detector: MTCNN) -> None:
    pictures = torch.stack([photograph(blank=True), photograph(), photograph(blank=True)])
    track = follow_face(detector, pictures)
    assert track.mask.tolist() == [False, True, False]
    alone = reader.read(pictures[1:2], follow_face(detector, pictures[1:2]))
    torch.testing.assert_close(reader.read(pictures, track), alone, atol=1e-4, rtol=0.0)
    nobody = follow_face(detector, pictures[:1])
    assert reader.read(pictures[:1], nobody).shape == (0, len(ACTS))


def test_a_detection_that_shows_no_face_has_little_presence(reader: ActionReader, detector: MTCNN) -> None:
    track = follow_face(detector, photograph()[None])
    assert acts(reader, photograph(blank=True), track)["presence"] < 0.3
