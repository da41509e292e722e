"""MoveNet on a drawn person: joints where they were drawn, and they move with the person; batches change nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from omnisila.scenes.nets.movenet import EMBEDDING, INPUT_PX, JOINTS, MoveNet

Joints = Callable[[float, float, float], dict[int, tuple[float, float]]]
PLACES = [(96.0, 16.0, 20.0), (110.0, 30.0, 17.0), (82.0, 10.0, 22.0)]  # centre, top, unit, pixels


@pytest.fixture(scope="module")
def net() -> MoveNet:
    return MoveNet.pretrained()


@pytest.fixture
def crops(person: Callable[..., Tensor]) -> Tensor:
    drawn = [person(INPUT_PX, INPUT_PX, *place) for place in PLACES]
    return torch.stack(drawn).permute(0, 3, 1, 2).float()


def test_joints_are_found_where_they_were_drawn(net: MoveNet, crops: Tensor, person_joints: Joints) -> None:
    for joints, place in zip(net(crops).joints, PLACES, strict=True):
        for joint, (x, y) in person_joints(*place).items():
            found = joints[joint]
            assert found[0].item() == pytest.approx(x / INPUT_PX, abs=0.05)
            assert found[1].item() == pytest.approx(y / INPUT_PX, abs=0.05)
            assert found[2] > 0.25


def test_a_batch_gives_what_its_crops_give_alone(net: MoveNet, crops: Tensor) -> None:
    together = net(crops)
    for index, crop in enumerate(crops):
        alone = net(crop[None])
        torch.testing.assert_close(together.joints[index], alone.joints[0], atol=1e-4, rtol=0.0)
        torch.testing.assert_close(together.embedding[index], alone.embedding[0], atol=1e-4, rtol=1e-4)


def test_a_picture_of_nobody_has_no_sure_joints(net: MoveNet) -> None:
    assert net(torch.full((1, 3, INPUT_PX, INPUT_PX), 128.0)).joints[..., 2].mean() < 0.2


def test_no_crops_give_no_poses(net: MoveNet) -> None:
    poses = net(torch.zeros(0, 3, INPUT_PX, INPUT_PX))
    assert poses.joints.shape == (0, JOINTS, 3)
    assert poses.embedding.shape == (0, EMBEDDING)
