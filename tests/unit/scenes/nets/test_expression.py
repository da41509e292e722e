"""The expression network on drawn faces: a smile is happy, an open mouth surprised; batches change nothing."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from omnisila.scenes.nets.expression import EMBEDDING, EXPRESSIONS, INPUT_PX, ExpressionNet

SKIN, HAIR, LIPS = (224, 172, 140), (60, 40, 20), (160, 40, 50)


def face(expression: str) -> Tensor:
    """A drawn face, (3, 112, 112) in 0..255."""
    surprised = expression == "surprised"
    picture = Image.new("RGB", (448, 448), SKIN)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 448, 60), fill=HAIR)
    for eye in (134, 314):
        opened, brow = (30, 105) if surprised else (18, 130)
        draw.ellipse((eye - 34, 180 - opened, eye + 34, 180 + opened), fill="white")
        draw.ellipse((eye - 14, 166, eye + 14, 194), fill=(40, 25, 10))
        draw.line((eye - 45, brow, eye + 45, brow), fill=HAIR, width=12)
    draw.line((224, 190, 205, 270, 240, 272), fill=(180, 120, 95), width=6)
    if surprised:
        draw.ellipse((184, 300, 264, 410), fill=(70, 10, 15), outline=LIPS, width=8)
    else:
        draw.chord((130, 250, 318, 390), 10, 170, fill="white", outline=LIPS, width=8)
    small = picture.resize((INPUT_PX, INPUT_PX), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def net() -> ExpressionNet:
    return ExpressionNet.pretrained()


@pytest.mark.parametrize("expression", ["happy", "surprised"])
def test_a_drawn_expression_is_recognised(net: ExpressionNet, expression: str) -> None:
    probabilities = net(face(expression)[None]).probabilities[0]
    assert EXPRESSIONS[int(probabilities.argmax())] == expression
    assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_batch_gives_what_its_crops_give_alone(net: ExpressionNet) -> None:
    crops = torch.stack([face("happy"), face("surprised"), torch.full((3, INPUT_PX, INPUT_PX), 90.0)])
    together = net(crops)
    for index, crop in enumerate(crops):
        alone = net(crop[None])
        torch.testing.assert_close(together.probabilities[index], alone.probabilities[0], atol=1e-5, rtol=0.0)
        torch.testing.assert_close(together.embedding[index], alone.embedding[0], atol=1e-4, rtol=1e-4)


def test_no_faces_give_no_expressions(net: ExpressionNet) -> None:
    expressions = net(torch.zeros(0, 3, INPUT_PX, INPUT_PX))
    assert expressions.probabilities.shape == (0, len(EXPRESSIONS))
    assert expressions.embedding.shape == (0, EMBEDDING)
