"""CLIP's vision transformer as a visual tower: frames become the features that Video-LLaVA's projector reads."""

from typing import Any, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import CLIPVisionModel

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.media.transforms import centre_crop, channels_first, normalise, resize_frames
from omnisila.models.backbone import Backbone
from omnisila.scenes.boxes import Area
from omnisila.scenes.extractor import Entities


class ClipPreprocessing(Config):
    """Short side to the tower's size by bicubic interpolation, the middle cropped, normalised by CLIP's statistics.

    The original Video-LLaVA's transform mirrors half of all clips, at use as well as in training; this one never does,
    as its transformers port never does.

    Its numbers are those of transformers' processor but for a grey level here and there (``tests/unit/models``);
    ``resize_levels`` says for which shapes newer versions of Pillow, on which that processor may rest, differ.
    """

    size_px: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def resize_frames(self, frames: UInt8[Tensor, "frames height width 3"]) -> UInt8[Tensor, "frames size size 3"]:
        """Frames at the tower's size, in whole grey levels: of such frames ``pixels`` makes what it makes of these."""
        height_px, width_px = frames.shape[1:3]
        resized = resize_frames(frames, *self._target_size(height_px, width_px)).movedim(-1, 1)
        return centre_crop(resized, self.size_px, self.size_px).movedim(1, -1)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """The part of a frame of that shape that ``resize_frames`` keeps, to the pixel."""
        height_px, width_px = self._target_size(height_px, width_px)
        top_px, left_px = (height_px - self.size_px) // 2, (width_px - self.size_px) // 2
        right_px, bottom_px = left_px + self.size_px, top_px + self.size_px
        return left_px / width_px, top_px / height_px, right_px / width_px, bottom_px / height_px

    def pixels(
        self, frames: UInt8[Tensor, "frames height width 3"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "frames 3 size size"]:
        """All frames as the tower reads them, on the device they came on."""
        images = channels_first(self.resize_frames(frames))
        mean, std = ([255 * fraction for fraction in fractions] for fractions in (self.mean, self.std))
        return normalise(images, mean, std).to(dtype)

    def _target_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        shorter_px = min(height_px, width_px)
        return self.size_px * height_px // shorter_px, self.size_px * width_px // shorter_px


class ClipTower(nn.Module):
    """CLIP's vision transformer, read at an inner layer: 257 vectors a frame for L/14 at 224 px, the class token first.

    Video-LLaVA's port to transformers has a plain one, in which no frame sees another.

    Args:
        vision_model: its layers after the one that is read are not run.
        layer: which of the hidden states is read, as transformers counts them: -2 is the input of the last layer.
        frames: how many frames a window must have; None for any number.
        class_token: whether it is given; the patches alone are 256 vectors.
    """

    def __init__(
        self, vision_model: CLIPVisionModel, layer: int = -2, frames: int | None = None, *, class_token: bool = True
    ) -> None:
        super().__init__()
        config = cast("Any", vision_model.config)
        self.vision_model = vision_model.eval().requires_grad_(False)
        self.depth = layer if layer >= 0 else config.num_hidden_layers + 1 + layer
        self.frames = frames
        self.class_tokens = int(class_token)
        self.patches = (config.image_size // config.patch_size) ** 2 + self.class_tokens
        self.features = config.hidden_size
        self.preprocessing = ClipPreprocessing(size_px=config.image_size)

    def without_class_token(self) -> "ClipTower":
        """The same tower, which gives patches alone."""
        return ClipTower(self.vision_model, self.depth, self.frames, class_token=False)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch and, where it is given, the class token of every frame.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        batch, count = frames.shape[:2]
        if self.frames is not None and count != self.frames:
            raise InputError(
                f"a window of {count} frames, wanted {self.frames}: the tower's temporal attention knows no other "
                f"number. Cut windows of {self.frames} frames, or use the tower of the transformers port."
            )
        embeddings = cast("nn.Module", self.vision_model.embeddings)
        weight = self.vision_model.embeddings.patch_embedding.weight
        pixels = self.preprocessing.pixels(frames.flatten(0, 1).to(weight.device), weight.dtype)
        values = self._hidden(embeddings(pixels))[:, 1 - self.class_tokens :].unflatten(0, (batch, count))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def _hidden(self, states: Float[Tensor, "images patches features"]) -> Float[Tensor, "images patches features"]:
        states = self.vision_model.pre_layrnorm(states)
        for layer in self.vision_model.encoder.layers[: self.depth]:
            states = layer(states, None)
        return states


class ClipBackbone(Backbone):
    """A family whose tower is CLIP's; by default it sees the middle square of each frame."""

    def __init__(self, model: Any, clip: ClipTower | None = None) -> None:
        super().__init__(model)
        clip = clip or model.visual.tower
        assert isinstance(clip, ClipTower)  # as the published models are put together
        self.clip = clip
        self.features, self.patches, self.class_tokens = clip.features, clip.patches, clip.class_tokens
        self.size_px = (clip.preprocessing.size_px, clip.preprocessing.size_px)

    def tower(self) -> nn.Module:
        return self.clip

    def fit_frames(self, frames: UInt8[Tensor, "images height width 3"]) -> UInt8[Tensor, "images size size 3"]:
        return self.clip.preprocessing.resize_frames(frames)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        return self.clip.preprocessing.shown_area(height_px, width_px)

    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """As ``ClipTower.encode``.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        return self.clip.encode(frames)
