"""Where the weights of the paper's extractors are. Nothing here needs torch: what is missing is told first."""

from pathlib import Path

from omnisila import weights
from omnisila.config import Config
from omnisila.digests import digest
from omnisila.weights.checkpoint_files import check_source, file_digest, folder_digest, locate_checkpoint, locate_source

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
            WeightsError: one is missing; the message says where to get it.
        """
        from omnisila.scenes.sem import NETWORKS  # loads torch

        parts = [
            file_digest(self.pose_file),
            file_digest(self.relation_file) if self.relation_file else "",
            folder_digest(locate_source(self.segmentation)),
            folder_digest(locate_source(self.background)),
            folder_digest(locate_source(self.expression)) if self.expression else "",
            weights.digest(NETWORKS),
        ]
        return digest(*parts)

    @property
    def pose_file(self) -> Path:
        return locate_checkpoint(self.pose, _POSE_SOURCE)

    @property
    def relation_file(self) -> Path | None:
        return locate_checkpoint(self.relation, _RELATION_SOURCE) if self.relation else None

    def check(self) -> None:
        """Be sure, before torch is loaded for them, that those that are no hub ids are there.

        Raises:
            WeightsError: one is missing; the message says where to get it.
        """
        _ = self.pose_file, self.relation_file
        for source in filter(None, (self.segmentation, self.background, self.expression)):
            check_source(locate_source(source))
