"""Scene-enriched modelling with the embedded networks.

Source: Omni-SILA 3.1.
"""

from typing import Self

from omnisila import weights
from omnisila.config import Config
from omnisila.digests import digest
from omnisila.scene_registry import scenes_of
from omnisila.scenes import objects
from omnisila.scenes.action import ActionConfig
from omnisila.scenes.background import BackgroundConfig
from omnisila.scenes.chunked import SceneEnrichedModeling
from omnisila.scenes.extractor import OBJECTS, VISUAL, Layout
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.objects import ObjectsConfig
from omnisila.scenes.relation import RelationConfig
from omnisila.scenes.visual import VisualConfig, VisualExtractor

EMBEDDED = "embedded"
NETWORKS = ("efficientnet_lite", "expression", "movenet", "mtcnn", "nanodet")  # embedded ones that scenes read
FEATURE_VERSION = 4  # raise it when the meaning of a feature changes without a change of configuration


class SEMConfig(Config):
    """Rates and sizes of all extractors: together with the weights they decide every feature.

    Slower extractors look at every n-th frame of ``rate_hz``, the rate of the visual encoder and the poses.
    """

    rate_hz: float = 4.0
    long_side_px: int = 416  # frames are scaled down to this, never up
    luma_per_frame: int = 3
    chunk_frames: int = 32
    shard_s: float = 300.0
    visual: VisualConfig = VisualConfig()
    face: FaceConfig = FaceConfig()
    objects: ObjectsConfig = ObjectsConfig()
    action: ActionConfig = ActionConfig()
    relation: RelationConfig = RelationConfig()
    background: BackgroundConfig = BackgroundConfig()

    @property
    def digest(self) -> str:
        """SHA-256 over configuration, weights and the features' version."""
        others = (f"{scene.name} {scene.version}" for scene in scenes_of(EMBEDDED).values() if scene.version)
        parts = (self.model_dump_json(), weights.digest(NETWORKS), str(FEATURE_VERSION), *others)
        return digest(*parts)

    def at_rate(self, rate_hz: float) -> Self:
        """The same extractors on another grid of frames; detection, faces and background keep their own rates."""
        return self.replace(rate_hz=rate_hz, action=self.action.replace(rate_hz=rate_hz))

    def build(self) -> SceneEnrichedModeling:
        """The embedded networks with their weights."""
        encoder = EfficientNetLite0.pretrained()
        scenes = {
            name: scene.extractor(EMBEDDED).of_profile(self, encoder) for name, scene in scenes_of(EMBEDDED).items()
        }
        extractors = {VISUAL: VisualExtractor.of_profile(self, encoder), **scenes}
        return SceneEnrichedModeling(self, self.objects.build(), extractors)


def embedded_layouts() -> dict[str, Layout]:
    """What each number of each stream of the embedded profile means; known without its networks."""
    scenes = {name: scene.extractor(EMBEDDED).layout for name, scene in scenes_of(EMBEDDED).items()}
    return {VISUAL: VisualExtractor.layout, OBJECTS: objects.LAYOUT, **scenes}
