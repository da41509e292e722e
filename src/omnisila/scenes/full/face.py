"""Facial expression modelling of the full profile: MTCNN, then a network on each face.

Source: Omni-SILA 3.1 (x_f); the paper says "CNN" and no more (decision D73).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.scenes.crops import frame_pixels, square_crops, squares
from omnisila.scenes.extractor import Layout
from omnisila.scenes.face import FaceConfig, FaceScene
from omnisila.scenes.nets.expression import EXPRESSIONS, ExpressionNet
from omnisila.scenes.nets.expression_classifier import ExpressionClassifier
from omnisila.scenes.nets.mtcnn import MTCNN, aligned_faces
from omnisila.weights.checkpoint_files import locate_source


class FullFaceExtractor(FaceScene):
    """Box, seven expressions and the embedding they are read from; the user's classifier or the embedded network."""

    def __init__(self, config: FaceConfig, detector: MTCNN, describer: ExpressionClassifier | ExpressionNet) -> None:
        super().__init__(config, detector)
        self.describer = describer
        self.layout = Layout(
            {"box": 4, "score": 1, "expressions": len(EXPRESSIONS), "embedding": describer.width},
            words={"expressions": EXPRESSIONS},
        )

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "FullFaceExtractor":
        """The extractor with its weights.

        Raises:
            WeightsError: the expression classifier is missing, damaged, or another network.
        """
        expression = profile.checkpoints.expression
        describer = (
            ExpressionClassifier.pretrained(locate_source(expression), profile.torch_dtype)
            if expression
            else ExpressionNet.pretrained()
        )
        return cls(profile.face, profile.face.detector(), describer).to(profile.torch_device)

    def _describe_faces(
        self, images: Tensor, picture: Tensor, boxes: Tensor, scores: Tensor
    ) -> Float[Tensor, "faces w"]:
        size_px = self.describer.input_px
        if self.config.cascade == "facenet":
            faces = [aligned_faces(images[i], box[None], size_px) for i, box in zip(picture, boxes, strict=True)]
            crops = torch.cat(faces).permute(0, 3, 1, 2).float()
        else:
            crops = square_crops(
                images.permute(0, 3, 1, 2), picture, squares(frame_pixels(boxes, *images.shape[1:3])), size_px
            )
        found = self.describer(crops.to(next(self.describer.parameters()).device))
        return torch.cat([boxes, scores[:, None], found.probabilities.cpu(), found.embedding.cpu()], dim=1)
