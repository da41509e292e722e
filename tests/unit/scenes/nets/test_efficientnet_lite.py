"""The visual encoder's shapes and pooling."""

import torch

from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0, normalise_pictures


def test_feature_map_is_a_32nd_of_the_picture() -> None:
    net = EfficientNetLite0().eval()
    assert net(torch.zeros(1, 3, 64, 96)).shape == (1, 1280, 2, 3)


def test_pictures_are_normalised_as_in_training() -> None:
    picture = torch.full((1, 30, 50, 3), 255, dtype=torch.uint8)
    x = normalise_pictures(picture)
    assert x.shape == (1, 3, 224, 224)
    torch.testing.assert_close(x, torch.ones_like(x))


def test_pooling_of_a_batch_is_that_of_each_picture() -> None:
    net = EfficientNetLite0.pretrained()
    pictures = torch.randint(0, 256, (2, 60, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together, alone = net.embed(pictures), net.embed(pictures[1:])
    torch.testing.assert_close(together.mean[1:], alone.mean, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(together.max[1:], alone.max, atol=1e-3, rtol=0.0)
    features = net(normalise_pictures(pictures))
    torch.testing.assert_close(together.mean, features.mean(dim=(2, 3)), atol=1e-5, rtol=0.0)
    assert (together.max >= together.mean).all()


def test_no_pictures_give_no_features() -> None:
    pooled = EfficientNetLite0().embed(torch.zeros(0, 8, 8, 3, dtype=torch.uint8))
    assert pooled.mean.shape == pooled.max.shape == (0, 1280)
