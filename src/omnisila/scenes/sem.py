"""Scene-enriched modelling: all extractors over a video, in chunks, with bounded memory.

Source: Omni-SILA 3.1.
"""

import hashlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila import weights
from omnisila.config import Config
from omnisila.media.frames import LumaFrame
from omnisila.scenes import action, background, face, objects, relation
from omnisila.scenes.action import ActionConfig, ActionState
from omnisila.scenes.background import BackgroundConfig, BackgroundState
from omnisila.scenes.extractor import Layout, SceneShard, SceneStream
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.motion import SampledMotion
from omnisila.scenes.nets.efficientnet_lite import FEATURES, EfficientNetLite0
from omnisila.scenes.objects import ObjectsConfig, Track, TrackerState
from omnisila.scenes.relation import RelationConfig

VISUAL_LAYOUT = Layout({"mean": FEATURES, "max": FEATURES})
LAYOUTS = {
    "visual": VISUAL_LAYOUT,
    "objects": objects.LAYOUT,
    "face": face.LAYOUT,
    "action": action.LAYOUT,
    "relation": relation.LAYOUT,
    "background": background.LAYOUT,
}
FEATURE_VERSION = 1  # raise it when the meaning of a feature changes without a change of configuration


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
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def build(self) -> "SceneEnrichedModeling":
        return SceneEnrichedModeling(self)


class Sampled(NamedTuple):
    """One extractor's rows for a run of samples."""

    values: Float[Tensor, "samples entities width"]
    mask: Bool[Tensor, "samples entities"]


@dataclass
class VideoState:
    """What one chunk of a video leaves to the next; with it, chunks give what the whole would."""

    motion: SampledMotion
    tracker: TrackerState = field(default_factory=TrackerState)
    action: ActionState = field(default_factory=ActionState)
    background: BackgroundState = field(default_factory=BackgroundState)
    last_seen: tuple[Track, ...] = ()
    frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage's seconds."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


class SceneEnrichedModeling(nn.Module):
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

    def extract(self, frames: Iterable[LumaFrame], seconds: dict[str, float] | None = None) -> Iterator[SceneShard]:
        """Shards of a video in time order; frames are taken as they are needed.

        Args:
            frames: at ``config.rate_hz``, from time 0, as ``VideoReader.with_luma`` gives them.
            seconds: filled with the seconds spent per stage.
        """
        motion = SampledMotion(self.config.action.motion.build(), self.config.rate_hz)
        state = VideoState(motion, seconds={} if seconds is None else seconds)
        source = iter(frames)
        following: LumaFrame | None = None
        while True:
            start = state.frames
            chunks: list[dict[str, Sampled]] = []
            while (left := start + self._frames_per_shard - state.frames) > 0:
                with state.timed("decode"):
                    chunk = [] if following is None else [following]
                    chunk += itertools.islice(source, min(self.config.chunk_frames, left) - len(chunk))
                    following = next(source, None)
                if not chunk:
                    break
                chunks.append(self._chunk(chunk, following, state))
            if not chunks:
                return
            yield self._shard(chunks, start, state.frames)

    @property
    def _frames_per_shard(self) -> int:
        """So many that every extractor's first sample in a shard is at the shard's start."""
        period = math.lcm(*(self._every(name) for name in LAYOUTS))
        return max(int(self.config.shard_s * self.config.rate_hz) // period, 1) * period

    def _shard(self, chunks: list[dict[str, Sampled]], start: int, end: int) -> SceneShard:
        start_s, end_s = start / self.config.rate_hz, end / self.config.rate_hz
        streams = {
            name: SceneStream(
                start_s,
                self.config.rate_hz / self._every(name),
                torch.cat([chunk[name].values for chunk in chunks]).half(),
                torch.cat([chunk[name].mask for chunk in chunks]),
            )
            for name in LAYOUTS
        }
        return SceneShard(start_s=start_s, end_s=end_s, **streams)

    def _every(self, name: str) -> int:
        """How many frames there are per sample of an extractor."""
        rates = {
            "face": self.config.face.rate_hz,
            "objects": self.config.objects.rate_hz,
            "relation": self.config.relation.rate_hz,
            "background": self.config.background.rate_hz,
        }
        return max(round(self.config.rate_hz / rates[name]), 1) if name in rates else 1

    def _chunk(self, chunk: list[LumaFrame], following: LumaFrame | None, state: VideoState) -> dict[str, Sampled]:
        first = state.frames
        images, copy_of = _distinct(chunk)
        times_s = [(first + i) / self.config.rate_hz for i in range(len(chunk))]

        def sampled(name: str) -> Tensor:
            """Places in the chunk that an extractor looks at."""
            # a range may be empty, as in a short last chunk; arange refuses that
            return torch.tensor(range(-first % self._every(name), len(chunk), self._every(name)), dtype=torch.long)

        streams: dict[str, Sampled] = {}
        with state.timed("visual"):
            parts = [self.encoder.embed(part) for part in images.split(self.config.visual_batch)]
            pooled = torch.cat([torch.cat([part.mean, part.max], 1) for part in parts])[copy_of, None]
            streams["visual"] = Sampled(pooled, torch.ones(len(chunk), 1, dtype=torch.bool))
        with state.timed("objects"):
            at = sampled("objects")
            seen, state.tracker = self.objects(images[copy_of[at]], [times_s[i] for i in at], state.tracker)
            streams["objects"] = Sampled(*self.objects.rows(seen))
        with state.timed("relation"):
            streams["relation"] = Sampled(*self.relation(seen))
        with state.timed("action"):
            everywhere = _carried(seen, at, times_s, state)
            motion, moving = state.motion(chunk, following)
            values, mask, state.action = self.action(images[copy_of], times_s, everywhere, motion, moving, state.action)
            streams["action"] = Sampled(values, mask)
        with state.timed("face"):
            streams["face"] = Sampled(*self.face(images[copy_of[sampled("face")]]))
        with state.timed("background"):
            at = sampled("background")
            boxes = [torch.stack([t.box for t in everywhere[i]]) if everywhere[i] else torch.zeros(0, 4) for i in at]
            values, mask, state.background = self.background(images[copy_of[at]], boxes, state.background)
            streams["background"] = Sampled(values, mask)
        state.frames += len(chunk)
        return streams


def _distinct(chunk: list[LumaFrame]) -> tuple[UInt8[Tensor, "distinct height width 3"], Tensor]:
    """The chunk's pictures without repetitions, and for each frame the number of its picture.

    A static camera and a still picture repeat pictures exactly; looking at each once changes no result.
    """
    pictures: list[Tensor] = []
    copy_of: list[int] = []
    for sample in chunk:
        image = sample.frame.image
        if not pictures or (image is not pictures[-1] and not torch.equal(image, pictures[-1])):
            pictures.append(image)
        copy_of.append(len(pictures) - 1)
    return torch.stack(pictures), torch.tensor(copy_of)


def _carried(
    seen: list[tuple[Track, ...]], at: Tensor, times_s: list[float], state: VideoState
) -> list[tuple[Track, ...]]:
    """The tracks at every frame: as detected, or carried on from the last detection at constant velocity."""
    detected = dict(zip(at.tolist(), seen, strict=True))
    everywhere: list[tuple[Track, ...]] = []
    for index, time_s in enumerate(times_s):
        state.last_seen = detected.get(index, state.last_seen)
        everywhere.append(tuple(track._replace(box=track.at(time_s)) for track in state.last_seen))
    return everywhere
