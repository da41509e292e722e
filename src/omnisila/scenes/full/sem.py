"""Scene-enriched modelling with the networks that the paper names. Source: Omni-SILA 3.1.

The visual stream is empty: a full-size Video-LLM has a visual tower of its own, which looks at the pictures themselves.
Its mask still says which of a window's frames the video has, and a window's ``times_s`` say when to look.
"""

from typing import Literal, Self

import torch
from pydantic import Field

from omnisila.config import Config
from omnisila.devices import default_device
from omnisila.digests import digest
from omnisila.scene_registry import scenes_of
from omnisila.scenes.chunked import Chunk, SceneEnrichedModeling, SceneExtractor
from omnisila.scenes.extractor import VISUAL, Layout, Sampled
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.full.action import FullActionConfig
from omnisila.scenes.full.checkpoints import Checkpoints
from omnisila.scenes.full.relation import FullRelationConfig, RelTRScene
from omnisila.scenes.nets.higher_hrnet import HigherHRNetConfig
from omnisila.scenes.nets.reltr import RelTR, RelTRConfig

FEATURE_VERSION = 3  # raise it when the meaning of a feature changes without a change of configuration
FULL = "full"


class FullBackgroundConfig(Config):
    """How many frames SAM and ViT take at once. It stands here since their file imports transformers, for seconds."""

    batch_size: int = 4


class FullSEMConfig(Config):
    """Rates, sizes and checkpoints of the paper's extractors.

    All look eight times a second but the background, whose two networks are the dearest.
    """

    profile: Literal["full"] = "full"  # tells the records of the two profiles apart
    checkpoints: Checkpoints = Checkpoints()
    rate_hz: float = Field(default=8.0, gt=0)
    long_side_px: int = 1333  # RelTR's limit; frames are scaled down to this, never up
    luma_per_frame: int = 1
    chunk_frames: int = Field(default=16, ge=1)
    shard_s: float = Field(default=300.0, gt=0)
    background_hz: float = Field(default=1.0, gt=0)
    face: FaceConfig = FaceConfig(rate_hz=8.0, batch_size=8)
    action: FullActionConfig = FullActionConfig()
    relation: FullRelationConfig = FullRelationConfig()
    background: FullBackgroundConfig = FullBackgroundConfig()
    pose_net: HigherHRNetConfig = HigherHRNetConfig()
    relation_net: RelTRConfig | None = None  # None takes the published sizes and the checkpoint's vocabulary
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"  # the first GPU where there is one; not part of the digest

    @property
    def digest(self) -> str:
        """SHA-256 over configuration, the checkpoints' content and the features' version.

        Raises:
            WeightsError: a checkpoint is missing.
        """
        settings = self.model_dump_json(exclude={"checkpoints", "device"})
        others = (f"{scene.name} {scene.version}" for scene in scenes_of(FULL).values() if scene.version)
        parts = (settings, self.checkpoints.digest, str(FEATURE_VERSION), *others)
        return digest(*parts)

    def at_rate(self, rate_hz: float) -> Self:
        """The same extractors on another grid of frames; all but the poses keep their own rates."""
        return self.replace(rate_hz=rate_hz)

    @property
    def torch_dtype(self) -> torch.dtype:
        """Of the networks' numbers."""
        return getattr(torch, self.dtype)

    @property
    def torch_device(self) -> torch.device:
        return default_device() if self.device == "auto" else torch.device(self.device)

    def build(self) -> SceneEnrichedModeling:
        """MTCNN and a face network, HigherHRNet, RelTR, SAM and ViT with their weights.

        Raises:
            WeightsError: a checkpoint is missing, damaged or of another network; the message names it.
        """
        _, relation_file = self.checkpoints.pose_file, self.checkpoints.relation_file  # missing before the first load
        source = self.relation.objects.build()
        if relation_file:
            net = RelTR.from_checkpoint(relation_file, self.relation_net).to(self.torch_device, self.torch_dtype)
            source = RelTRScene(self.relation, net)
        scenes = {name: scene.extractor(FULL).of_profile(self, source) for name, scene in scenes_of(FULL).items()}
        return SceneEnrichedModeling(self, source, {VISUAL: NoVisual(), **scenes})


class NoVisual(SceneExtractor):
    """Stands for the visual encoder: a full-size Video-LLM looks at the pictures itself."""

    layout = Layout({})
    needs_objects = False

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        count = len(chunk.frames)
        return Sampled(torch.zeros(count, 1, 0), torch.ones(count, 1, dtype=torch.bool)), state
