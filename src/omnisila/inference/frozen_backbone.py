"""A pretrained Video-LLM as it is, without adapters: what is asked, probed, or describes clips."""

from typing import NamedTuple

import torch

from omnisila.inference.querying import VIDEO_LLM_FRAMES, Sight
from omnisila.models.probing import PooledLLM
from omnisila.models.video_backbone import VideoBackboneConfig

SHOWN_RATE_HZ = 1.0  # 8 frames of a reaction of about ten seconds; for position ids that tell the time


class FrozenBackbone(NamedTuple):
    """A Video-LLM, and how it sees clips."""

    llm: PooledLLM
    sight: Sight


def frozen_backbone(source: str, frames: int = VIDEO_LLM_FRAMES, device: torch.device | None = None) -> FrozenBackbone:
    """A Video-LLM from a folder or a hub id: in bfloat16 on a GPU, where there is one, else in float32.

    Args:
        source: of any family of ``models/backbones``, or a Video-LLaVA.
        frames: of a clip that it is shown.

    Raises:
        WeightsError: it is not there, damaged, or of another family.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = VideoBackboneConfig(
        source=source, lora=None, precision="bfloat16" if device.type == "cuda" else "float32"
    )  # fmt: skip
    llm, tower = config.load(device, SHOWN_RATE_HZ)
    return FrozenBackbone(llm, Sight(tower, frames))
