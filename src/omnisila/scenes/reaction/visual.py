"""What a frame or a face looks like, as one vector: the embedded encoders, or networks of transformers that users give.

Source: ViPER's visual token, emotional-reaction paper 4.3; the VGGFace2 baseline, Table 3.
"""

from typing import Any, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import ResNetModel

from omnisila.scenes.nets.efficientnet_lite import FEATURES, INPUT_PX, EfficientNetLite0
from omnisila.scenes.nets.preparation import Preparation
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.pretrained import load_pretrained

_BATCH = 8


class EmbeddedPictures:
    """EfficientNet-Lite0's pooled features."""

    kind = "efficientnet_lite0"
    width = FEATURES
    input_px = INPUT_PX

    def __init__(self, encoder: EfficientNetLite0) -> None:
        self._encoder = encoder

    @torch.inference_mode()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images features"]:
        found = [torch.zeros(0, self.width)]
        for part in images.split(_BATCH):
            found.append(self._encoder.embed(part.round().to(torch.uint8).permute(0, 2, 3, 1)).mean)
        return torch.cat(found)


class ClassToken:
    """A ViT's class token: 768 numbers of ViT-B/16."""

    kind = "vit_class_token"

    def __init__(self, encoder: FrameEncoder) -> None:
        self._encoder = encoder
        self.width: int = encoder.width
        self.input_px = max(encoder.preparation.height_px, encoder.preparation.width_px)

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images features"]:
        found = [torch.zeros(0, self.width), *(self._encoder(part).cpu() for part in images.split(_BATCH) if len(part))]
        return torch.cat(found)


class FaceResNet:
    """The pooled features of a ResNet that was trained to tell faces apart, such as VGGFace2's ResNet-50 (2048).

    Give it the ``preprocessor_config.json`` of its training: without one, values are brought to -1..1.
    """

    kind = "face_resnet"

    def __init__(self, model: ResNetModel, preparation: Preparation) -> None:
        self._model, self._preparation = model, preparation
        self.width: int = cast("Any", model.config).hidden_sizes[-1]
        self.input_px = max(preparation.height_px, preparation.width_px)

    @classmethod
    def pretrained(cls, source: str, device: torch.device) -> Self:
        """From a folder or a hub id.

        Raises:
            WeightsError: it is missing, or no ResNet.
        """
        model: Any = load_pretrained(ResNetModel, source, whole=False).requires_grad_(False)
        return cls(model.to(device), Preparation.beside(model_folder(source)))

    @torch.inference_mode()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images features"]:
        found = [torch.zeros(0, self.width)]
        device = next(self._model.parameters()).device
        for part in images.split(_BATCH):
            if len(part):
                pooled = self._model(pixel_values=self._preparation.pixels(part.to(device))).pooler_output
                found.append(pooled.flatten(1).float().cpu())
        return torch.cat(found)


# ``encode`` takes RGB pictures with values 0..255 that were cut at ``input_px``, and gives vectors on the processor.
PictureEncoder = EmbeddedPictures | ClassToken | FaceResNet
