"""Extractors of reaction features, and frames with heads; heads and tiny networks are ``tests/reaction_clips.py``'s."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor


@pytest.fixture(scope="session")
def detector() -> MTCNN:
    return MTCNN.pretrained()


@pytest.fixture(scope="session")
def embedded() -> ReactionFeatureExtractor:
    return ReactionFeatureConfig.embedded().build()


@pytest.fixture(scope="session")
def face_pictures(paint: Callable[..., Callable]) -> Callable[..., Tensor]:
    """``face_pictures(4, heads)``: frames as ``paint`` makes them, (frames, 160, 320, 3)."""

    def pictures(count: int, heads: list[tuple[int, int]], **options: object) -> Tensor:
        draw = paint(heads, **options)
        return torch.stack([torch.from_numpy(draw(index, 320, 160)) for index in range(count)])

    return pictures
