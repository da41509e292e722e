"""A published facial-expression classifier of transformers: seven probabilities, and what its last layer reads.

Any architecture with one final ``classifier`` will do: a convolutional network (ResNet, ConvNeXt, EfficientNet), as
Omni-SILA 3.1 says, or a ViT.
"""

from typing import Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, PreTrainedModel

from omnisila.errors import WeightsError
from omnisila.scenes.nets.expression import EXPRESSIONS, Expressions
from omnisila.scenes.nets.preparation import Preparation
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.pretrained import load_pretrained, read_config

SYNONYMS = {
    "neutral": "neutral", "neutrality": "neutral", "calm": "neutral",
    "happy": "happy", "happiness": "happy", "joy": "happy",
    "sad": "sad", "sadness": "sad",
    "angry": "angry", "anger": "angry",
    "fear": "fearful", "fearful": "fearful",
    "disgust": "disgusted", "disgusted": "disgusted",
    "surprise": "surprised", "surprised": "surprised",
}  # fmt: skip


class ExpressionClassifier(nn.Module):
    """Expressions in the order of ``EXPRESSIONS``, whatever the model calls them and however it orders them.

    Labels beyond the seven (AffectNet's contempt) are left out and the rest renormalised.

    Raises:
        WeightsError: the model lacks one of the seven, or has no final classifier.
    """

    def __init__(self, model: PreTrainedModel, preparation: Preparation, source: str = "expression model") -> None:
        super().__init__()
        classifier = getattr(model, "classifier", None)
        if not isinstance(classifier, nn.Module):
            raise WeightsError(f"{source}: {type(model).__name__} has no final classifier. Give another architecture.")
        self.places = _places({int(key): name for key, name in (model.config.id2label or {}).items()}, source)
        self.classifier = classifier
        model.classifier = nn.Identity()
        self.model, self.preparation = model, preparation
        self.input_px = max(preparation.height_px, preparation.width_px)
        self.width = self._embed(torch.zeros(1, 3, preparation.height_px, preparation.width_px)).flatten(1).shape[1]

    @classmethod
    def pretrained(cls, source: str, dtype: torch.dtype = torch.float32) -> Self:
        """From a folder or a hub id of an image classifier trained on expressions.

        Raises:
            WeightsError: it is missing, or lacks one of the seven expressions.
        """
        config = read_config(source)
        model_class = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING.get(type(config), None)
        if model_class is None:
            raise WeightsError(f"{source}: a {config.model_type} classifies no images. Give an image classifier.")
        model = load_pretrained(cast("type[PreTrainedModel]", model_class), source, whole=False).requires_grad_(False)
        size_px = getattr(model.config, "image_size", None)
        preparation = Preparation.beside(model_folder(source), size_px if isinstance(size_px, int) else None)
        return cls(model.to(dtype), preparation, source)  # type: ignore[arg-type]

    @torch.inference_mode()
    def forward(self, crops: Float[Tensor, "faces 3 height width"]) -> Expressions:
        """Expressions of RGB crops with values 0..255; no faces give empty outputs."""
        if len(crops) == 0:
            return Expressions(crops.new_zeros(0, len(EXPRESSIONS)), crops.new_zeros(0, self.width))
        parameter = next(self.model.parameters())
        embedding = self._embed(self.preparation.pixels(crops.to(parameter.device), parameter.dtype))
        logits = self.classifier(embedding).float()[:, self.places]
        return Expressions(logits.softmax(1), embedding.flatten(1).float())

    @torch.inference_mode()
    def _embed(self, pixels: Tensor) -> Tensor:
        """What the classifier reads; some architectures leave 1 x 1 maps for it to flatten."""
        return self.model(pixel_values=pixels.to(next(self.model.parameters()))).logits


def _places(names: dict[int, str], source: str) -> list[int]:
    found = {SYNONYMS.get(name.strip().lower()): place for place, name in names.items()}
    missing = [name for name in EXPRESSIONS if name not in found]
    if missing:
        raise WeightsError(
            f"{source}: no label for {', '.join(missing)} among its labels {', '.join(names.values())}. Give a "
            f"classifier of the seven expressions {', '.join(EXPRESSIONS)}, named so in its config.json."
        )
    return [found[name] for name in EXPRESSIONS]
