"""Visual towers: frames become the features that a Video-LLM's projector reads."""

from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from transformers import CLIPVisionModel

from omnisila.errors import InputError
from omnisila.models.video_preprocessing import ClipPreprocessing
from omnisila.scenes.boxes import Area
from omnisila.scenes.extractor import Entities


@runtime_checkable
class VisualTower(Protocol):
    """A frozen visual encoder with its own preprocessing.

    What it gives is what ``VideoLLM.embed`` takes: entities (batch, frames, patches, features), before the projector.

    Attributes:
        frames: how many frames a window must have; None for any number.
        patches: feature vectors per frame.
        features: width of each.
    """

    frames: int | None
    patches: int
    features: int

    def fitted(
        self, frames: UInt8[Tensor, "frames height width 3"]
    ) -> UInt8[Tensor, "frames fitted_height fitted_width 3"]:
        """The frames at the one size that the tower reads, so that those of several videos make a batch."""
        ...

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """The part of frames of that shape that ``fitted`` keeps and the patches cover."""
        ...

    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch of every frame, in the tower's own precision, without gradients.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        ...


def windows_seen(
    tower: VisualTower,
    frames: UInt8[Tensor, "batch frames height width 3"],
    there: Bool[Tensor, "batch frames"],
    video_px: Sequence[tuple[int, int]],
) -> Entities:
    """What a tower sees of windows: their frames' features with the part of the frame that each window shows.

    Args:
        frames: fitted, on the device on which the tower is.
        there: those that lie in the video; the others are masked out.
        video_px: (height, width) of each window's video, which its fitted frames do not tell.

    Raises:
        InputError: another number of frames than the tower takes.
    """
    with torch.autocast(frames.device.type, enabled=False):  # in training as in use
        encoded = tower.encode(frames)
    device = encoded.mask.device
    area = torch.tensor([tower.shown_area(height_px, width_px) for height_px, width_px in video_px], device=device)
    return Entities(encoded.values, encoded.mask & there.to(device).unsqueeze(-1), area)


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
        self.patches = (config.image_size // config.patch_size) ** 2 + class_token
        self._first = 0 if class_token else 1
        self.features = config.hidden_size
        self.preprocessing = ClipPreprocessing(size_px=config.image_size)

    def fitted(self, frames: UInt8[Tensor, "frames height width 3"]) -> UInt8[Tensor, "frames size size 3"]:
        """The frames at the tower's size."""
        return self.preprocessing.sized(frames)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """The square in the middle."""
        return self.preprocessing.shown_area(height_px, width_px)

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
        values = self._hidden(embeddings(pixels))[:, self._first :].unflatten(0, (batch, count))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def _hidden(self, states: Float[Tensor, "images patches features"]) -> Float[Tensor, "images patches features"]:
        states = self.vision_model.pre_layrnorm(states)
        for layer in self.vision_model.encoder.layers[: self.depth]:
            states = layer(states, None)
        return states
