"""Facial expression modelling: the explicit scene.

MTCNN finds faces; an expression network and the visual encoder describe each. Source: Omni-SILA 3.1 (x_f).
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.boxes import areas, box_record
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.crops import frame_pixels, square_crops, squares
from omnisila.scenes.extractor import Layout, Sampled, SceneStream
from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.nets.expression import EMBEDDING, EXPRESSIONS, INPUT_PX, ExpressionNet
from omnisila.scenes.nets.mtcnn import FACENET, MTCNN, CascadeConfig
from omnisila.schema import FaceEvidence

LAYOUT = Layout(
    {"box": 4, "score": 1, "expressions": len(EXPRESSIONS), "embedding": EMBEDDING, "appearance": 1280},
    words={"expressions": EXPRESSIONS},
)


class FaceConfig(Config):
    """How faces are found and cut.

    Attributes:
        cascade: "facenet" takes facenet-pytorch's own defaults (faces from 20 px), and in the full profile its way of
            cutting faces out; it searches larger pictures for longer.
        min_face_frac: smallest face as a share of the picture's longer side; not for "facenet".
    """

    rate_hz: float = 1.0
    max_faces: int = 5
    cascade: Literal["omnisila", "facenet"] = "omnisila"
    min_face_frac: float = 0.07
    appearance_margin: float = 1.3
    batch_size: int = 16

    def detector(self) -> MTCNN:
        """The cascade with the embedded weights."""
        cascade = FACENET if self.cascade == "facenet" else CascadeConfig(min_face_frac=self.min_face_frac)
        return cascade.build()

    def build(self, encoder: EfficientNetLite0) -> "FaceExtractor":
        return FaceExtractor(self, self.detector(), ExpressionNet.pretrained(), encoder)


class FaceScene(nn.Module, SceneExtractor):
    """Entities: faces, the largest first. What is said of a face is the subclass's."""

    needs_objects = False

    def __init__(self, config: FaceConfig, detector: MTCNN) -> None:
        super().__init__()
        self.config, self.detector = config, detector
        self.rate_hz = config.rate_hz

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        images, index = chunk.distinct(self.rate_hz)
        values, mask = self(images)
        return Sampled(values[index], mask[index]), state

    @abstractmethod
    def _describe_faces(
        self, images: Tensor, picture: Tensor, boxes: Tensor, scores: Tensor
    ) -> Float[Tensor, "faces w"]:
        """Rows of faces: which picture each is in, where in frame fractions, how surely."""

    @torch.inference_mode()
    def forward(
        self, images: UInt8[Tensor, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames entities features"], Bool[Tensor, "frames entities"]]:
        """Face entities and their mask."""
        count = self.config.max_faces
        values = torch.zeros(len(images), count, self.layout.width)
        mask = torch.zeros(len(images), count, dtype=torch.bool)
        for start in range(0, len(images), self.config.batch_size):
            batch = images[start : start + self.config.batch_size]
            found = self.detector.detect(batch)
            kept = [areas(faces.boxes_frac).argsort(descending=True)[:count] for faces in found]
            picture = torch.cat([torch.full((len(index),), i) for i, index in enumerate(kept)])
            if len(picture) == 0:
                continue
            boxes = torch.cat([faces.boxes_frac[index] for faces, index in zip(found, kept, strict=True)])
            scores = torch.cat([faces.scores[index] for faces, index in zip(found, kept, strict=True)])
            slot = torch.cat([torch.arange(len(index)) for index in kept])
            described = self._describe_faces(batch, picture, boxes, scores)
            values[start + picture, slot] = described
            mask[start + picture, slot] = True
        return values, mask


class FaceExtractor(FaceScene):
    """Expressions by the embedded network, appearance by the visual encoder."""

    layout = LAYOUT

    def __init__(
        self, config: FaceConfig, detector: MTCNN, expression: ExpressionNet, encoder: EfficientNetLite0
    ) -> None:
        super().__init__(config, detector)
        self.expression, self.encoder = expression, encoder

    @classmethod
    def of_profile(cls, profile: Any, shared: EfficientNetLite0) -> "FaceExtractor":
        return profile.face.build(shared)

    def _describe_faces(
        self, images: Tensor, picture: Tensor, boxes: Tensor, scores: Tensor
    ) -> Float[Tensor, "faces w"]:
        pixels = frame_pixels(boxes, images.shape[1], images.shape[2])
        planar = images.permute(0, 3, 1, 2)
        expression = self.expression(square_crops(planar, picture, squares(pixels), INPUT_PX))
        wide = square_crops(planar, picture, squares(pixels, self.config.appearance_margin), 224)
        appearance = self.encoder.embed(wide.round().to(torch.uint8).permute(0, 2, 3, 1)).mean
        return torch.cat([boxes, scores[:, None], expression.probabilities, expression.embedding, appearance], dim=1)


def evidence(stream: SceneStream, layout: Layout = LAYOUT) -> tuple[FaceEvidence, ...]:
    """The faces of a stretch as records, in time order."""
    names = layout.words["expressions"]
    return tuple(
        FaceEvidence(
            time_s=time_s,
            box=box_record(layout.read(face, "box")),
            score=float(layout.read(face, "score").clamp(0, 1)),
            expressions={
                name: round(p, 4)
                for name, p in zip(names, layout.read(face, "expressions").clamp(0, 1).tolist(), strict=True)
            },
        )
        for time_s, face in stream.entities()
    )
