"""The scenes a model looks at, each one entry of a table. Source: Omni-SILA 3.1 and 3.2.

An entry names a scene's parts; what needs torch is named by its place in the code (``module:object``) and imported when
it is used. The order of the table is that of experts in weights, of weights in records and of colours on the page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from omnisila.errors import unknown


@dataclass(frozen=True)
class Scene:
    """One scene: its extractors, its expert, and its words wherever people or models read of it.

    Attributes:
        name: in records, caches and weights.
        expert: what the paper calls its expert.
        title: on the page.
        description: in "Please describe the ...". Source: Omni-SILA 3.4.
        aspect: where an annotating model is to look.
        colours: on the page, light and dark.
        extractors: profile -> its ``omnisila.scenes.extractor.SceneExtractor``.
        evidence: field of ``schema.Evidence`` -> the function that reads its records from a stream and its layout.
        version: enters the extractors' digest; empty where the profile's configuration already says it all.
    """

    name: str
    expert: str
    title: str
    description: str
    aspect: str
    colours: tuple[str, str]
    extractors: Mapping[str, str]
    evidence: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def extractor(self, profile: str) -> Any:
        """The class of its extractor in a profile of extractors, ``embedded`` or ``full``."""
        return resolve_name(self.extractors[profile])

    def records(self, stream: Any, layout: Any) -> Iterator[tuple[str, Any]]:
        """Fields of ``schema.Evidence``, and what its extractor saw in a stream."""
        for kind, place in self.evidence.items():
            yield kind, resolve_name(place)(stream, layout)


_TABLE = (
    Scene(
        name="face",
        expert="FEE",
        title="Faces",
        description="facial",
        aspect="the faces: expressions, gaze and how they change from picture to picture",
        colours=("#df962b", "#e2a64c"),
        extractors={
            "embedded": "omnisila.scenes.face:FaceExtractor",
            "full": "omnisila.scenes.full.face:FullFaceExtractor",
        },
        evidence={"faces": "omnisila.scenes.face:evidence"},
    ),
    Scene(
        name="action",
        expert="HAE",
        title="Actions",
        description="action",
        aspect="what people or animals do: posture, movement, gestures and who acts on whom",
        colours=("#3b6fae", "#6c9ddb"),
        extractors={
            "embedded": "omnisila.scenes.action:ActionExtractor",
            "full": "omnisila.scenes.full.action:FullActionExtractor",
        },
        evidence={"people": "omnisila.scenes.action:evidence"},
    ),
    Scene(
        name="relation",
        expert="ORE",
        title="Relations",
        description="image region",
        aspect="the objects and how they stand to each other and to the people: held, near, blocking, damaged, moving",
        colours=("#2b8f7a", "#4db29d"),
        extractors={
            "embedded": "omnisila.scenes.relation:RelationExtractor",
            "full": "omnisila.scenes.full.relation:FullRelationExtractor",
        },
        evidence={"triplets": "omnisila.scenes.relation:evidence"},
    ),
    Scene(
        name="background",
        expert="VBE",
        title="Background",
        description="background",
        aspect="the setting: place, light, weather, traffic, crowd, smoke or water, everything behind the people",
        colours=("#b3b9c0", "#6b747d"),
        extractors={
            "embedded": "omnisila.scenes.background:BackgroundExtractor",
            "full": "omnisila.scenes.full.background:FullBackgroundExtractor",
        },
    ),
)
SCENES: dict[str, Scene] = {scene.name: scene for scene in _TABLE}
# Omni-SILA's four: every model has a place for each, so that an ablation's weights have the published shapes.
PUBLISHED = ("face", "action", "relation", "background")


def scenes_of(profile: str) -> dict[str, Scene]:
    """The scenes that a profile of extractors looks at."""
    return {name: scene for name, scene in SCENES.items() if profile in scene.extractors}


def register(scene: Scene) -> None:
    """Put a scene at the end of the table.

    Raises:
        ValueError: there is one of its name, or it has no version.
    """
    if not scene.version:
        raise ValueError(
            f"scene {scene.name!r} has no version, which keys its cached features. Give it one, such as '1'."
        )
    if scene.name in SCENES:
        raise ValueError(f"scene {scene.name!r} is already in the table. Give the new one another name.")
    SCENES[scene.name] = scene


def check_scene(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: it is not in the table.
    """
    if name not in SCENES:
        raise ValueError(unknown("scene", name, SCENES))
    return name


MODALITIES = ("visual", "audio", "fau", "text", "face")  # of a clip, from which reactions are read
SceneName = Annotated[str, AfterValidator(check_scene), WithJsonSchema({"type": "string", "format": "scene"})]
