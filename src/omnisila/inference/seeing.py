"""Windows as a run's model reads them: scenes from the features, pictures through the model's own tower."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from omnisila.data.causes.attribution import clauses
from omnisila.data.causes.evidence import seen_in
from omnisila.media.sampling import each_at
from omnisila.models.checkpoint import Run
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities, SceneShard, to_device
from omnisila.scenes.windows import Window, WindowBatch, stack
from omnisila.schema import Span

See = Callable[[Sequence[Window]], WindowBatch]
MOST_TOLD = 12  # statements about a window in a prompt
GREY = 127


def seeing(run: Run, video: Path, shards: Callable[[Span], Iterable[SceneShard]] | None = None) -> See:
    """How windows of a video become the model's input.

    The compact model sees the extractors' visual stream. For a pretrained Video-LLM the windows' frames are decoded
    again, at full size, and each is held only at its tower's size. A plain one sees the nearest frame where a window
    reaches beyond the video, since nothing has taught it to pass over a gap.

    Args:
        shards: gives those that a span touches, for a model that is told what was seen in words.
    """

    @torch.inference_mode()
    def see(items: Sequence[Window]) -> WindowBatch:
        batch = stack(items)
        way = run.record.zero_shot
        scenes = to_device(batch.scenes, run.device)
        if run.pretrained is None:
            return WindowBatch(scenes, Entities(batch.visual.values.to(run.device), batch.visual.mask.to(run.device)))
        shown = pictures(run.pretrained, video, items, run.device)
        there = batch.visual.mask.any(-1)
        visual = run.pretrained.see(shown.frames, there if way is None else there | True, [shown.video_px] * len(items))
        if way is not None:
            visual = visual._replace(
                times_s=tuple(tuple(time_s - item.times_s[0] for time_s in item.times_s) for item in items)
            )
        if way is None or not way.scene_text or shards is None:
            return WindowBatch(scenes, visual)
        return WindowBatch(scenes, visual, tuple(scene_text(shards(item.span), item.span) for item in items))

    return see


def scene_text(shards: Iterable[SceneShard], span: Span) -> str:
    """What the extractors saw in a span, as a prompt's first line; empty where they saw nothing."""
    told = "; ".join(clause.text for clause in clauses(*seen_in(shards, [span]))[:MOST_TOLD])
    return f"Detectors saw in this clip: {told}.\n" if told else ""


def seeing_nothing(run: Run) -> WindowBatch:
    """An empty video as a plain Video-LLM sees it: one window of grey frames, without a word of scenes."""
    llm = run.pretrained
    assert llm is not None  # a plain one is
    grey = torch.full((1, run.record.window.frames, *llm.backbone.size_px, 3), GREY, dtype=torch.uint8)
    there = torch.ones(grey.shape[:2], dtype=torch.bool)
    return WindowBatch({}, llm.see(grey.to(run.device), there, [llm.backbone.size_px]))


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
        shown[frame.time_s] = llm.backbone.fit_frames(frame.image.to(device).unsqueeze(0))[0]
    frames = torch.stack([torch.stack([shown[time_s] for time_s in window.times_s]) for window in items])
    return Pictures(frames, (height_px, width_px))
