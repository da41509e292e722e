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
from omnisila.models.clip_tower import ClipTower
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state

FRAMES = 8
LARGE_14: dict[str, Any] = {  # LanguageBind_Video_merge and the tower inside Video-LLaVA-7B
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
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
        frames: rows of the temporal embedding; windows must have as many.
        layer: which of the hidden states is read, as transformers counts them.
    """
    config._attn_implementation = "sdpa"
    vision_model = CLIPVisionModel(config)
    vision_model.encoder.layers = nn.ModuleList(TemporalLayer(config, frames) for _ in range(config.num_hidden_layers))
    return ClipTower(vision_model, layer, frames)


def load_languagebind(path: Path, dtype: torch.dtype = torch.bfloat16, device: str | torch.device = "cpu") -> ClipTower:
    """The tower from an original checkpoint: ``LanguageBind_Video_merge``, or all of ``Video-LLaVA-7B`` (not ``-hf``).

    Sizes and activation come from the ``config.json`` beside it: its ``vision_config``, or the published values where
    it is Video-LLaVA-7B's, which names its tower.

    Raises:
        WeightsError: the checkpoint cannot be read, has no temporal attention, is of another size, or nothing says
            which activation it was trained with.
    """
    state = read_state(path)
    prefix = next((prefix for prefix in _PREFIXES if prefix + _MARK in state), None)
    if prefix is None:
        raise WeightsError(
            f"{path}: no {_MARK} among its {len(state)} tensors, so it has no temporal attention. Give the original "
            "LanguageBind_Video_merge or Video-LLaVA-7B; the transformers port (-hf) has lost it."
        )

    def our_name(key: str) -> str | None:
        """Other towers, the language model and transformers' old index buffer are no part of this tower."""
        own = key.startswith(prefix) and not key.endswith("position_ids")
        return key.removeprefix(prefix) if own else None

    tower = languagebind_tower(tower_config(path), state[prefix + _MARK].shape[1])
    load_into(tower.vision_model, state, path, our_name)
    return tower.to(device, dtype)


def tower_config(path: Path) -> CLIPVisionConfig:
    """What the ``config.json`` beside a checkpoint says of CLIP; what else it says is about the original's training.

    The activation cannot be read off the tensors, and a wrong one gives wrong features without an error.

    Raises:
        WeightsError: there is none, or it says nothing of the tower.
    """
    file = (path if path.is_dir() else path.parent) / "config.json"
    try:
        said = json.loads(file.read_bytes()) if file.exists() else {}
        if "LanguageBind_Video_merge" in said.get("mm_video_tower", ""):
            return CLIPVisionConfig(**LARGE_14)
        known = said.get("vision_config")
        if known is not None:  # what equals the class's default is left out when a configuration is written
            published = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
            return CLIPVisionConfig(**LARGE_14 | published | {key: known[key] for key in LARGE_14 if key in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file}: no configuration of a tower ({error}). Download it again.") from error
    raise WeightsError(
        f"{file}: no vision_config, so nothing says whether the tower's activation is gelu or quick_gelu. Put the "
        "config.json of the checkpoint's own repository beside it (LanguageBind_Video_merge's says gelu)."
    )
