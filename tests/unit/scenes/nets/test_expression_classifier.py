"""A published expression classifier: seven expressions in our order, and the vector its last layer reads."""

from pathlib import Path

import pytest
import torch
from transformers import (
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SamConfig,
    ViTConfig,
    ViTForImageClassification,
)

from omnisila.errors import WeightsError
from omnisila.scenes.nets.expression import EXPRESSIONS
from omnisila.scenes.nets.expression_classifier import SYNONYMS, ExpressionClassifier
from omnisila.scenes.nets.preparation import Preparation

FER = {0: "angry", 1: "disgust", 2: "fear", 3: "happy", 4: "neutral", 5: "sad", 6: "surprise"}
AFFECTNET = dict(
    enumerate(("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt"))
)  # fmt: skip


def convolutional(labels: dict[int, str]) -> PreTrainedModel:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", id2label=labels)
    return ResNetForImageClassification(config).eval()


def transformer(labels: dict[int, str]) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, id2label=labels)).eval()


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize(("make", "labels", "width"), [(convolutional, AFFECTNET, 8), (transformer, FER, 24)])
def test_the_seven_are_renormalised_in_our_order(
    make: type[PreTrainedModel], labels: dict[int, str], width: int, crops: torch.Tensor, tmp_path: Path
) -> None:
    model = make(labels)
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 32, "width": 32}}')
    pixels = Preparation(height_px=32, width_px=32).pixels(crops)
    with torch.inference_mode():
        logits = model(pixel_values=pixels).logits
    wanted = torch.zeros(3, 7)
    for place, label in labels.items():
        if label != "Contempt":
            wanted[:, EXPRESSIONS.index(SYNONYMS[label.lower()])] = logits[:, place].exp()
    found = ExpressionClassifier.pretrained(str(tmp_path))(crops)
    torch.testing.assert_close(found.probabilities, wanted / wanted.sum(1, keepdim=True))
    assert found.embedding.shape == (3, width)
    assert len({tuple(row.tolist()) for row in found.embedding}) == 3


def test_no_faces_give_empty_outputs() -> None:
    classifier = ExpressionClassifier(convolutional(FER), Preparation(height_px=32, width_px=32))
    found = classifier(torch.zeros(0, 3, 32, 32))
    assert found.probabilities.shape == (0, 7)
    assert found.embedding.shape == (0, 8)


def test_a_classifier_of_something_else_is_refused(tmp_path: Path) -> None:
    transformer({0: "cat", 1: "dog"}).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"no label for neutral, happy.*among its labels cat, dog"):
        ExpressionClassifier.pretrained(str(tmp_path))


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    SamConfig().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="a sam classifies no images"):
        ExpressionClassifier.pretrained(str(tmp_path))
