"""The extractor of a clip's reaction features: frames, the face in them, sound and words, one modality after another.

Source: ViPER's per-frame features, emotional-reaction paper 4.3 and 5.1.
"""

from collections.abc import Collection
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor

from omnisila.config import Config
from omnisila.media.audio import SoundLimits, read_sound
from omnisila.media.transforms import channels_first, resize
from omnisila.pace import time_stage
from omnisila.scene_registry import MODALITIES
from omnisila.scenes.nets.expression import EMBEDDING, INPUT_PX, ExpressionNet
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction import text
from omnisila.scenes.reaction.actions import COLUMNS, KIND, ActionReader
from omnisila.scenes.reaction.audio import SoundEncoder
from omnisila.scenes.reaction.clip import FRAMES, Clip, ClipFrames, Modality, ReactionFeatures, clip_frames
from omnisila.scenes.reaction.face import FaceTrack, crops, face_warnings, follow_face
from omnisila.scenes.reaction.tables import frame_table
from omnisila.scenes.reaction.visual import PictureEncoder

TEXT_WIDTH = 768  # of a text that nobody gave; RoBERTa-base's
Named = TypeVar("Named", dict[str, int], tuple[str, ...])


class ClipSettings(Config):
    """How a clip is cut into frames, and what of them is looked at.

    Attributes:
        crop: what the visual encoder and CLIP look at. Without a face it is the whole frame.
        given: modality -> width of those that come from a table beside the clip, such as py-feat's action units.
        modalities: those that are made; the others are all masked.
    """

    frames: int = Field(default=FRAMES, ge=2)
    long_side_px: int = Field(default=640, ge=32)
    crop: Literal["face", "frame"] = "face"
    face_margin: float = Field(default=1.3, gt=0)
    min_face_frac: float = Field(default=0.1, gt=0)  # of the longer side: reactions are filmed from near
    given: dict[str, int] = Field(default_factory=dict)
    modalities: tuple[str, ...] = MODALITIES
    sound: SoundLimits = SoundLimits()

    @field_validator("given", "modalities")
    @classmethod
    def _known(cls, named: Named) -> Named:
        unknown = sorted({*named} - {*MODALITIES})
        if unknown:
            raise ValueError(f"no modality {', '.join(unknown)}; there are {', '.join(MODALITIES)}")
        return named


class ReactionFeatureExtractor:
    """Clips to features, one at a time.

    Args:
        digest: of everything that decides a feature; the key of what is kept.
        face: describes the face where the embedded expression network is not to.
        matcher: chooses a sentence for each frame; without it, clips bring their descriptions.
    """

    def __init__(
        self,
        settings: ClipSettings,
        digest: str,
        detector: MTCNN,
        expression: ExpressionNet,
        actions: ActionReader,
        visual: PictureEncoder,
        sound: SoundEncoder,
        face: PictureEncoder | None = None,
        sentences: text.SentenceEncoder | None = None,
        matcher: text.TemplateMatcher | None = None,
    ) -> None:
        self.settings, self.digest = settings, digest
        self.detector, self.expression, self.actions = detector, expression, actions
        self.visual, self.sound = visual, sound
        self.face, self.sentences, self.matcher = face, sentences, matcher

    @property
    def widths(self) -> dict[str, int]:
        own = {
            "visual": self.visual.width,
            "audio": self.sound.width,
            "fau": len(COLUMNS),
            "text": self.sentences.width if self.sentences else TEXT_WIDTH,
            "face": self.face.width if self.face else EMBEDDING,
        }
        return {name: self.settings.given.get(name, own[name]) for name in MODALITIES}

    @property
    def kinds(self) -> dict[str, str]:
        own = {
            "visual": self.visual.kind,
            "audio": self.sound.kind,
            "fau": KIND,
            "text": self._text_kind,
            "face": self.face.kind if self.face else "expression_embedding",
        }
        given = {"fau": "action_units"}
        return {name: given.get(name, "given") if name in self.settings.given else own[name] for name in MODALITIES}

    @property
    def _text_kind(self) -> str:
        if self.sentences is None:
            return "none"
        return text.OF_TEMPLATES if self.matcher else text.OF_DESCRIPTIONS

    def accept(self, clip: Clip) -> Clip:
        """The clip without what is not read of it, so that this makes no other features of it."""
        described = self.sentences is not None and self.matcher is None
        return clip.only(self.settings.given, described)

    def features(self, clip: Clip) -> ReactionFeatures:
        """A clip's features; what is missing of it is masked and told, and nothing crashes for it.

        Raises:
            MediaError: the file cannot be read as a video.
            RecordError: a table cannot be read.
            InputError: another number of descriptions than of frames.
        """
        seconds: dict[str, float] = {}
        with time_stage(seconds, "decode"):
            frames = clip_frames(clip.path, self.settings.frames, clip.span, self.settings.long_side_px)
        with time_stage(seconds, "faces"):
            track = follow_face(self.detector, frames.pictures)
        warnings = [*frames.warnings, *face_warnings(track.at(frames.picture))]
        left_out = [name for name in MODALITIES if name not in self.settings.modalities]
        found = {name: Modality.absent(self.settings.frames, self.widths[name]) for name in left_out}
        found |= self._given_modalities(clip, frames, warnings)
        with time_stage(seconds, "audio"):
            if "audio" not in found:
                found["audio"] = self._audio(clip, frames, warnings)
        with time_stage(seconds, "visual"):
            if "visual" not in found:
                values = self.visual.encode(self._looked_at(frames, track, self.visual.input_px))[frames.picture]
                found["visual"] = Modality(values, torch.ones(len(values), dtype=torch.bool))
        with time_stage(seconds, "expression"):
            found |= self._faces(frames, track, found.keys())
        with time_stage(seconds, "text"):
            if "text" not in found:
                found["text"] = self._text(clip, frames, track, warnings)
        return ReactionFeatures(
            {name: found[name].stored for name in MODALITIES},
            self.kinds,
            frames.times_s - frames.span.start_s,
            tuple(dict.fromkeys(warnings)),
            seconds,
        )

    def _given_modalities(self, clip: Clip, frames: ClipFrames, warnings: list[str]) -> dict[str, Modality]:
        found: dict[str, Modality] = {}
        wanted = {name: width for name, width in self.settings.given.items() if name in self.settings.modalities}
        for name, width in wanted.items():
            path = clip.tables.get(name)
            if path is None:
                found[name] = Modality.absent(self.settings.frames, width)
                warnings.append(f"no table of {name} was given")
                continue
            found[name] = frame_table(path, width, frames.info.rate_hz).at(frames.times_s, width)
            unseen = int((~found[name].mask).sum())
            if unseen:
                warnings.append(f"the table of {name} says nothing of {unseen} of {self.settings.frames} frames")
        return found

    def _audio(self, clip: Clip, frames: ClipFrames, warnings: list[str]) -> Modality:
        if frames.info.still:
            warnings.append("there is no sound track")
            return Modality.absent(self.settings.frames, self.sound.width)
        sound = read_sound(clip.path, frames.span.start_s, frames.span.end_s, self.settings.sound)
        warnings.extend(sound.warnings)
        return self.sound.encode(sound, frames.times_s)

    def _faces(self, frames: ClipFrames, track: FaceTrack, given: Collection[str]) -> dict[str, Modality]:
        """What the face does and its embedding, which share the expression network."""
        found: dict[str, Modality] = {}
        if self.face is not None and "face" not in given:
            found["face"] = self._of_faces(
                self.face.encode(crops(frames.pictures, track, self.face.input_px)), frames, track
            )
        if "fau" in given and ("face" in given or self.face is not None):
            return found
        said = self.expression(crops(frames.pictures, track, INPUT_PX))
        if "face" not in given and self.face is None:
            found["face"] = self._of_faces(said.embedding, frames, track)
        if "fau" not in given:
            acts = self.actions.read(frames.pictures, track)
            found["fau"] = self._of_faces(torch.cat([said.probabilities, acts], 1), frames, track)
        return found

    def _of_faces(self, values: Float[Tensor, "faces width"], frames: ClipFrames, track: FaceTrack) -> Modality:
        """What is known of the pictures with a face, for each frame."""
        everywhere = torch.zeros(len(track.mask), values.shape[1])
        everywhere[track.mask] = values
        return Modality(everywhere[frames.picture], track.mask[frames.picture])

    def _text(self, clip: Clip, frames: ClipFrames, track: FaceTrack, warnings: list[str]) -> Modality:
        if self.sentences is None:
            return Modality.absent(self.settings.frames, TEXT_WIDTH)
        if self.matcher is not None:
            looked_at = self._looked_at(frames, track, self.matcher.input_px)
            values = text.encode_matches(self.sentences, self.matcher, looked_at)[frames.picture]
            return Modality(values, torch.ones(len(values), dtype=torch.bool))
        if clip.description is None:
            warnings.append("no description was given")
            return Modality.absent(self.settings.frames, self.sentences.width)
        return text.encode_description(self.sentences, clip.description, self.settings.frames, clip.path.name)

    def _looked_at(
        self, frames: ClipFrames, track: FaceTrack, size_px: int
    ) -> Float[Tensor, "pictures 3 rows columns"]:
        """Whole frames, or faces with the whole frame where there is none."""
        whole = channels_first(frames.pictures)
        if self.settings.crop == "frame":
            return whole
        looked_at = resize(whole, size_px, size_px)
        looked_at[track.mask] = crops(frames.pictures, track, size_px, self.settings.face_margin)
        return looked_at
