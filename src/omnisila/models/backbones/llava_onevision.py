"""LLaVA-OneVision: SigLIP frames, a two-layer projector, patches halved by interpolation, one newline token at the end.

Also LLaVA-Video, whose checkpoints in the transformers format have the same model type.
Source: Li et al. 2024, LLaVA-OneVision; checkpoints ``llava-hf/llava-onevision-qwen2-*-ov-hf``.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from omnisila.models.backbone import Backbone, ChatTemplate, Footage, VideoSettings, preprocess
from omnisila.scenes.extractor import Entities

USUAL = VideoSettings(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5), size={})  # of the released checkpoints


class LlavaOnevision(Backbone):
    """Frames become squares of the tower's own size, so that footage of any size has the same number of tokens."""

    template = ChatTemplate(
        opening="<|im_start|>user ",
        video_token="<video>",
        before_instruction="\n",
        closing="<|im_end|><|im_start|>assistant\n",
        turn="<|im_start|>user\n",
        end="<|im_end|>",
    )

    frame_wise = True

    def __init__(self, model: Any, settings: VideoSettings) -> None:
        super().__init__(model)
        self.settings = settings
        vision = model.config.vision_config
        layers = model.config.vision_feature_layer
        self.layers: tuple[int, ...] = (layers,) if isinstance(layers, int) else tuple(layers)
        self.size_px: tuple[int, int] = (vision.image_size, vision.image_size)
        side = vision.image_size // vision.patch_size
        self.patches = side * side
        self.step_tokens = self.tokens_per_frame = math.ceil(side / 2) ** 2
        self.features: int = vision.hidden_size * len(self.layers)
        # a class token stands before the patches and is left out
        self.first_patch = int(model.config.vision_feature_select_strategy == "default")

    def tower(self) -> nn.Module:
        return self.model.model.vision_tower

    def token_count(self, frames: int) -> int:
        """Each frame's halved patches, and a newline behind the last."""
        return frames * self.tokens_per_frame + 1 if frames else 0

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """The chosen hidden layers of each frame's patches, before the projector."""
        pixels = preprocess(frames.to(self.model.device), self.size_px, self.settings)
        # naming the layers lets transformers hold no others
        seen = self.model.model.vision_tower(pixels, output_hidden_states=list(self.layers), return_dict=True)
        chosen = torch.cat([seen.hidden_states[layer] for layer in self.layers], dim=-1)[:, self.first_patch :]
        values = chosen.unflatten(0, frames.shape[:2])
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """Patches through the projector, halved, with the newline after the last frame."""
        inner = self.model.model
        projected = inner.apply_pooling(inner.multi_modal_projector(visual.values.flatten(0, 1)))
        frames = projected.unflatten(0, visual.values.shape[:2])
        absent = ~visual.mask.any(-1)[..., None, None]
        newline = inner.image_newline.expand(len(frames), 1, -1).to(frames.dtype)
        return torch.cat([frames.masked_fill(absent, 0).flatten(1, 2), newline], dim=1)


def build(model: Any, settings: dict[str, Any], _footage: Footage) -> LlavaOnevision:
    """Size and rate of the footage do not matter to this family."""
    return LlavaOnevision(model, USUAL.changed_by(settings))
