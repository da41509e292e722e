"""Scene-enriched modelling with the networks that the paper names. Source: Omni-SILA 3.1.

The visual stream is empty: a full-size Video-LLM has a visual tower of its own, which looks at the pictures themselves.
Its mask still says which of a window's frames the video has, and a window's ``times_s`` say when to look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field

from omnisila import weights
from omnisila.config import Config
from omnisila.digests import digest
from omnisila.media.frames import LumaFrame
from omnisila.scenes.chunked import ChunkedModeling, Cutting, Sampled, VideoState, carried, distinct
from omnisila.scenes.extractor import Layout, Layouts
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.full.action import FullActionConfig, FullActionExtractor
from omnisila.scenes.full.background import FullBackgroundConfig, FullBackgroundExtractor, movable
from omnisila.scenes.full.face import FullFaceExtractor
from omnisila.scenes.full.relation import FullRelationConfig, GeometricScene, RelationScene, RelTRScene
from omnisila.scenes.nets.expression import ExpressionNet
from omnisila.scenes.nets.expression_classifier import ExpressionClassifier
from omnisila.scenes.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from omnisila.scenes.nets.reltr import RelTR, RelTRConfig
from omnisila.scenes.nets.sam import BoxSegmenter
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.scenes.objects import TrackerState
from omnisila.scenes.relation import RelationConfig
from omnisila.weights.checkpoint_files import checkpoint, file_digest, folder_digest, located

FEATURE_VERSION = 2  # raise it when the meaning of a feature changes without a change of configuration
VISUAL_LAYOUT = Layout({})

_POSE_SOURCE = "pose_higher_hrnet_w32_512.pth is in the model zoo of github.com/HRNet/HigherHRNet-Human-Pose-Estimation"
_RELATION_SOURCE = "checkpoint0149.pth is linked in the README of github.com/yrcong/RelTR"


class Checkpoints(Config):
    """Where the networks' weights are: files, folders of transformers, or ids on its hub.

    A relative path is looked for here, then in ``$OMNISILA_MODELS``. Where the weights lie does not enter the digest;
    what is in them does.

    Attributes:
        pose: HigherHRNet, as published or converted to safetensors.
        relation: RelTR, for Visual Genome or Open Images; None takes the embedded detector and geometric predicates.
        segmentation: SAM of any size.
        background: ViT.
        expression: an image classifier of the seven expressions; None takes the embedded network.
    """

    pose: str = "pose_higher_hrnet_w32_512.pth"
    relation: str | None = "checkpoint0149.pth"
    segmentation: str = "facebook/sam-vit-base"
    background: str = "google/vit-base-patch16-224-in21k"
    expression: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over the content of all of them.

        Raises:
            WeightsError: one is not there; the message says where to get it.
        """
        parts = [
            file_digest(self.pose_file),
            file_digest(self.relation_file) if self.relation_file else "",
            folder_digest(located(self.segmentation)),
            folder_digest(located(self.background)),
            folder_digest(located(self.expression)) if self.expression else "",
            weights.digest(),
        ]
        return digest(*parts)

    @property
    def pose_file(self) -> Path:
        """HigherHRNet's checkpoint."""
        return checkpoint(self.pose, _POSE_SOURCE)

    @property
    def relation_file(self) -> Path | None:
        """RelTR's checkpoint."""
        return checkpoint(self.relation, _RELATION_SOURCE) if self.relation else None


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
            WeightsError: a checkpoint is not there.
        """
        settings = self.model_dump_json(exclude={"checkpoints", "device"})
        parts = (settings, self.checkpoints.digest, str(FEATURE_VERSION))
        return digest(*parts)

    def at_rate(self, rate_hz: float) -> Self:
        """The same extractors on another grid of frames; all but the poses keep their own rates."""
        return self.replace(rate_hz=rate_hz)

    def build(self) -> "FullSceneEnrichedModeling":
        """Load every network; what is missing is said before the first long load.

        Raises:
            WeightsError: a checkpoint is missing, damaged or of another network; the message names it.
        """
        where, dtype, device = self.checkpoints, getattr(torch, self.dtype), _device(self.device)
        pose_file, relation_file = where.pose_file, where.relation_file
        segmenter = BoxSegmenter.pretrained(located(where.segmentation), dtype)
        encoder = FrameEncoder.pretrained(located(where.background), dtype)
        describer = (
            ExpressionClassifier.pretrained(located(where.expression), dtype)
            if where.expression
            else ExpressionNet.pretrained()
        )
        pose = HigherHRNet.from_official(pose_file, self.pose_net).to(dtype)
        relation = (
            RelTRScene(self.relation, RelTR.from_checkpoint(relation_file, self.relation_net).to(device, dtype))
            if relation_file
            else GeometricScene(self.relation.objects.build(), RelationConfig().build())
        )
        return FullSceneEnrichedModeling(
            self,
            FullFaceExtractor(self.face, self.face.detector(), describer).to(device),
            FullActionExtractor(self.action, pose).to(device),
            relation,
            FullBackgroundExtractor(self.background, segmenter, encoder).to(device),
        )


@dataclass
class FullState(VideoState):
    """What the full profile remembers of a video: whose poses are followed, beside the objects."""

    people: TrackerState = field(default_factory=TrackerState)


class FullSceneEnrichedModeling(ChunkedModeling[FullState]):
    """MTCNN and a face network, HigherHRNet, RelTR, SAM and ViT over a video."""

    def __init__(
        self,
        config: FullSEMConfig,
        face: FullFaceExtractor,
        action: FullActionExtractor,
        relation: RelationScene,
        background: FullBackgroundExtractor,
    ) -> None:
        super().__init__()
        self.config = config
        self.face, self.action, self.relation, self.background = face, action, relation, background

    @property
    def layouts(self) -> Layouts:
        return {
            "visual": VISUAL_LAYOUT,
            "objects": self.relation.objects_layout,
            "face": self.face.layout,
            "action": self.action.layout,
            "relation": self.relation.layout,
            "background": self.background.layout,
        }

    @property
    def rates_hz(self) -> Mapping[str, float]:
        objects_hz = self.config.relation.objects.rate_hz
        return {
            "face": self.config.face.rate_hz,
            "objects": objects_hz,
            "relation": objects_hz,
            "background": self.config.background_hz,
        }

    @property
    def cutting(self) -> Cutting:
        return Cutting(self.config.rate_hz, self.config.chunk_frames, self.config.shard_s)

    def _begun(self, seconds: dict[str, float]) -> FullState:
        return FullState(seconds=seconds)

    def _chunk(self, chunk: list[LumaFrame], following: LumaFrame | None, state: FullState) -> dict[str, Sampled]:
        del following  # motion between frames is not part of this profile
        images, copy_of = distinct(chunk)
        times_s = self._times_s(chunk, state)
        streams = {"visual": Sampled(torch.zeros(len(chunk), 1, 0), torch.ones(len(chunk), 1, dtype=torch.bool))}
        with state.timed("relation"):
            at = self._sampled("relation", chunk, state)
            looked = self.relation.look(images, copy_of[at], [times_s[i] for i in at], state.tracker)
            streams["objects"], streams["relation"], state.tracker = looked.objects, looked.relation, looked.tracker
            everywhere = carried(looked.seen, at, times_s, state)
        with state.timed("action"):
            poses = self.action.detect(images)
            values, mask, state.people = self.action([poses[i] for i in copy_of], times_s, state.people)
            streams["action"] = Sampled(values, mask)
        with state.timed("face"):
            at = self._sampled("face", chunk, state)
            streams["face"] = Sampled(*self.face(images[copy_of[at]]))
        with state.timed("background"):
            at = self._sampled("background", chunk, state)
            names = self.relation.objects_layout.words["class"]
            streams["background"] = Sampled(
                *self.background(images[copy_of[at]], [movable(everywhere[i], names) for i in at])
            )
        return streams


def _device(name: str) -> torch.device:
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
