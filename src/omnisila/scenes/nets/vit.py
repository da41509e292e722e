"""A Vision Transformer as an encoder of whole frames: its class token. Source: Dosovitskiy et al. 2021."""

from typing import Any, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import ViTModel

from omnisila.scenes.nets.preparation import Preparation
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.pretrained import load_pretrained


class FrameEncoder(nn.Module):
    """A ViT without its classifier and pooler."""

    def __init__(self, model: ViTModel, preparation: Preparation) -> None:
        super().__init__()
        self.model, self.preparation = model, preparation
        self.width: int = model.config.hidden_size

    @classmethod
    def pretrained(cls, source: str, dtype: torch.dtype = torch.float32) -> Self:
        """From a folder or a hub id such as ``google/vit-base-patch16-224-in21k``.

        Raises:
            WeightsError: it is missing, or no ViT.
        """
        model = load_pretrained(ViTModel, source, whole=False, add_pooling_layer=False).requires_grad_(False)
        preparation = Preparation.beside(model_folder(source), cast("Any", model.config).image_size)
        return cls(model.to(dtype), preparation)  # type: ignore[arg-type]

    @torch.inference_mode()
    def forward(self, images: Float[Tensor, "frames 3 height width"]) -> Float[Tensor, "frames features"]:
        """The class token after the last layer, in float32, of RGB pictures with values 0..255."""
        weight = self.model.embeddings.cls_token
        pixels = self.preparation.pixels(images.to(weight.device), weight.dtype)
        return self.model(pixel_values=pixels).last_hidden_state[:, 0].float()
