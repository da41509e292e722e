"""Windows as a run's model reads them: scenes from the features, pictures through the model's own tower."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, UInt8
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
MOST_KEPT = 128  # frames whose features are kept


def window_reader(run: Run, video: Path, shards: Callable[[Span], Iterable[SceneShard]] | None = None) -> See:
    """How windows of a video become the model's input.

    The compact model sees the extractors' visual stream. For a pretrained Video-LLM the windows' frames are decoded
    again, at full size, and each is held only at its tower's size. A plain one sees the nearest frame where a window
    reaches beyond the video, since nothing has taught it to pass over a gap.

    Args:
        shards: gives those that a span touches, for a model that is told what was seen in words.
    """

    tower = None if run.pretrained is None else KeptFeatures(run.pretrained, video, run.device)

    @torch.inference_mode()
    def see(items: Sequence[Window]) -> WindowBatch:
        batch = stack(items)
        way = run.record.zero_shot
        scenes = to_device(batch.scenes, run.device)
        if tower is None:
            return WindowBatch(scenes, Entities(batch.visual.values.to(run.device), batch.visual.mask.to(run.device)))
        there = batch.visual.mask.any(-1)
        visual = tower.see([item.times_s for item in items], there if way is None else there | True)
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


def blank_window(run: Run) -> WindowBatch:
    """An empty video as a plain Video-LLM sees it: one window of grey frames, without a word of scenes."""
    llm = run.pretrained
    assert llm is not None  # a plain one is
    grey = torch.full((1, run.record.window.frames, *llm.backbone.size_px, 3), GREY, dtype=torch.uint8)
    there = torch.ones(grey.shape[:2], dtype=torch.bool)
    return WindowBatch({}, llm.see(grey.to(run.device), there, [llm.backbone.size_px]))


class KeptFeatures:
    """A video's frames through the tower, of which the last are kept: neighbouring windows share half of theirs.

    What a tower with temporal attention makes of a window is kept as a whole.

    Args:
        most: frames that are kept; of Video-LLaVA-7B 64 take 34 MB in 16 bits.
    """

    def __init__(self, llm: TransformersVideoLLM, video: Path, device: torch.device, most: int = MOST_KEPT) -> None:
        self.llm, self.video, self.device, self.most = llm, video, device, most
        self.encoded = 0  # frames that the tower has looked at
        self._kept: dict[tuple[float, ...], Entities] = {}

    def see(self, times_s: Sequence[tuple[float, ...]], there: Bool[Tensor, "windows frames"]) -> Entities:
        """Features of windows' frames; one outside the video is the nearest.

        Args:
            times_s: of each window's frames.
            there: those that lie in the video; the others are masked out.
        """
        alone = self.llm.backbone.frame_wise
        rows = [[(time_s,) for time_s in window] if alone else [window] for window in times_s]
        wanted = dict.fromkeys(unit for row in rows for unit in row)
        self._encode([unit for unit in wanted if unit not in self._kept])
        for unit in wanted:
            self._kept[unit] = self._kept.pop(unit)  # those asked for last stand last
        area = self._kept[rows[0][0]].area
        values = torch.cat([torch.cat([self._kept[unit].values for unit in row], 1) for row in rows])
        mask = torch.cat([torch.cat([self._kept[unit].mask for unit in row], 1) for row in rows])
        for unit in list(self._kept)[: max(sum(map(len, self._kept)) - self.most, 0) // len(rows[0][0])]:
            del self._kept[unit]
        return Entities(
            values, mask & there.to(mask.device).unsqueeze(-1), None if area is None else area.expand(len(rows), -1)
        )

    def _encode(self, units: Sequence[tuple[float, ...]]) -> None:
        if not units:
            return
        shown = pictures(self.llm, self.video, units, self.device)
        all_there = torch.ones(shown.frames.shape[:2], dtype=torch.bool)
        seen = self.llm.see(shown.frames, all_there, [shown.video_px] * len(units))
        self.encoded += shown.frames.shape[0] * shown.frames.shape[1]
        for row, unit in enumerate(units):
            area = None if seen.area is None else seen.area[row : row + 1]
            self._kept[unit] = Entities(seen.values[row : row + 1].clone(), seen.mask[row : row + 1], area)


class Pictures(NamedTuple):
    """Windows' frames at the tower's size, and (height, width) that the video has itself."""

    frames: UInt8[Tensor, "windows frames height width 3"]
    video_px: tuple[int, int]


def pictures(
    llm: TransformersVideoLLM, video: Path, times_s: Sequence[tuple[float, ...]], device: torch.device
) -> Pictures:
    """The frames at each window's times; one outside the video is the nearest."""
    shown: dict[float, Tensor] = {}
    height_px = width_px = 0
    for frame in each_at(video, (time_s for window in times_s for time_s in window)):
        height_px, width_px = frame.image.shape[:2]  # the same for all: media gives a video one size
        shown[frame.time_s] = llm.backbone.fit_frames(frame.image.to(device).unsqueeze(0))[0]
    frames = torch.stack([torch.stack([shown[time_s] for time_s in window]) for window in times_s])
    return Pictures(frames, (height_px, width_px))
