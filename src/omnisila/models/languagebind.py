"""The original video tower of Video-LLaVA (LanguageBind): CLIP whose every layer first attends over the frames.

The transformers port loads these checkpoints into plain CLIP and drops their temporal weights.
"""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from omnisila.errors import WeightsError
from omnisila.models.visual_tower import ClipTower
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state

FRAMES = 8
LARGE_14: dict[str, Any] = {  # LanguageBind_Video_merge and the tower inside Video-LLaVA-7B
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14,
}  # fmt: skip
_PREFIXES = ("model.video_tower.video_tower.", "video_tower.video_tower.", "vision_model.", "")
_MARK = "encoder.layers.0.temporal_embedding"  # what a tower with temporal attention cannot lack


class TemporalLayer(CLIPEncoderLayer):
    """A CLIP layer that first lets each patch attend to its own place in the window's other frames.

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
        attention_mask: Any = None,
        **options: Any,
    ) -> Float[Tensor, "images patches features"]:
        frames, patches = self.temporal_embedding.shape[1], hidden_states.shape[1]
        by_patch = hidden_states.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1) + self.temporal_embedding
        mixed, _ = self.temporal_attn(self.temporal_layer_norm1(by_patch))
        by_frame = (by_patch + mixed).unflatten(0, (-1, patches)).transpose(1, 2).flatten(0, 1)
        return super().forward(by_frame, attention_mask, **options)


def languagebind_tower(config: CLIPVisionConfig, frames: int = FRAMES, layer: int = -2) -> ClipTower:
    """The tower with temporal attention in every layer, untrained.

    Args:
        config: the sizes of its CLIP part.
        frames: rows of the temporal embedding; windows must have as many.
        layer: which of the hidden states is read, as transformers counts them.
    """
    config._attn_implementation = "sdpa"
    vision_model = CLIPVisionModel(config)
    vision_model.encoder.layers = nn.ModuleList(TemporalLayer(config, frames) for _ in range(config.num_hidden_layers))
    return ClipTower(vision_model, layer, frames)


def load_languagebind(path: Path, dtype: torch.dtype = torch.bfloat16, device: str | torch.device = "cpu") -> ClipTower:
    """The tower from an original checkpoint: ``LanguageBind_Video_merge``, or all of ``Video-LLaVA-7B`` (not ``-hf``).

    Sizes come from ``vision_config`` of the ``config.json`` beside it where there is one, else they are L/14's at
    224 px.

    Args:
        path: a file or a downloaded folder.

    Raises:
        WeightsError: the checkpoint cannot be read, has no temporal attention, or is of another size.
    """
    state = read_state(path)
    prefix = next((prefix for prefix in _PREFIXES if prefix + _MARK in state), None)
    if prefix is None:
        raise WeightsError(
            f"{path}: no {_MARK} among its {len(state)} tensors, so it has no temporal attention. Give the original "
            "LanguageBind_Video_merge or Video-LLaVA-7B; the transformers port (-hf) has lost it."
        )

    def renamed(key: str) -> str | None:
        """Other towers, the language model and transformers' old index buffer are no part of this tower."""
        own = key.startswith(prefix) and not key.endswith("position_ids")
        return key.removeprefix(prefix) if own else None

    tower = languagebind_tower(_sizes(path), state[prefix + _MARK].shape[1])
    load_into(tower.vision_model, state, path, renamed)
    return tower.to(device, dtype)


def _sizes(path: Path) -> CLIPVisionConfig:
    """Only the numbers of CLIP; what else the original's configuration says is about its training."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    try:
        said = json.loads(file.read_bytes()).get("vision_config", {}) if file.exists() else {}
        wanted = (*LARGE_14, "hidden_act", "layer_norm_eps")
        return CLIPVisionConfig(**LARGE_14 | {key: said[key] for key in wanted if key in said})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file}: no configuration of a tower ({error}). Download it again.") from error
