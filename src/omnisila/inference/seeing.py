"""Windows as a run's model reads them: scenes from the features, pictures through the model's own tower."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from omnisila.media.sampling import each_at
from omnisila.models.checkpoint import Run
from omnisila.models.visual_tower import VisualTower
from omnisila.scenes.extractor import Entities, SceneInputs
from omnisila.scenes.windows import Window, WindowBatch, stack

See = Callable[[Sequence[Window]], WindowBatch]


def seeing(run: Run, video: Path) -> See:
    """How windows of a video become the model's input.

    Without a tower the extractors' visual stream is what the model sees. With one, the windows' frames are decoded
    again, at full size, and each is held only at the tower's size.
    """

    @torch.inference_mode()
    def see(items: Sequence[Window]) -> WindowBatch:
        batch = stack(items)
        scenes = SceneInputs(*(_on(run.device, scene) for scene in batch.scenes))
        if run.tower is None:
            return WindowBatch(scenes, _on(run.device, batch.visual))
        visual = run.tower.encode(pictures(run.tower, video, items, run.device))
        there = batch.visual.mask.any(-1, keepdim=True).to(visual.mask.device)
        return WindowBatch(scenes, Entities(visual.values, visual.mask & there))

    return see


def pictures(
    tower: VisualTower, video: Path, items: Sequence[Window], device: torch.device
) -> UInt8[Tensor, "windows frames height width 3"]:
    """The windows' frames at the tower's size; one outside the video is the nearest (and masked elsewhere)."""
    shown = {
        frame.time_s: tower.fitted(frame.image.to(device).unsqueeze(0))[0]
        for frame in each_at(video, (time_s for window in items for time_s in window.times_s))
    }
    return torch.stack([torch.stack([shown[time_s] for time_s in window.times_s]) for window in items])


def _on(device: torch.device, entities: Entities) -> Entities:
    return Entities(entities.values.to(device), entities.mask.to(device))
