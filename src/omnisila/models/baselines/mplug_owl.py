"""mPLUG-Owl (video): a ViT with convolutions along time, an abstractor whose queries read all frames: 64 + 1 vectors.

Files: one folder, ``MAGAer13/mplug-owl-llama-7b-video``. Source: Ye et al. 2023; github.com/X-PLUG/mPLUG-Owl.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.errors import WeightsError
from omnisila.models.backbone import Backbone, ChatTemplate, preprocess
from omnisila.models.baselines import published
from omnisila.models.baselines.mplug_owl_tower import EPS, Norm, Tower
from omnisila.models.layers import attend
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities
from omnisila.weights.official import read_state

FRAMES = 4
_SYSTEM = (
    "The following is a conversation between a curious human and AI assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)


class Gated(nn.Module):
    """SwiGLU with a norm inside."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.Linear(width, hidden)
        self.ffn_ln = Norm(hidden, eps=EPS)

    def forward(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.w2(self.ffn_ln(F.silu(self.w1(states)) * self.w3(states)))


class AbstractorLayer(nn.Module):
    """Queries look at themselves and at all frames' tokens; residuals are taken behind the first norm.

    Args:
        hidden: of the gated layer; read off the checkpoint.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        cross: Any = nn.Module()
        cross.attention, cross.output = nn.Module(), nn.Module()
        for name in ("query", "key", "value"):
            cross.attention.add_module(name, nn.Linear(width, width))
        cross.output.out_proj, cross.output.norm2 = nn.Linear(width, width), Norm(width)
        cross.output.mlp = Gated(width, hidden)
        cross.norm1, cross.normk = Norm(width), Norm(width)
        self.crossattention = cross

    def forward(
        self,
        queries: Float[Tensor, "batch queries width"],
        seen: Float[Tensor, "batch tokens width"],
        visible: Bool[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch queries width"]:
        cross, count = self.crossattention, queries.shape[1]
        queries = cross.norm1(queries)
        sources = torch.cat([queries, cross.normk(seen)], dim=1)
        mask = F.pad(visible, (count, 0), value=True)[:, None, None].expand(-1, 1, count, -1)
        query, key, value = (
            states.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for states in (cross.attention.query(queries), cross.attention.key(sources), cross.attention.value(sources))
        )
        queries = queries + cross.output.out_proj(attend(query, key, value, mask).transpose(1, 2).flatten(2))
        return queries + cross.output.mlp(cross.output.norm2(queries))


class OwlSide(nn.Module):
    """The tower, and the abstractor by the names of the published tensors."""

    def __init__(
        self, tower: Tower, layers: list[AbstractorLayer], queries: int, width: int, language_width: int
    ) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False)
        self.query_tokens = nn.Parameter(torch.empty(1, queries, width))
        self.temporal_query_tokens = nn.Parameter(torch.empty(1, queries, width))
        parts: Any = nn.Module()
        parts.encoder = nn.Module()
        parts.encoder.layers = nn.ModuleList(layers)
        parts.visual_fc, parts.temporal_visual_fc = nn.Linear(width, language_width), nn.Linear(width, language_width)
        parts.vit_eos = nn.Parameter(torch.empty(1, 1, language_width))
        self.abstractor = parts

    def forward(
        self,
        seen: Float[Tensor, "batch frames tokens width"],
        visible: Bool[Tensor, "batch frames tokens"],
    ) -> Float[Tensor, "batch vectors language_width"]:
        """The queries' answers, those of the temporal queries added to them where there are frames; then the end."""
        batch, frames = seen.shape[:2]
        count = self.query_tokens.shape[1]
        queries = self.query_tokens
        if frames > 1:
            queries = torch.cat([queries, self.temporal_query_tokens], dim=1)
        queries = queries.expand(batch, -1, -1)
        for layer in self.abstractor.encoder.layers:
            queries = layer(queries, seen.flatten(1, 2), visible.flatten(1))
        vectors = self.abstractor.visual_fc(queries[:, :count])
        if frames > 1:
            vectors = vectors + self.abstractor.temporal_visual_fc(queries[:, count:])
        return torch.cat([vectors, self.abstractor.vit_eos.expand(batch, -1, -1)], dim=1)


class MplugOwl(Backbone):
    """Frames are squeezed to a square."""

    template = ChatTemplate(
        opening=f"{_SYSTEM}\nHuman: ", before_instruction="\nHuman: ",
        closing="\nAI: ", turn="\nHuman: ", end="</s>", apart=True,
    )  # fmt: skip
    class_tokens = 1
    shown, shows_ends = FRAMES, False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.side: OwlSide = model.visual
        self.size_px = (self.side.tower.size_px, self.side.tower.size_px)
        self.patches, self.features = self.side.tower.embeddings.position_embedding.shape[1:]  # type: ignore[assignment]

    def tower(self) -> nn.Module:
        return self.side.tower

    def token_count(self, frames: int) -> int:
        """One a query, and the end of the visual ones."""
        return self.side.query_tokens.shape[1] + 1 if frames else 0

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Every token of every frame, class tokens first."""
        weight = self.side.query_tokens
        pixels = preprocess(frames.to(weight.device), self.size_px, published.CLIP_PIXELS).to(weight.dtype)
        values = self.side.tower(pixels.unflatten(0, frames.shape[:2]))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """The abstractor's vectors."""
        return self.side(visual.values, visual.mask) * visual.mask.flatten(1).any(1)[:, None, None]


def load(folder: Path, dtype: torch.dtype) -> TransformersVideoLLM:
    """The published folder as a model.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    state, settings = read_state(folder), published.language_settings(folder)
    visual = {key.replace("vision_model.", "tower.", 1): state[key] for key in state if "language_model." not in key}
    model = published.fill_parts(
        (settings.get("text_config") or settings, published.below(state, "language_model.")),
        lambda width: owl_side(visual, settings, folder, width), visual, folder, dtype,
    )  # fmt: skip
    return TransformersVideoLLM(model, published.llama_tokenizer(folder), MplugOwl(model))


def owl_side(state: Mapping[str, Tensor], settings: Mapping[str, Any], source: Path, language_width: int) -> OwlSide:
    """The visual side of the sizes that its tensors have, without values.

    Raises:
        WeightsError: the tensors are not mPLUG-Owl's.
    """
    layer, hidden = "tower.encoder.layers.", "mlp.fc1.weight"
    abstracting = "abstractor.encoder.layers.0.crossattention."
    heads, abstractor_heads = (
        (settings.get(part) or {}).get("num_attention_heads", 16)
        for part in ("vision_config", "visual_abstractor_config")
    )
    try:
        places, width = state["tower.embeddings.position_embedding"].shape[1:]
        patch_px = state["tower.embeddings.patch_embed.weight"].shape[-1]
        layers = published.count_below(state, layer)
        tower = Tower(width, heads, len(state[f"{layer}0.{hidden}"]), layers, patch_px, places)
        queries, own = state["query_tokens"].shape[1:]
        gated = len(state[f"{abstracting}output.mlp.w1.weight"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{source}: no visual side of mPLUG-Owl ({error}). Download the video version.") from error
    count = published.count_below(state, "abstractor.encoder.layers.")
    layers = [AbstractorLayer(own, abstractor_heads, gated) for _ in range(count)]
    return OwlSide(tower, layers, queries, own, language_width)
