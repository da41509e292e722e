"""What the visual encoder says of each frame, and of its middle at twice the detail."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from omnisila.config import Config
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled
from omnisila.scenes.nets.efficientnet_lite import FEATURES, EfficientNetLite0

WHOLE, MIDDLE, VIEWS = 0, 1, 2


class VisualConfig(Config):
    """How the encoder looks; at whole frames it looks at the profile's rate.

    Attributes:
        middle_hz: looks at the middle a second.
        batch_size: pictures at once.
    """

    middle_hz: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=16, ge=1)


class VisualExtractor(SceneExtractor):
    """Pooled features of the visual encoder, which the compact Video-LLM sees: the whole frame, and its middle.

    The middle half of each side is shown at twice the detail, in fewer frames; in the others it is absent, and not held
    until the next. What burns or has crashed is small in the frame of a camera that looks over a place (decision D266).
    """

    layout = Layout({"mean": FEATURES, "max": FEATURES})
    needs_objects = False

    def __init__(self, config: VisualConfig, encoder: EfficientNetLite0) -> None:
        self.config, self.encoder = config, encoder

    @classmethod
    def of_profile(cls, profile: Any, shared: EfficientNetLite0) -> "VisualExtractor":
        return cls(profile.visual, shared)

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        frames, places = len(chunk.frames), chunk.places(self.config.middle_hz)
        values, mask = torch.zeros(frames, VIEWS, self.layout.width), torch.zeros(frames, VIEWS, dtype=torch.bool)
        values[:, WHOLE], mask[:, WHOLE] = self._embed(chunk.images)[chunk.copy_of], True
        pictures, picture_of = chunk.distinct(self.config.middle_hz)
        values[places, MIDDLE], mask[places, MIDDLE] = self._embed(middle(pictures))[picture_of], True
        return Sampled(values, mask), state

    def _embed(self, images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch features"]:
        parts = [self.encoder.embed(part) for part in images.split(self.config.batch_size)]
        return torch.cat([torch.cat([part.mean, part.max], 1) for part in parts])


def middle(images: UInt8[Tensor, "batch height width 3"]) -> UInt8[Tensor, "batch _ _ 3"]:
    """The middle half of each side; of a side of one pixel that one."""
    height, width = images.shape[1:3]
    top, left = height // 4, width // 4
    return images[:, top : top + max(height // 2, 1), left : left + max(width // 2, 1)]
