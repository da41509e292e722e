"""SmolVLM 2: square frames, patches folded, each frame behind its minute and second; small enough for a processor.

Source: Marafioti et al. 2025, SmolVLM; checkpoints ``HuggingFaceTB/SmolVLM2-*-Video-Instruct``.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from omnisila.models.backbone import Backbone, ChatTemplate, Footage, VideoSettings, preprocess
from omnisila.models.backbones.internvl import InternVL
from omnisila.scenes.extractor import Entities

USUAL = VideoSettings(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5), size={})  # of the released checkpoints
MARK = "<fake_token_around_image>"
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip


class SmolVLM(InternVL):
    """Its prompt says how many frames there are and how long the video lasts.

    Pixels that are all 0 would be taken for padding by the model's own code and left out, so the tower is called by
    itself.
    """

    template = ChatTemplate(
        opening="<|im_start|>User: ",
        video_token="<image>",
        after_video="\n\n",
        closing="<end_of_utterance>\nAssistant:",
        turn="\n<|im_start|>User: ",
        end="<end_of_utterance>",
        before_answer=" ",
    )

    frame_wise = True

    def __init__(self, model: Any, settings: VideoSettings, rate_hz: float) -> None:
        Backbone.__init__(self, model)
        self.settings, self.rate_hz = settings, rate_hz
        vision = model.config.vision_config
        self.size_px: tuple[int, int] = (vision.image_size, vision.image_size)
        self.patches = (vision.image_size // vision.patch_size // model.config.scale_factor) ** 2
        self.features: int = model.config.get_text_config().hidden_size
        self.step_tokens = self.patches

    def tower(self) -> nn.Module:
        return self.model.model.vision_model

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """How many frames, how long, then each frame's minute and second, and its tokens."""
        known = list(times_s) or [number / self.rate_hz for number in range(frames)]
        count = NUMBERS[frames] if frames < len(NUMBERS) else str(frames)
        lasts = timedelta(seconds=int(known[-1] if known else 0))
        words = f"You are provided the following series of {count} frames from a {lasts} [H:MM:SS] video.\n"
        parts: list[str | int] = []
        for time_s in known:
            when = f"{int(time_s // 60):02d}:{int(time_s % 60):02d}"
            parts += [f"{words}\nFrame from {when}:{MARK}<global-img>", self.patches, MARK]
            words = ""
        return tuple(parts)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        inner, pixels = self.model.model, preprocess(frames.to(self.model.device), self.size_px, self.settings)
        side = self.size_px[0] // self.model.config.vision_config.patch_size
        there = torch.ones(len(pixels), side, side, dtype=torch.bool, device=pixels.device)
        seen = inner.vision_model(pixels.to(inner.dtype), patch_attention_mask=there, return_dict=True)
        values = inner.connector(seen.last_hidden_state).unflatten(0, frames.shape[:2])
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))


def build(model: Any, settings: dict[str, Any], footage: Footage) -> SmolVLM:
    """For footage of that rate; its size does not matter to this family."""
    return SmolVLM(model, USUAL.changed_by({**settings, "size": {}}), footage.rate_hz)
