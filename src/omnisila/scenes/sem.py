"""Scene-enriched modelling with the embedded networks: all extractors over a video, in chunks, with bounded memory.

Source: Omni-SILA 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import torch

from omnisila import weights
from omnisila.config import Config
from omnisila.digests import digest
from omnisila.media.frames import LumaFrame
from omnisila.scenes import action, background, face, objects, relation
from omnisila.scenes.action import ActionConfig, ActionState
from omnisila.scenes.background import BackgroundConfig, BackgroundState
from omnisila.scenes.chunked import ChunkedModeling, Cutting, Sampled, VideoState, carried, distinct
from omnisila.scenes.extractor import Layout, Layouts
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.motion import SampledMotion
from omnisila.scenes.nets.efficientnet_lite import FEATURES, EfficientNetLite0
from omnisila.scenes.objects import ObjectsConfig
from omnisila.scenes.relation import RelationConfig

VISUAL_LAYOUT = Layout({"mean": FEATURES, "max": FEATURES})
LAYOUTS: dict[str, Layout] = {
    "visual": VISUAL_LAYOUT,
    "objects": objects.LAYOUT,
    "face": face.LAYOUT,
    "action": action.LAYOUT,
    "relation": relation.LAYOUT,
    "background": background.LAYOUT,
}
FEATURE_VERSION = 2  # raise it when the meaning of a feature changes without a change of configuration


class SEMConfig(Config):
    """Rates and sizes of all extractors: together with the weights they decide every feature.

    Slower extractors look at every n-th frame of ``rate_hz``, the rate of the visual encoder and the poses.
    """

    rate_hz: float = 4.0
    long_side_px: int = 416  # frames are scaled down to this, never up
    luma_per_frame: int = 3
    chunk_frames: int = 32
    shard_s: float = 300.0
    visual_batch: int = 16
    face: FaceConfig = FaceConfig()
    objects: ObjectsConfig = ObjectsConfig()
    action: ActionConfig = ActionConfig()
    relation: RelationConfig = RelationConfig()
    background: BackgroundConfig = BackgroundConfig()

    @property
    def digest(self) -> str:
        """SHA-256 over configuration, weights and the features' version."""
        parts = (self.model_dump_json(), weights.digest(), str(FEATURE_VERSION))
        return digest(*parts)

    def at_rate(self, rate_hz: float) -> Self:
        """The same extractors on another grid of frames; detection, faces and background keep their own rates."""
        return self.replace(rate_hz=rate_hz, action=self.action.replace(rate_hz=rate_hz))

    def build(self) -> "SceneEnrichedModeling":
        return SceneEnrichedModeling(self)


@dataclass(kw_only=True)
class EmbeddedState(VideoState):
    """What the embedded extractors remember of a video."""

    motion: SampledMotion
    action: ActionState = field(default_factory=ActionState)
    background: BackgroundState = field(default_factory=BackgroundState)


class SceneEnrichedModeling(ChunkedModeling[EmbeddedState]):
    """The four scene extractors, the object detector and the visual encoder."""

    def __init__(self, config: SEMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EfficientNetLite0.pretrained()
        self.face = config.face.build(self.encoder)
        self.objects = config.objects.build()
        self.action = config.action.build()
        self.relation = config.relation.build()
        self.background = config.background.build(self.encoder)

    @property
    def layouts(self) -> Layouts:
        return LAYOUTS

    @property
    def rates_hz(self) -> Mapping[str, float]:
        config = self.config
        return {
            "face": config.face.rate_hz,
            "objects": config.objects.rate_hz,
            "relation": config.relation.rate_hz,
            "background": config.background.rate_hz,
        }

    @property
    def cutting(self) -> Cutting:
        return Cutting(self.config.rate_hz, self.config.chunk_frames, self.config.shard_s)

    def _begun(self, seconds: dict[str, float]) -> EmbeddedState:
        motion = SampledMotion(self.config.action.motion.build(), self.config.rate_hz)
        return EmbeddedState(seconds=seconds, motion=motion)

    def _chunk(self, chunk: list[LumaFrame], following: LumaFrame | None, state: EmbeddedState) -> dict[str, Sampled]:
        images, copy_of = distinct(chunk)
        times_s = self._times_s(chunk, state)
        streams: dict[str, Sampled] = {}
        with state.timed("visual"):
            parts = [self.encoder.embed(part) for part in images.split(self.config.visual_batch)]
            pooled = torch.cat([torch.cat([part.mean, part.max], 1) for part in parts])[copy_of, None]
            streams["visual"] = Sampled(pooled, torch.ones(len(chunk), 1, dtype=torch.bool))
        with state.timed("objects"):
            at = self._sampled("objects", chunk, state)
            seen, state.tracker = self.objects(images[copy_of[at]], [times_s[i] for i in at], state.tracker)
            streams["objects"] = Sampled(*self.objects.rows(seen))
        with state.timed("relation"):
            streams["relation"] = Sampled(*self.relation(seen))
        with state.timed("action"):
            everywhere = carried(seen, at, times_s, state)
            motion, moving = state.motion(chunk, following)
            values, mask, state.action = self.action(images[copy_of], times_s, everywhere, motion, moving, state.action)
            streams["action"] = Sampled(values, mask)
        with state.timed("face"):
            at = self._sampled("face", chunk, state)
            streams["face"] = Sampled(*self.face(images[copy_of[at]]))
        with state.timed("background"):
            at = self._sampled("background", chunk, state)
            boxes = [torch.stack([t.box for t in everywhere[i]]) if everywhere[i] else torch.zeros(0, 4) for i in at]
            values, mask, state.background = self.background(images[copy_of[at]], boxes, state.background)
            streams["background"] = Sampled(values, mask)
        return streams
