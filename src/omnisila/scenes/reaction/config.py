"""Which network describes which modality: the configuration that decides each number of a clip's reaction features.

``ReactionFeatureConfig.embedded()`` needs nothing but this package; ``paper()`` takes the networks of ViPER and of the
emotional-reaction paper (4.3, 5.1) from folders or the hub.
"""

import json
from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import model_validator

from omnisila import weights
from omnisila.devices import default_device
from omnisila.digests import digest
from omnisila.scene_registry import MODALITIES
from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.nets.expression import ExpressionNet
from omnisila.scenes.nets.mtcnn import MTCNN, CascadeConfig
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.scenes.reaction.actions import ActionReader
from omnisila.scenes.reaction.audio import SoundStatistics, SpeakerVectors
from omnisila.scenes.reaction.extractor import ClipSettings, ReactionFeatureExtractor
from omnisila.scenes.reaction.tables import ACTION_UNIT_WIDTH
from omnisila.scenes.reaction.text import SENTENCES, SentenceEncoder, TemplateMatcher
from omnisila.scenes.reaction.visual import ClassToken, EmbeddedPictures, FaceResNet, PictureEncoder
from omnisila.weights.checkpoint_files import file_digest, folder_digest, locate_source, model_folder

NETWORKS = ("efficientnet_lite", "expression", "face_blendshapes", "face_landmarks", "mtcnn")
FEATURE_VERSION = 3  # raise it when the meaning of a feature changes without a change of configuration
_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")


class ReactionFeatureConfig(ClipSettings):
    """Which network describes which modality, and at which sizes.

    Sources are folders of transformers, or hub ids; None takes the embedded stand-in. Where they lie does not enter the
    digest, what is in them does. safetensors only: convert a published ``pytorch_model.bin`` once with
    ``omnisila.weights.official.convert``.

    Attributes:
        visual: ViT.
        audio: WavLM with an x-vector head.
        face: ResNet trained on faces.
        clip: CLIP, for ``text="templates"``.
        sentences: RoBERTa, for texts of either kind.
    """

    visual: str | None = None
    audio: str | None = None
    face: str | None = None
    text: Literal["none", "templates", "descriptions"] = "none"
    clip: str | None = None
    sentences: str | None = None
    device: str = "auto"  # the first GPU where there is one; not part of the digest

    @classmethod
    def embedded(cls) -> Self:
        """Everything from this package; no text."""
        return cls()

    @classmethod
    def paper(cls) -> Self:
        """ViPER's networks; action units from py-feat's tables, text from templates.

        The hub's CLIP is the published one: ViPER's was fine-tuned, and that checkpoint is not public.
        """
        return cls(
            long_side_px=720,
            visual="google/vit-base-patch16-224-in21k",
            audio="microsoft/wavlm-base-plus-sv",
            text="templates",
            clip="openai/clip-vit-base-patch32",
            sentences="FacebookAI/roberta-base",
            given={"fau": ACTION_UNIT_WIDTH},
        )

    @model_validator(mode="after")
    def _text_has_its_networks(self) -> Self:
        lacking = [name for name in self._text_networks if getattr(self, name) is None]
        if lacking:
            raise ValueError(f"text={self.text!r} needs {' and '.join(lacking)}: name a folder or a hub id")
        return self

    @property
    def _text_networks(self) -> tuple[str, ...]:
        if "text" in self.given or self.text == "none":
            return ()
        return ("clip", "sentences") if self.text == "templates" else ("sentences",)

    @property
    def digest(self) -> str:
        """SHA-256 over configuration, the networks' content, the templates and the features' version.

        Raises:
            WeightsError: a source is missing.
        """
        sources = {"visual", "audio", "face", "clip", "sentences"}
        settings = self.model_dump_json(exclude={"device", *sources})
        content = {name: _digest(source) for name in sorted(sources) if (source := getattr(self, name)) is not None}
        parts = (settings, json.dumps(content), weights.digest(NETWORKS), "\n".join(SENTENCES), str(FEATURE_VERSION))
        return digest(*parts)

    @property
    def networks(self) -> dict[str, str]:
        """Digests of what makes the numbers: ``frames``, and ``text`` where it is made; choices of modalities are none.

        Raises:
            WeightsError: a source is missing.
        """
        given = {name: width for name, width in self.given.items() if name != "text"}
        frames = self.replace(modalities=MODALITIES, given=given, text="none", clip=None, sentences=None)
        content = [_digest(source) for name in self._text_networks if (source := getattr(self, name)) is not None]
        text = digest(self.text, *content, *SENTENCES)
        return {"frames": frames.digest, **({"text": text} if content else {})}

    @property
    def networks_digest(self) -> str:
        """The same for the same networks: what a model was trained on, whichever modalities it reads.

        Raises:
            WeightsError: a source is missing.
        """
        return joined_digest(self.networks)

    def build(self) -> ReactionFeatureExtractor:
        """Load every network.

        Raises:
            WeightsError: one is missing, damaged or of another architecture; the message names it.
        """
        device = default_device() if self.device == "auto" else torch.device(self.device)
        detector = MTCNN.pretrained(CascadeConfig(min_face_frac=self.min_face_frac)).to(device)
        visual: PictureEncoder = (
            ClassToken(FrameEncoder.pretrained(locate_source(self.visual)).to(device))
            if self.visual
            else EmbeddedPictures(EfficientNetLite0.pretrained())
        )
        sentences = self.sentences if "sentences" in self._text_networks else None
        clip = self.clip if "clip" in self._text_networks else None
        return ReactionFeatureExtractor(
            self, self.digest, detector, ExpressionNet.pretrained(), ActionReader.pretrained(), visual,
            SpeakerVectors.pretrained(locate_source(self.audio), device) if self.audio else SoundStatistics(),
            FaceResNet.pretrained(locate_source(self.face), device) if self.face else None,
            SentenceEncoder.pretrained(locate_source(sentences), device) if sentences else None,
            TemplateMatcher.pretrained(locate_source(clip), device) if clip else None,
        )  # fmt: skip


def joined_digest(networks: Mapping[str, str]) -> str:
    """One digest of those of ``ReactionFeatureConfig.networks``."""
    return digest(json.dumps(networks, sort_keys=True))


def _digest(source: str) -> str:
    """Of a network and of the tokenizer that may lie beside it."""
    folder = model_folder(locate_source(source))
    tokenizers = [file_digest(folder / name) for name in _TOKENIZER if (folder / name).is_file()]
    return "".join([folder_digest(locate_source(source)), *tokenizers])
