"""Visual background modelling of the full profile: SAM's masks of the detected objects filled pure black, then ViT.

Source: Omni-SILA 3.1 (x_b).
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.media.transforms import channels_first
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled
from omnisila.scenes.full.sem import FullBackgroundConfig
from omnisila.scenes.nets.sam import BoxSegmenter
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.scenes.objects import Track
from omnisila.weights.checkpoint_files import locate_source

# What Visual Genome calls an object and is the place itself: blacked out, no background would be left.
PLACES = frozenset({
    "beach", "branch", "building", "counter", "door", "fence", "hill", "house", "leaf", "mountain", "plant", "pole",
    "post", "railing", "rock", "roof", "room", "shelf", "sidewalk", "snow", "street", "tile", "tower", "track", "tree",
    "trunk", "wave", "window",
})  # fmt: skip


class FullBackgroundExtractor(nn.Module, SceneExtractor):
    """One entity per frame: the class token of the frame without its objects."""

    def __init__(
        self, config: FullBackgroundConfig, segmenter: BoxSegmenter, encoder: FrameEncoder, rate_hz: float = 1.0
    ) -> None:
        super().__init__()
        self.config, self.segmenter, self.encoder = config, segmenter, encoder
        self.layout = Layout({"embedding": encoder.width})
        self.rate_hz = rate_hz

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "FullBackgroundExtractor":
        """The extractor with its weights.

        Raises:
            WeightsError: SAM or ViT is missing, damaged, or another network.
        """
        where, dtype = profile.checkpoints, profile.torch_dtype
        segmenter = BoxSegmenter.pretrained(locate_source(where.segmentation), dtype)
        encoder = FrameEncoder.pretrained(locate_source(where.background), dtype)
        return cls(profile.background, segmenter, encoder, profile.background_hz).to(profile.torch_device)

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        boxes = [movable(chunk.tracks[place], chunk.classes) for place in chunk.places(self.rate_hz)]
        return Sampled(*self(chunk.pictures(self.rate_hz), boxes)), state

    @torch.inference_mode()
    def forward(
        self, images: UInt8[Tensor, "frames height width 3"], boxes_frac: list[Float[Tensor, "_objects 4"]]
    ) -> tuple[Float[Tensor, "frames 1 features"], Bool[Tensor, "frames 1"]]:
        """Background entities of frames, given the boxes of what is to be blacked out in each."""
        found = [torch.zeros(0, self.encoder.width)]
        for start in range(0, len(images), self.config.batch_size):
            part = images[start : start + self.config.batch_size]
            objects = self.segmenter(part, boxes_frac[start : start + self.config.batch_size])
            black = channels_first(part.to(objects.device)) * ~objects[:, None]
            found.append(self.encoder(black).cpu())
        values = torch.cat(found)[:, None]
        return values, torch.ones(len(values), 1, dtype=torch.bool)


def movable(tracks: tuple[Track, ...], names: tuple[str, ...]) -> Float[Tensor, "objects 4"]:
    """Boxes of what is not the place itself."""
    boxes = [track.box for track in tracks if names[track.class_index] not in PLACES]
    return torch.stack(boxes) if boxes else torch.zeros(0, 4)
