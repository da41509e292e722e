"""Visual towers: frames become the features that a Video-LLM's projector reads.

``ClipTower`` is what the transformers port of Video-LLaVA uses: every frame for itself. ``languagebind_tower`` builds
the original, whose layers also attend over time, and whose temporal weights the port dropped.
"""

from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from omnisila.errors import InputError
from omnisila.models.video_preprocessing import ClipPreprocessing
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

    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch of every frame, in the tower's own precision, without gradients.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        ...


class ClipTower(nn.Module):
    """CLIP's vision transformer, read at an inner layer with its class token: 257 vectors a frame for L/14 at 224 px.

    Args:
        vision_model: its layers after the one that is read are not run.
        layer: which of the hidden states is read, as transformers counts them: -2 is the input of the last layer.
        frames: how many frames a window must have; None for any number.
    """

    def __init__(self, vision_model: CLIPVisionModel, layer: int = -2, frames: int | None = None) -> None:
        super().__init__()
        config = vision_model.config
        self.vision_model = vision_model.eval().requires_grad_(False)
        self.depth = layer if layer >= 0 else config.num_hidden_layers + 1 + layer
        self.frames = frames
        self.patches = (config.image_size // config.patch_size) ** 2 + 1
        self.features = config.hidden_size
        self.preprocessing = ClipPreprocessing(size_px=config.image_size)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch and the class token of every frame.

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
        values = self._hidden(embeddings(pixels)).unflatten(0, (batch, count))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def _hidden(self, states: Float[Tensor, "images patches features"]) -> Float[Tensor, "images patches features"]:
        states = self.vision_model.pre_layrnorm(states)
        for layer in self.vision_model.encoder.layers[: self.depth]:
            states = layer(states, None)
        return states


class TemporalLayer(CLIPEncoderLayer):
    """A CLIP layer that first lets each patch attend to itself in the window's other frames.

    The embedding of time is added to the states themselves, not only to what the attention reads. With embedding and
    attention at zero the layer is CLIP's. Names of parameters are those of the original checkpoints.
    """

    def __init__(self, config: CLIPVisionConfig, frames: int) -> None:
        super().__init__(config)
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, config.hidden_size))
        self.temporal_attn = CLIPAttention(config)
        self.temporal_layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        hidden_states: Float[Tensor, "images patches features"],
        attention_mask: None = None,
    ) -> Float[Tensor, "images patches features"]:
        frames, patches = self.temporal_embedding.shape[1], hidden_states.shape[1]
        by_patch = hidden_states.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1) + self.temporal_embedding
        mixed, _ = self.temporal_attn(self.temporal_layer_norm1(by_patch))
        by_frame = (by_patch + mixed).unflatten(0, (-1, patches)).transpose(1, 2).flatten(0, 1)
        return super().forward(by_frame, attention_mask)


def languagebind_tower(config: CLIPVisionConfig, frames: int = 8, layer: int = -2) -> ClipTower:
    """LanguageBind's video tower with temporal attention in every layer, untrained.

    Args:
        config: the sizes of its CLIP part; Video-LLaVA's is L/14 at 224 px.
        frames: rows of the temporal embedding.
    """
    config._attn_implementation = config._attn_implementation or "sdpa"
    vision_model = CLIPVisionModel(config)
    vision_model.encoder.layers = nn.ModuleList(TemporalLayer(config, frames) for _ in range(config.num_hidden_layers))
    return ClipTower(vision_model, layer, frames)
