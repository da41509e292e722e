"""InternVL 3: square frames in one tile each, patches folded 2 x 2, frames numbered in words.

The authors' prompt numbers frames and tells no times.
Source: Zhu et al. 2025, InternVL3; checkpoints in the transformers format, ``OpenGVLab/InternVL3-*-hf``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from omnisila.models.backbone import CHATML, Backbone, Footage, VideoSettings, preprocess
from omnisila.scenes.extractor import Entities

USUAL = VideoSettings(  # ImageNet's statistics, as the released checkpoints state
    image_mean=(0.485, 0.456, 0.406), image_std=(0.229, 0.224, 0.225), size={}
)


class InternVL(Backbone):
    """Frames become squares of the tower's own size; its features are projected where they are made."""

    template = CHATML._replace(video_token="<IMG_CONTEXT>", after_video="\n")

    frame_wise = True

    def __init__(self, model: Any, settings: VideoSettings) -> None:
        super().__init__(model)
        self.settings = settings
        height_px, width_px = model.config.vision_config.image_size
        self.size_px: tuple[int, int] = (height_px, width_px)
        self.patches: int = model.config.image_seq_length
        self.features: int = model.config.get_text_config().hidden_size
        self.step_tokens = self.patches

    def tower(self) -> nn.Module:
        return self.model.model.vision_tower

    def token_count(self, frames: int) -> int:
        """Every folded patch of every frame."""
        return frames * self.patches

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """Each frame's number, and its tokens between the marks of a picture."""
        lead = (f"{chr(10) if number else ''}Frame{number + 1}: <img>" for number in range(frames))
        return tuple(part for words in lead for part in (words, self.patches, "</img>"))

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Folded and projected patches of every frame."""
        pixels = preprocess(frames.to(self.model.device), self.size_px, self.settings)
        seen = self.model.model.get_image_features(pixels, return_dict=True).pooler_output
        values = seen.unflatten(0, frames.shape[:2])
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """The features as they are, zero for frames that are masked out."""
        return (visual.values * visual.mask.unsqueeze(-1)).flatten(1, 2)


def build(model: Any, settings: dict[str, Any], _footage: Footage) -> InternVL:
    """Size and rate of the footage do not matter to this family."""
    return InternVL(model, USUAL.changed_by({**settings, "size": {}}))
