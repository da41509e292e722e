"""The visual tower of mPLUG-Owl's video version: a ViT whose every layer first looks at neighbouring frames.

Names of parameters are those of the published tensors. Source: Ye et al. 2023; github.com/X-PLUG/mPLUG-Owl.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.models.layers import attend

EPS = 1e-6  # of the layers; inner norms have torch's own


class Norm(nn.LayerNorm):
    """In float32 whatever comes in."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(input.float(), self.normalized_shape, weight, bias, self.eps).to(input.dtype)


class LocalTemporal(nn.Module):
    """A bottleneck of three neighbouring frames at each patch's place; class tokens pass unchanged."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 2
        self.ln = Norm(width)
        self.down_proj = nn.Conv3d(width, inner, 1)
        self.conv = nn.Conv3d(inner, inner, (3, 1, 1), padding=(1, 0, 0), groups=inner)
        self.up_proj = nn.Conv3d(inner, width, 1)

    def forward(self, states: Float[Tensor, "batch frames tokens width"]) -> Float[Tensor, "batch frames tokens width"]:
        along = self.ln(states[:, :, 1:]).movedim(3, 1).unsqueeze(-1)  # batch, width, frames, patches, 1
        along = self.up_proj(_quick_gelu(self.conv(self.down_proj(along)))).squeeze(-1).movedim(1, 3)
        return torch.cat([states[:, :, :1], along], dim=2)


class Mlp(nn.Module):
    """Linear, CLIP's quick GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.fc2(_quick_gelu(self.fc1(states)))


class SelfAttention(nn.Module):
    """Query, key and value of each head stand together in one projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.dense = nn.Linear(width, width)

    def forward(self, states: Float[Tensor, "images tokens width"]) -> Float[Tensor, "images tokens width"]:
        parted = self.query_key_value(states).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.dense(attend(*parted).transpose(1, 2).flatten(2))


class VisionLayer(nn.Module):
    """Time first, where there is more than one frame; what it passes unchanged is thereby doubled. Then a ViT layer."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.temporal = LocalTemporal(width)
        self.self_attn = SelfAttention(width, heads)
        self.input_layernorm, self.post_attention_layernorm = Norm(width, eps=EPS), Norm(width, eps=EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, states: Float[Tensor, "batch frames tokens width"]) -> Float[Tensor, "batch frames tokens width"]:
        if states.shape[1] > 1:
            states = states + self.temporal(states)
        images = states.flatten(0, 1)
        images = images + self.self_attn(self.input_layernorm(images))
        images = images + self.mlp(self.post_attention_layernorm(images))
        return images.unflatten(0, states.shape[:2])


class Tower(nn.Module):
    """The ViT, by the names of the published tensors."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, patch_px: int, places: int) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.embeddings.patch_embed = nn.Conv2d(3, width, patch_px, patch_px, bias=False)
        self.embeddings.position_embedding = nn.Parameter(torch.empty(1, places, width))
        self.embeddings.pre_layernorm = Norm(width, eps=EPS)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(VisionLayer(width, heads, hidden) for _ in range(layers))
        self.post_layernorm = Norm(width, eps=EPS)
        self.size_px = patch_px * round((places - 1) ** 0.5)

    def forward(self, pixels: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames tokens width"]:
        parts: Any = self.embeddings
        patches = parts.patch_embed(pixels.flatten(0, 1)).flatten(2).transpose(1, 2)
        states = torch.cat([parts.cls_token.expand(len(patches), -1, -1), patches], dim=1) + parts.position_embedding
        states = parts.pre_layernorm(states).unflatten(0, pixels.shape[:2])
        for layer in self.encoder.layers:  # type: ignore[union-attr]
            states = layer(states)
        return self.post_layernorm(states)


def _quick_gelu(states: Tensor) -> Tensor:
    return states * (1.702 * states).sigmoid()
