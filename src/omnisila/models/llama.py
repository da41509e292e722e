"""A Llama of the compact model's size: transformers' layers, weights and numbers, without the seconds of its import.

Source: Touvron et al. 2023, section 2.2; equal to the bit (``tests/equivalence/test_llama.py``, decision D264).
"""

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omnisila.models.layers import attend

if TYPE_CHECKING:
    import transformers

NORM_EPS, ROTARY_BASE, INITIAL_DEVIATION = 1e-6, 10_000.0, 0.02
Linear = partial(nn.Linear, bias=False)


class LlamaLayer(nn.Module):
    """Attention whose queries and keys are turned by their positions, then SwiGLU, each behind a norm."""

    def __init__(self, width: int, num_heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.self_attn = nn.ModuleDict({f"{name}_proj": Linear(width, width) for name in "qkvo"})
        self.mlp = nn.ModuleDict({f"{name}_proj": Linear(width, feedforward) for name in ("gate", "up")})
        self.mlp["down_proj"] = Linear(feedforward, width)
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(width, NORM_EPS) for _ in range(2))

    def forward(
        self,
        states: Float[Tensor, "batch tokens width"],
        angles: Float[Tensor, "batch 1 tokens depth"],
        visible: Bool[Tensor, "batch tokens tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        read = self.input_layernorm(states)
        queries, keys, values = (
            self.self_attn[f"{name}_proj"](read).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for name in "qkv"
        )
        queries, keys = (x * angles.cos() + _quarter_turn(x) * angles.sin() for x in (queries, keys))
        dropout = self.dropout if self.training else 0.0
        mixed = attend(queries, keys, values, visible.unsqueeze(1), dropout, angles.shape[-1] ** -0.5)
        states = states + self.self_attn["o_proj"](mixed.transpose(1, 2).flatten(-2))
        read = self.post_attention_layernorm(states)
        return states + self.mlp["down_proj"](F.silu(self.mlp["gate_proj"](read)) * self.mlp["up_proj"](read))


class Llama(nn.Module):
    """Layers over embeddings, and a head that has the embeddings' weights.

    Args:
        layer: as ``LlamaLayer`` takes its sizes.
    """

    def __init__(self, vocabulary: int, pad_id: int, num_layers: int, width: int, **layer: Any) -> None:
        super().__init__()
        self.depth = width // layer["num_heads"]
        self.model = nn.ModuleDict({"embed_tokens": nn.Embedding(vocabulary, width, pad_id)})
        self.model["layers"] = nn.ModuleList(LlamaLayer(width, **layer) for _ in range(num_layers))
        self.model["norm"] = nn.RMSNorm(width, NORM_EPS)
        self.model.apply(_initialise)
        self.lm_head = Linear(width, vocabulary).apply(_initialise)
        self.lm_head.weight = cast("nn.Embedding", self.model["embed_tokens"]).weight

    def forward(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        positions: Int[Tensor, "batch tokens"],
        visible: Bool[Tensor, "batch tokens tokens"],
        kept: int,
    ) -> Float[Tensor, "batch kept vocabulary"]:
        """Logits of the last ``kept`` tokens."""
        steps = 1.0 / (ROTARY_BASE ** (torch.arange(0, self.depth, 2, device=embeds.device).float() / self.depth))
        angles = (positions[:, None, :, None].float() * steps).repeat(1, 1, 1, 2)
        for layer in cast("nn.ModuleList", self.model["layers"]):
            embeds = layer(embeds, angles, visible)
        return self.lm_head(self.model["norm"](embeds)[:, -kept:])

    def as_transformers(self, max_tokens: int) -> "transformers.LlamaForCausalLM":
        """The same weights in transformers' model, which generates."""
        from transformers import LlamaConfig, LlamaForCausalLM

        vocabulary, width = self.lm_head.weight.shape
        layers = cast("Any", self.model["layers"])
        config = LlamaConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=layers[0].mlp["up_proj"].out_features,
            num_hidden_layers=len(layers), num_attention_heads=width // self.depth,
            max_position_embeddings=max_tokens, tie_word_embeddings=True,
        )  # fmt: skip
        with torch.random.fork_rng(devices=()):  # what is drawn here is thrown away
            model = LlamaForCausalLM(config).eval()
        model.load_state_dict(self.state_dict(), assign=True)
        return model


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, INITIAL_DEVIATION)
        if isinstance(module, nn.Embedding):
            nn.init.zeros_(module.weight[module.padding_idx])


def _quarter_turn(x: Float[Tensor, "*rest depth"]) -> Float[Tensor, "*rest depth"]:
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)
