"""Qwen3-VL: each temporal patch behind its time in words; features of three tower layers also enter deep layers.

The times are written as ``<1.2 seconds>``, the mean over the frames of a temporal patch.
Source: Qwen3-VL Technical Report 2025; checkpoints ``Qwen/Qwen3-VL-*-Instruct``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from omnisila.models.backbone import CHATML, Footage, VideoSettings
from omnisila.models.backbones.qwen2_5_vl import Qwen25VL, fitting_size

USUAL = VideoSettings(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5), size={})  # of the released checkpoints
SMALLEST, LARGEST = 4, 768  # tokens of a frame; the checkpoint's own limits are for whole videos


class Qwen3VL(Qwen25VL):
    """Frames keep about their shape; time stands in the words, so positions tell place alone."""

    template = CHATML
    times_in_positions = False

    def __init__(self, model: Any, settings: VideoSettings, size_px: tuple[int, int], rate_hz: float) -> None:
        super().__init__(model, settings, size_px, rate_hz)
        self.rate_hz = rate_hz
        self.features *= 1 + len(self.deep_layers())

    def deep_layers(self) -> Sequence[nn.Module]:
        """The language model's first layers, one for each tower layer that is fed in deep."""
        deep = len(self.model.config.vision_config.deepstack_visual_indexes)
        return tuple(self.model.model.language_model.layers[:deep])

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """Each temporal patch's time, and its tokens between the marks of a picture."""
        known = list(times_s) or [number / self.rate_hz for number in range(frames)]
        known += known[-1:] * (-len(known) % self.frames_per_step)
        parts: list[str | int] = []
        for first in range(0, len(known), self.frames_per_step):
            both = known[first], known[first + self.frames_per_step - 1]
            parts += [f"<{sum(both) / 2:.1f} seconds><|vision_start|>", self.patches, "<|vision_end|>"]
        return tuple(parts)

    def merged(
        self, patches: Float[Tensor, "patches pixels"], grid: Int[Tensor, "videos 3"]
    ) -> Float[Tensor, "videos merged features"]:
        """Merged patches with those of the deep layers beside them."""
        seen = self.model.model.get_video_features(patches, grid, return_dict=True)
        deep = seen.deepstack_features if self.deep_layers() else ()
        layers = [torch.stack(tuple(layer)) for layer in (seen.pooler_output, *deep)]
        return torch.cat(layers, dim=-1)


def build(model: Any, settings: dict[str, Any], footage: Footage, family: type[Qwen3VL] = Qwen3VL) -> Qwen3VL:
    """For footage of that size and rate.

    Args:
        family: that or one with the same frames.

    Raises:
        InputError: a frame more than 200 times as long as wide.
    """
    vision = model.config.vision_config
    block_px = vision.patch_size * vision.spatial_merge_size
    limits = (tokens * block_px**2 for tokens in (SMALLEST, LARGEST))
    size_px = fitting_size(footage.height_px, footage.width_px, block_px, *limits)
    return family(model, USUAL.changed_by({**settings, "size": {}}), size_px, footage.rate_hz)
