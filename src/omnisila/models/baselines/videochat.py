"""VideoChat: EVA-CLIP with global relation aggregators on its last layers, a Q-Former of 32 + 64 queries: 96 vectors.

Files: ``eva_vit_g.pth``, ``blip2_pretrained_flant5xxl.pth``, ``videochat_7b.pth``, and ``vicuna-7b-v0/`` (or
``llama-7b/`` with ``vicuna-7b-delta-v0/``). Its prompt tells the frames' times. Source: Li et al. 2023, VideoChat;
github.com/OpenGVLab/Ask-Anything (video_chat); GMHRA: Li et al. 2022, UniFormerV2.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel, Blip2VisionConfig, Blip2VisionModel

from omnisila.errors import WeightsError
from omnisila.models.backbone import Backbone, ChatTemplate
from omnisila.models.baselines import published
from omnisila.models.clip_tower import ClipPreprocessing
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.boxes import Area
from omnisila.scenes.extractor import Entities
from omnisila.weights.official import read_state

FRAMES = 8
EVA_HEAD, BERT_HEAD = 88, 64  # widths of an attention head
WHERE = "github.com/OpenGVLab/Ask-Anything, video_chat/README.md"
_OTHERS = re.compile(  # what reads text, the model that BLIP-2 stood before, and EVA's last layer with its head
    r"Qformer\.cls\.|Qformer\.bert\.embeddings\.(word_|position_)|Qformer\.bert\.encoder\.layer\.\d+\.(intermediate|output)\."
    r"|t5_proj\.|visual_encoder\.(norm|fc_norm|head|blocks\.39)\."
)


class GlobalAggregator(nn.Module):
    """GMHRA: one query looks at all tokens of all frames, whose places a convolution has told them.

    Names of parameters are the published ones.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.dpe = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(width) for _ in range(3))
        parts = {"c_fc": nn.Linear(width, hidden), "gelu": nn.GELU(), "c_proj": nn.Linear(hidden, width)}
        self.mlp = nn.Sequential(OrderedDict(parts))

    def forward(
        self, query: Float[Tensor, "batch 1 width"], seen: Float[Tensor, "batch frames tokens width"]
    ) -> Float[Tensor, "batch 1 width"]:
        seen = self.ln_3(seen)
        side = round((seen.shape[2] - 1) ** 0.5)
        volume = seen[:, :, 1:].unflatten(2, (side, side)).movedim(-1, 1)
        placed = seen[:, :, 1:] + self.dpe(volume).movedim(1, -1).flatten(2, 3)
        sources = torch.cat([seen[:, :, :1], placed], dim=2).flatten(1, 2)
        mixed = self.attn(
            *(states.transpose(0, 1) for states in (self.ln_1(query), sources, sources)), need_weights=False
        )
        query = query + mixed[0].transpose(0, 1)
        return query + self.mlp(self.ln_2(query))


class EvaTower(nn.Module):
    """EVA-CLIP of transformers' BLIP-2, and an aggregator behind each of its last layers.

    Args:
        vision: its last norm is not run.
    """

    def __init__(self, vision: Blip2VisionModel, aggregators: Sequence[GlobalAggregator]) -> None:
        super().__init__()
        self.vision: Any = vision
        self.vision.post_layernorm = nn.Identity()
        self.gmhra_cls_token = nn.Parameter(torch.empty(1, 1, vision.config.hidden_size))
        self.gmhra = nn.ModuleList(aggregators)

    def forward(self, pixels: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames tokens width"]:
        """Every frame's tokens behind the video's one aggregated token, which stands with each frame."""
        batch, frames = pixels.shape[:2]
        states, query = self.vision.embeddings(pixels.flatten(0, 1)), self.gmhra_cls_token.expand(batch, -1, -1)
        first = len(self.vision.encoder.layers) - len(self.gmhra)
        for depth, layer in enumerate(self.vision.encoder.layers):
            states = layer(states)
            if depth >= first:
                query = self.gmhra[depth - first](query, states.unflatten(0, (batch, frames)))
        aggregated = query.unsqueeze(1).expand(-1, frames, -1, -1)
        return torch.cat([aggregated, states.unflatten(0, (batch, frames))], dim=2)


class VideoChatSide(nn.Module):
    """The tower, its norm, the Q-Former with its queries, and the projection."""

    def __init__(self, tower: EvaTower, qformer: Blip2QFormerModel, queries: tuple[int, int], width: int) -> None:
        super().__init__()
        features, own = tower.vision.config.hidden_size, qformer.config.hidden_size
        self.tower = tower.requires_grad_(False)
        self.ln_vision = nn.LayerNorm(features)
        self.qformer = qformer
        self.query_tokens, self.extra_query_tokens = (nn.Parameter(torch.empty(1, count, own)) for count in queries)
        self.llama_proj = nn.Linear(own, width)


class VideoChat(Backbone):
    """Any number of frames, 8 by its authors; the video's aggregated token counts as a class token of each frame."""

    template = ChatTemplate(
        opening="###Human: <Video>",
        before_instruction="###Human: ",
        closing="\n###Assistant:",
        turn="Human: ",
        end="###",
        stop="###",
        apart=True,
    )
    class_tokens = 2
    shown, shows_ends = FRAMES, False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.side: VideoChatSide = model.visual
        config: Any = self.side.tower.vision.config
        self.preprocessing = ClipPreprocessing(size_px=config.image_size)
        self.size_px = (config.image_size, config.image_size)
        self.features = config.hidden_size
        self.patches = (config.image_size // config.patch_size) ** 2 + self.class_tokens

    def tower(self) -> nn.Module:
        return self.side.tower

    def token_count(self, frames: int) -> int:
        """One a query."""
        return self.side.query_tokens.shape[1] + self.side.extra_query_tokens.shape[1] if frames else 0

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """The vectors, then when the frames were, as far as that is known."""
        told = ", ".join(str(round(time_s, 1)) for time_s in times_s)
        said = f" The video contains {frames} frames sampled at {told} seconds." if times_s else ""
        return (self.token_count(frames), f"</Video>{said}\n")

    def fit_frames(self, frames: UInt8[Tensor, "images height width 3"]) -> UInt8[Tensor, "images size size 3"]:
        return self.preprocessing.resize_frames(frames)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        return self.preprocessing.shown_area(height_px, width_px)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Every token of every frame, before the norm."""
        weight = self.side.query_tokens
        pixels = self.preprocessing.pixels(frames.flatten(0, 1).to(weight.device), weight.dtype)
        values = self.side.tower(pixels.unflatten(0, frames.shape[:2]))
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """The Q-Former's answers to its queries, mapped."""
        side, batch = self.side, len(visual.values)
        tokens = torch.cat([visual.values[:, 0, :1], visual.values[:, :, 1:].flatten(1, 2)], dim=1)
        visible = torch.cat([visual.mask.flatten(1).any(1, keepdim=True), visual.mask[:, :, 1:].flatten(1)], dim=1)
        queries = torch.cat([side.query_tokens, side.extra_query_tokens], dim=1).expand(batch, -1, -1)
        answers = side.qformer(
            query_embeds=queries,
            encoder_hidden_states=side.ln_vision(tokens),
            encoder_attention_mask=visible.long(),
        ).last_hidden_state
        return side.llama_proj(answers) * visible.any(1)[:, None, None]


def load(folder: Path, dtype: torch.dtype) -> TransformersVideoLLM:
    """The published files as a model.

    Raises:
        WeightsError: one is missing, damaged or of another model.
    """
    eva, blip, tuned = (
        read_state(published.part(folder, name, where_from=WHERE))
        for name in ("eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth", "videochat_7b.pth")
    )
    language, home = published.language_state(folder, *published.VICUNA_V0, WHERE)
    visual = {**published.above(eva, "visual_encoder."), **blip, **tuned}
    visual = in_transformers_form({key: tensor for key, tensor in visual.items() if not _OTHERS.match(key)})
    model = published.fill_parts(
        (published.language_settings(home), language), lambda width: videochat_side(visual, folder, width), visual,
        folder, dtype,
    )  # fmt: skip
    return TransformersVideoLLM(model, published.llama_tokenizer(home), VideoChat(model))


_RENAMED = {  # published -> the names of transformers' parts, or of those here
    "visual_encoder.gmhra": "tower.gmhra",
    "visual_encoder.cls_token": "tower.vision.embeddings.class_embedding",
    "visual_encoder.pos_embed": "tower.vision.embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.": "tower.vision.embeddings.patch_embedding.",
    "visual_encoder.blocks.": "tower.vision.encoder.layers.",
    ".norm1.": ".layer_norm1.",
    ".norm2.": ".layer_norm2.",
    ".attn.qkv.": ".self_attn.qkv.",
    ".attn.proj.": ".self_attn.projection.",
    "Qformer.bert.embeddings.LayerNorm.": "qformer.layernorm.",
    "Qformer.bert.": "qformer.",
    "attention.self.": "attention.attention.",
}


def in_transformers_form(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """EVA's and the Q-Former's tensors by transformers' names; biases of queries and values with keys' zeros between.

    The convolution of patches spans one frame, whether its file says so or not.
    """
    made: dict[str, Tensor] = {}
    for key, tensor in state.items():
        value, name = tensor, key
        if key.endswith(".attn.v_bias"):
            continue
        if key.endswith(".attn.q_bias"):
            values = state.get(key.replace("q_bias", "v_bias"), torch.zeros(0))
            value, name = torch.cat([tensor, torch.zeros_like(tensor), values]), key.replace("q_bias", "qkv.bias")
        if key.endswith("patch_embed.proj.weight") and tensor.ndim == 5:
            value = tensor.squeeze(2)
        for theirs, own in _RENAMED.items():
            name = name.replace(theirs, own)
        made[name] = value
    return made


def videochat_side(state: Mapping[str, Tensor], source: Path, width: int) -> VideoChatSide:
    """The visual side of the sizes that its tensors have, without values.

    Raises:
        WeightsError: the tensors are not VideoChat's.
    """
    layers, queries = "tower.vision.encoder.layers.", "qformer.encoder.layer."
    try:
        patch = state["tower.vision.embeddings.patch_embedding.weight"]
        places = state["tower.vision.embeddings.position_embedding"].shape[1]
        features, hidden = patch.shape[0], len(state[f"{layers}0.mlp.fc1.weight"])
        own, inner = len(state["qformer.layernorm.weight"]), len(state[f"{queries}0.intermediate_query.dense.weight"])
        counts = state["query_tokens"].shape[1], state["extra_query_tokens"].shape[1]
        aggregating = len(state["tower.gmhra.0.mlp.c_fc.weight"])
    except KeyError as error:
        raise WeightsError(
            f"{source}: {error} is missing among VideoChat's tensors. Download its files again."
        ) from error
    heads = max(1, features // EVA_HEAD)
    vision = Blip2VisionModel._from_config(
        Blip2VisionConfig(
            hidden_size=features,
            intermediate_size=hidden,
            num_hidden_layers=published.count_below(state, layers),
            num_attention_heads=heads,
            image_size=round((places - 1) ** 0.5) * patch.shape[-1],
            patch_size=patch.shape[-1],
        ),
        attn_implementation="sdpa",
    )
    count = published.count_below(state, "tower.gmhra.")
    aggregators = [GlobalAggregator(features, heads, aggregating) for _ in range(count)]
    qformer = Blip2QFormerModel._from_config(
        Blip2QFormerConfig(
            hidden_size=own,
            intermediate_size=inner,
            num_hidden_layers=published.count_below(state, queries),
            num_attention_heads=max(1, own // BERT_HEAD),
            encoder_hidden_size=features,
            cross_attention_frequency=2,
        ),
        attn_implementation="sdpa",
    )
    return VideoChatSide(EvaTower(vision, aggregators), qformer, counts, width)
