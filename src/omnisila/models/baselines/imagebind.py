"""The visual trunk of ImageBind: two frames become one unit vector.

Own code. The published weights are under CC BY-NC-SA 4.0, non-commercial: ``NOTICE`` says so wherever a model with them
is opened.
Source: Girdhar et al. 2023, ImageBind; file ``imagebind_huge.pth``.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.errors import WeightsError
from omnisila.models.baselines import published

NOTICE = "ImageBind's weights are for non-commercial use only (CC BY-NC-SA 4.0)."
FRAMES = 2  # that one patch embedding spans
EPS = 1e-6
HEAD = 80  # width of an attention head
_NAMES = {  # published key -> the trunk's; keys of other senses have no name here
    "modality_preprocessors.vision.cls_token": "class_token",
    "modality_preprocessors.vision.pos_embedding_helper.pos_embed": "positions",
    "modality_preprocessors.vision.rgbt_stem.proj.1.": "patches.",
    "modality_trunks.vision.pre_transformer_layer.0.": "first_norm.",
    "modality_trunks.vision.blocks.": "blocks.",
    "modality_heads.vision.0.": "last_norm.",
    "modality_heads.vision.2.": "head.",
}


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.fc2(F.gelu(self.fc1(states)))


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = Mlp(width, hidden)

    def forward(self, states: Float[Tensor, "clips tokens width"]) -> Float[Tensor, "clips tokens width"]:
        normed = self.norm_1(states)
        states = states + self.attn(normed, normed, normed, need_weights=False)[0]
        return states + self.mlp(self.norm_2(states))


class ImageBindVision(nn.Module):
    """Patches of two frames together -> transformer -> the class token's projection, of length 1."""

    def __init__(self, width: int, heads: int, layers: int, hidden: int, out: int, patch_px: int, places: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, places, width))
        kernel = (FRAMES, patch_px, patch_px)
        self.patches = nn.Conv3d(3, width, kernel, kernel, bias=False)
        self.first_norm, self.last_norm = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.head = nn.Linear(width, out, bias=False)
        self.size_px = patch_px * round((places - 1) ** 0.5)

    def forward(self, clips: Float[Tensor, "clips 3 frames size size"]) -> Float[Tensor, "clips features"]:
        patches = self.patches(clips).flatten(2).transpose(1, 2)
        states = torch.cat([self.class_token.expand(len(clips), -1, -1), patches], dim=1) + self.positions
        states = self.first_norm(states)
        for block in self.blocks:
            states = block(states)
        return F.normalize(self.head(self.last_norm(states)[:, 0]), dim=-1)


def vision_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The visual trunk's tensors out of all senses', by the names of ``ImageBindVision``."""
    return {
        key.replace(published, own): tensor
        for key, tensor in state.items()
        for published, own in _NAMES.items()
        if key.startswith(published)
    }


def imagebind_vision(state: Mapping[str, Tensor], source: object) -> ImageBindVision:
    """A trunk of the sizes that its tensors have, without values.

    Raises:
        WeightsError: they are not ImageBind's.
    """
    try:
        width, _, _, patch_px, _ = state["patches.weight"].shape
        hidden, out, places = (
            len(state["blocks.0.mlp.fc1.weight"]),
            len(state["head.weight"]),
            state["positions"].shape[1],
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{source}: no visual trunk of ImageBind ({error}). Give imagebind_huge.pth.") from error
    layers = published.count_below(state, "blocks.")
    return ImageBindVision(width, max(1, width // HEAD), layers, hidden, out, patch_px, places)
