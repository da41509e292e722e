"""Faces as entities: the largest first, absent ones masked, rows read back as evidence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnisila.scenes.extractor import SceneStream
from omnisila.scenes.face import LAYOUT, evidence
from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.sem import SceneEnrichedModeling


@pytest.fixture(scope="module")
def head() -> Tensor:
    """The head of a photograph (NASA, public domain), 80 x 80."""
    photograph = np.array(Image.open(Path(__file__).parents[2] / "fixtures" / "astronaut.jpg"))
    return torch.from_numpy(photograph)[18:98, 72:152]


def crowd(head: Tensor, sides_px: list[int]) -> Tensor:
    """Copies of a head of several sizes beside each other on a grey wall, (160, 416, 3)."""
    picture, left = torch.full((160, 416, 3), 120, dtype=torch.uint8), 4
    for side_px in sides_px:
        copy = Image.fromarray(head.numpy()).resize((side_px, side_px), Image.Resampling.LANCZOS)
        picture[20 : 20 + side_px, left : left + side_px] = torch.from_numpy(np.array(copy))
        left += side_px + 4
    return picture


def test_faces_stand_largest_first_and_absent_ones_are_zero(sem: SceneEnrichedModeling, head: Tensor) -> None:
    pictures = torch.stack([crowd(head, []), crowd(head, [70, 110, 90]), crowd(head, [])])
    values, mask = sem.extractors["face"](pictures)
    assert mask.sum(1).tolist() == [0, 3, 0]
    assert mask[1, :3].all()
    assert not values[~mask].any()
    boxes = LAYOUT.read(values[1, :3], "box")
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert area.tolist() == sorted(area.tolist(), reverse=True)
    assert ((boxes[:, 0] + boxes[:, 2]) / 2).argsort().tolist() == [2, 0, 1], "the largest stands in the middle"


def test_only_the_largest_faces_are_kept(sem: SceneEnrichedModeling, head: Tensor) -> None:
    values, mask = sem.extractors["face"](crowd(head, [52, 72, 68, 64, 60, 56])[None])
    assert mask.all()
    left = LAYOUT.read(values[0], "box")[:, 0] * 416
    assert left.min() > 56, "the smallest, at the left edge, is the sixth"


def test_a_face_is_described_by_its_own_picture(sem: SceneEnrichedModeling, head: Tensor) -> None:
    """Batches and neighbours change nothing; another face gives another description."""
    alone, with_others = crowd(head, [100]), crowd(head.flip(2), [100])
    together, _ = sem.extractors["face"](torch.stack([with_others, alone]))
    separate, _ = sem.extractors["face"](alone[None])
    torch.testing.assert_close(together[1], separate[0], atol=2e-3, rtol=0.0)
    difference = LAYOUT.read(together[0, 0] - together[1, 0], "appearance").abs().max()
    assert difference > 0.1


def test_a_batch_longer_than_the_networks_take_is_cut(sem: SceneEnrichedModeling, head: Tensor) -> None:
    count = sem.extractors["face"].config.batch_size + 3
    pictures = torch.stack([crowd(head, [100] if index in (0, count - 1) else []) for index in range(count)])
    _, mask = sem.extractors["face"](pictures)
    assert mask.any(1).nonzero()[:, 0].tolist() == [0, count - 1]


def test_no_frames_have_no_faces(sem: SceneEnrichedModeling) -> None:
    values, mask = sem.extractors["face"](torch.zeros(0, 40, 60, 3, dtype=torch.uint8))
    assert values.shape == (0, 5, LAYOUT.width)
    assert mask.shape == (0, 5)


def test_evidence_says_what_the_rows_say(sem: SceneEnrichedModeling, head: Tensor) -> None:
    values, mask = sem.extractors["face"](torch.stack([crowd(head, []), crowd(head, [100])]))
    (seen,) = evidence(SceneStream(start_s=3.0, rate_hz=1.0, values=values.half(), mask=mask))
    assert seen.time_s == 4.0
    assert seen.score > 0.8
    assert (4 + 10) / 416 < seen.box.left_frac < seen.box.right_frac < (104 - 5) / 416
    assert tuple(seen.expressions) == EXPRESSIONS
    assert sum(seen.expressions.values()) == pytest.approx(1.0, abs=5e-3)
    assert max(seen.expressions, key=lambda name: seen.expressions[name]) == "happy", "she smiles"
