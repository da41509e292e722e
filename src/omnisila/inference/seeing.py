"""Windows as a run's model reads them: scenes from the features, pictures through the model's own tower."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from omnisila.media.sampling import each_at
from omnisila.models.checkpoint import Run
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities, to_device
from omnisila.scenes.windows import Window, WindowBatch, stack

See = Callable[[Sequence[Window]], WindowBatch]


def seeing(run: Run, video: Path) -> See:
    """How windows of a video become the model's input.

    The compact model sees the extractors' visual stream. For a pretrained Video-LLM the windows' frames are decoded
    again, at full size, and each is held only at its tower's size.
    """

    @torch.inference_mode()
    def see(items: Sequence[Window]) -> WindowBatch:
        batch = stack(items)
        scenes = to_device(batch.scenes, run.device)
        if run.pretrained is None:
            return WindowBatch(scenes, Entities(batch.visual.values.to(run.device), batch.visual.mask.to(run.device)))
        shown = pictures(run.pretrained, video, items, run.device)
        there = batch.visual.mask.any(-1)
        return WindowBatch(scenes, run.pretrained.see(shown.frames, there, [shown.video_px] * len(items)))

    return see


class Pictures(NamedTuple):
    """Windows' frames at the tower's size, and (height, width) that the video has itself."""

    frames: UInt8[Tensor, "windows frames height width 3"]
    video_px: tuple[int, int]


def pictures(llm: TransformersVideoLLM, video: Path, items: Sequence[Window], device: torch.device) -> Pictures:
    """The windows' frames; one outside the video is the nearest (and masked elsewhere)."""
    shown: dict[float, Tensor] = {}
    height_px = width_px = 0
    for frame in each_at(video, (time_s for window in items for time_s in window.times_s)):
        height_px, width_px = frame.image.shape[:2]  # the same for all: media gives a video one size
        shown[frame.time_s] = llm.backbone.fitted(frame.image.to(device).unsqueeze(0))[0]
    frames = torch.stack([torch.stack([shown[time_s] for time_s in window.times_s]) for window in items])
    return Pictures(frames, (height_px, width_px))
