"""Segment Anything, prompted by boxes: which pixels of a frame belong to the detected objects.

Source: Kirillov et al. 2023; the network that Omni-SILA 3.1 names for the visual background. Its automatic masks also
cover walls and sky, so that blacking all of them out would leave nothing: it is asked about boxes instead.
"""

from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from transformers import SamModel

from omnisila.media.transforms import channels_first, resize_levels
from omnisila.scenes.nets.preparation import IMAGENET_MEAN, IMAGENET_STD, levels
from omnisila.weights.pretrained import load_pretrained

MASKS_AT_ONCE = 8  # full-size masks in memory at a time


class BoxSegmenter(nn.Module):
    """A SAM model; frames pass its encoder once, however many boxes they have.

    Args:
        model: its image encoder may be in half precision. Prompts and mask decoder stay in float32: in bfloat16 a
            coordinate near 1000 px is off by up to 4 px, and they cost little.
    """

    def __init__(self, model: SamModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model
        cast("nn.Module", self.model.vision_encoder).to(dtype)

    @classmethod
    def pretrained(cls, source: str, dtype: torch.dtype = torch.float32) -> Self:
        """From a folder or a hub id such as ``facebook/sam-vit-base`` or ``facebook/sam-vit-huge``.

        Raises:
            WeightsError: it is missing, or no SAM.
        """
        return cls(load_pretrained(SamModel, source, whole=False).requires_grad_(False), dtype)

    @property
    def input_px(self) -> int:
        """Long side of the encoder's input."""
        return cast("Any", self.model.config.vision_config).image_size

    @torch.inference_mode()
    def forward(
        self, images: UInt8[Tensor, "frames height width 3"], boxes_frac: list[Float[Tensor, "_objects 4"]]
    ) -> Bool[Tensor, "frames height width"]:
        """True where any object of the frame's boxes is; on the network's device.

        Args:
            images: RGB.
            boxes_frac: of each frame's objects; a frame without any has no pixel.
        """
        device = self.model.prompt_encoder.no_mask_embed.weight.device
        masks = torch.zeros(images.shape[:3], dtype=torch.bool, device=device)
        asked = [index for index, boxes in enumerate(boxes_frac) if len(boxes)]
        if not asked:
            return masks
        pixels, height, width = self._pixels(images[torch.tensor(asked)].to(device))
        encoder = self.model.vision_encoder
        embeddings = encoder(pixels.to(next(encoder.parameters()).dtype))[0].float()
        scale = torch.tensor([width, height, width, height], dtype=torch.float32, device=device)
        for index, embedding in zip(asked, embeddings, strict=True):
            prompts = boxes_frac[index].to(device) * scale
            for part in prompts.split(MASKS_AT_ONCE):
                logits = self.model(
                    image_embeddings=embedding[None], input_boxes=part[None], multimask_output=False
                ).pred_masks[0]
                masks[index] |= self._full_size(logits, (height, width), images.shape[1:3]).any(0)
        return masks

    def _pixels(
        self, images: UInt8[Tensor, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 3 side side"], int, int]:
        """The encoder's input, and the height and width of the picture in its top left corner."""
        scale = self.input_px / max(images.shape[1:3])
        height, width = (int(side * scale + 0.5) for side in images.shape[1:3])
        x = levels(resize_levels(channels_first(images), height, width), IMAGENET_MEAN, IMAGENET_STD)
        return F.pad(x, (0, self.input_px - width, 0, self.input_px - height)), height, width

    def _full_size(
        self, logits: Float[Tensor, "objects 1 rows columns"], inner: tuple[int, int], size: torch.Size
    ) -> Bool[Tensor, "objects height width"]:
        padded = F.interpolate(logits, (self.input_px, self.input_px), mode="bilinear", align_corners=False)
        picture = padded[..., : inner[0], : inner[1]]
        return F.interpolate(picture, size, mode="bilinear", align_corners=False)[:, 0] > 0
