"""VideoLLaMA 3: frames of any shape, merged by 2 x 2 bilinearly, each behind its time in words.

Tokens that hardly change from frame to frame are kept, where the authors by option leave them out.
Source: Zhang et al. 2025, VideoLLaMA 3; checkpoints in the transformers format, ``lkhl/VideoLLaMA3-*-Image-HF``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from omnisila.models.backbone import CHATML, Backbone, Footage, VideoSettings
from omnisila.models.backbones.qwen2_5_vl import Qwen25VL, fitting_size
from omnisila.models.tokens import Tokens
from omnisila.scenes.extractor import Entities

USUAL = VideoSettings(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5), size={})  # of the released checkpoints
MERGE = 2  # of video frames; pictures are not merged
SMALLEST, LARGEST = 4, 576  # tokens of a frame


class VideoLlama3(Qwen25VL):
    """Frames keep about their shape; the language model's positions are plain."""

    template = CHATML._replace(after_video="\n")

    def __init__(self, model: Any, settings: VideoSettings, size_px: tuple[int, int], rate_hz: float) -> None:
        Backbone.__init__(self, model)
        self.settings, self.size_px, self.rate_hz = settings, size_px, rate_hz
        self.patch_px: int = model.config.vision_config.patch_size
        self.merge, self.frames_per_step = MERGE, 1
        self.grid = (size_px[0] // self.patch_px, size_px[1] // self.patch_px)
        self.patches = self.grid[0] * self.grid[1] // MERGE**2
        self.features: int = model.config.get_text_config().hidden_size
        self.step_tokens = self.patches

    def tower(self) -> nn.Module:
        return self.model.model.vision_model

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """Each frame's time, and its tokens."""
        known = list(times_s) or [number / self.rate_hz for number in range(frames)]
        lead = (f"{',' if number else ''}Time {time_s:.1f}s:" for number, time_s in enumerate(known))
        return tuple(part for words in lead for part in (words, self.patches))

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Merged and projected patches of every frame."""
        batch, count = frames.shape[:2]
        patches = self.patchify(frames.to(self.model.device))
        features = self.model.model.get_video_features(
            patches.flatten(0, 1),
            self.video_grid(batch, count).to(patches.device),
            torch.full((batch,), MERGE, device=patches.device),
            return_dict=True,
        ).pooler_output
        values = torch.stack(tuple(features)).unflatten(1, (count, self.patches))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def positions(self, tokens: Tokens) -> Int[Tensor, "batch tokens"]:
        """Each token's place in its own sequence."""
        return tokens.positions.to(self.model.device)


def build(model: Any, settings: dict[str, Any], footage: Footage) -> VideoLlama3:
    """For footage of that size and rate.

    Raises:
        InputError: a frame more than 200 times as long as wide.
    """
    block_px = model.config.vision_config.patch_size * MERGE
    limits = (tokens * block_px**2 for tokens in (SMALLEST, LARGEST))
    size_px = fitting_size(footage.height_px, footage.width_px, block_px, *limits)
    return VideoLlama3(model, USUAL.changed_by({**settings, "size": {}}), size_px, footage.rate_hz)
