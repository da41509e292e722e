"""Encoders of pictures: the plain models' numbers, whatever the batch; no picture gives no row."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import ResNetModel, ViTModel

from omnisila.errors import WeightsError
from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.scenes.reaction.visual import ClassToken, EmbeddedPictures, FaceResNet, PictureEncoder

CPU = torch.device("cpu")


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (9, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()


def encoders(networks: Path) -> list[PictureEncoder]:
    return [
        EmbeddedPictures(EfficientNetLite0.pretrained()),
        ClassToken(FrameEncoder.pretrained(str(networks / "vit"))),
        FaceResNet.pretrained(str(networks / "face"), CPU),
    ]


def test_batches_change_nothing_and_nothing_gives_nothing(networks: Path, images: Tensor) -> None:
    for encoder in encoders(networks):
        together = encoder.encode(images)
        assert together.shape == (9, encoder.width)
        torch.testing.assert_close(encoder.encode(images[8:]), together[8:], atol=1e-4, rtol=1e-3)
        assert encoder.encode(images[:0]).shape == (0, encoder.width)


def test_the_vit_s_class_token_is_read(networks: Path, images: Tensor) -> None:
    model = ViTModel.from_pretrained(networks / "vit").eval()
    with torch.inference_mode():
        wanted = model(pixel_values=images / 127.5 - 1).last_hidden_state[:, 0]
    found = ClassToken(FrameEncoder.pretrained(str(networks / "vit"))).encode(images)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_the_resnet_s_pooled_features_are_read(networks: Path, images: Tensor) -> None:
    model = ResNetModel.from_pretrained(networks / "face").eval()
    encoder = FaceResNet.pretrained(str(networks / "face"), CPU)
    large = images.repeat(1, 1, 7, 7)  # 224 px, the size of ResNets
    with torch.inference_mode():
        wanted = model(pixel_values=large / 127.5 - 1).pooler_output[:, :, 0, 0]
    torch.testing.assert_close(encoder.encode(large), wanted, atol=1e-4, rtol=1e-3)
    with pytest.raises(WeightsError, match="wanted 'resnet'"):
        FaceResNet.pretrained(str(networks / "vit"), CPU)
