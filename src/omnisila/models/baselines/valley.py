"""Valley: CLIP patches pooled over time in one of four ways, 256 vectors, and the class token of every frame.

Files: one folder, ``luoruipu1/Valley2-7b`` (the papers' "Valley 7B" can be no other: D182).
Source: Luo et al. 2023; github.com/RupertLuo/Valley.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.media.transforms import centre_crop, channels_first, resize_short_side
from omnisila.models.backbone import ChatTemplate
from omnisila.models.baselines import published
from omnisila.models.baselines.clip_side import ClipSide, clip_side, tower_keys, whole_checkpoint
from omnisila.models.clip_tower import ClipBackbone
from omnisila.models.layers import masked_mean, masked_softmax
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.boxes import Area
from omnisila.scenes.extractor import Entities

FRAMES = 8
RESIZED_PX, CROPPED_PX = 256, 224  # the short side before the middle of so many pixels is cut out
HEADS, POSITIONS = 8, 2048  # of the layer that looks along time
_SYSTEM = (
    "You are Valley, a large language and vision assistant trained by ByteDance. You are able to understand the visual "
    "content or video that the user provides, and assist the user with a variety of tasks using natural language. "
    "Follow the instructions carefully and explain your answers in detail."
)


class MeanPooling(nn.Module):
    """Each patch's mean over the frames."""

    def forward(
        self, patches: Float[Tensor, "batch frames patches width"], present: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch patches width"]:
        return masked_mean(patches.transpose(1, 2), present.unsqueeze(1).expand(-1, patches.shape[2], -1))


class TemporalImportance(nn.Module):
    """A weighted mean over the frames; one linear layer weighs a frame by all of its patches."""

    def __init__(self, width: int, patches: int) -> None:
        super().__init__()
        self.pooling_layer = nn.Linear(width * patches, 1)

    def forward(
        self, patches: Float[Tensor, "batch frames patches width"], present: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch patches width"]:
        weights = masked_softmax(self.pooling_layer(patches.flatten(2)).squeeze(-1), present).to(patches.dtype)
        return (weights[:, :, None, None] * patches).sum(1)


class TemporalTransformer(nn.Module):
    """The mean over the frames, and what a transformer layer along time makes of each patch's last frame."""

    def __init__(self, width: int, feedforward: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, HEADS, feedforward, batch_first=True)
        self.transformer_delta_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.position_matrix = nn.Parameter(torch.zeros(POSITIONS, width), requires_grad=False)

    def forward(
        self, patches: Float[Tensor, "batch frames patches width"], present: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch patches width"]:
        batch, frames, count, _ = patches.shape
        along = patches.transpose(1, 2).flatten(0, 1)
        absent = ~present.repeat_interleave(count, 0)
        seen = self.transformer_delta_encoder(along + self.position_matrix[:frames], src_key_padding_mask=absent)
        last = (present * torch.arange(frames, device=present.device)).amax(1).repeat_interleave(count)
        delta = seen[torch.arange(len(seen), device=seen.device), last]
        return (delta + masked_mean(along, ~absent)).unflatten(0, (batch, count))


class ValleySide(ClipSide):
    """CLIP, the projector, and the pooling over time that the checkpoint was trained with."""

    def __init__(self, clip: ClipSide, pooling: nn.Module, width: int) -> None:
        super().__init__(clip.tower, width)
        self.pooling = pooling


class Valley(ClipBackbone):
    """Every frame's patches are projected before they are pooled."""

    template = ChatTemplate(
        opening=f"{_SYSTEM}\n\n### Human: ",
        video_token="<im_patch>",
        before_instruction=" ",
        closing=" \n###",
        turn=" Human: ",
        end=" \n###",
        before_answer=" Assistant: ",  # which the model writes itself, and the authors take away
        stop="###",
    )

    def token_count(self, frames: int) -> int:
        """One a patch and one a frame."""
        return self.patches - self.class_tokens + frames if frames else 0

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """The pooled patches between their marks, then the frames' class tokens between theirs."""
        pooled = self.patches - self.class_tokens
        return ("<im_start>", pooled, "<im_end><vi_start>", frames, "<vi_end>") if frames else ()

    def fit_frames(self, frames: UInt8[Tensor, "images height width 3"]) -> UInt8[Tensor, "images size size 3"]:
        """The middle of frames whose short side is 8/7 of it, by plain bilinear interpolation."""
        side = self.size_px[0]
        resized = resize_short_side(channels_first(frames), self._resized_px, antialias=False).round()
        return centre_crop(resized, side, side).to(torch.uint8).movedim(1, -1)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """The square in the middle, without its edges."""
        shorter, side = min(height_px, width_px), self.size_px[0]
        high, wide = (self._resized_px * edge // shorter for edge in (height_px, width_px))
        top, left = (high - side) // 2, (wide - side) // 2
        return left / wide, top / high, (left + side) / wide, (top + side) / high

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """Pooled patches, then class tokens of the frames that there are, zeros for the others."""
        side, present = self.model.visual, visual.mask.any(-1)
        projected = side.projector(visual.values)
        pooled = side.pooling(projected[:, :, self.class_tokens :], present) * present.any(-1)[:, None, None]
        return torch.cat([pooled, projected[:, :, 0] * present.unsqueeze(-1)], dim=1)

    @property
    def _resized_px(self) -> int:
        return self.size_px[0] * RESIZED_PX // CROPPED_PX


def load(folder: Path, dtype: torch.dtype) -> TransformersVideoLLM:
    """The published folder as a model.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    language, clip, settings = whole_checkpoint(folder)
    tokenizer = published.llama_tokenizer(folder)

    def side(width: int) -> ValleySide:
        plain = clip_side(clip, width, folder, class_token=True)
        return ValleySide(plain, pooling_of(settings, language, width, plain.tower.patches - 1), width)

    model = published.fill_parts((settings, language), side, tower_keys(clip), folder, dtype, _our_name)
    model.config.video_token_id = tokenizer.convert_tokens_to_ids(Valley.template.video_token)
    return TransformersVideoLLM(model, tokenizer, Valley(model))


def pooling_of(settings: dict[str, Any], state: dict[str, Tensor], width: int, patches: int) -> nn.Module:
    """The pooling that a published ``config.json`` names, without values; the mean where it names none.

    The authors' code also has the largest value, which no setting of theirs chooses.
    """
    if settings.get("use_delta_transformer"):
        hidden = state.get("model.transformer_delta_encoder.layers.0.linear1.weight")
        return TemporalTransformer(width, 2048 if hidden is None else len(hidden))
    if settings.get("use_patch_importance_pooling"):
        return TemporalImportance(width, patches)
    return MeanPooling()


def _our_name(key: str) -> str | None:
    """The authors keep the layer that their encoder was copied from beside it; it is never run."""
    if key.startswith("language_model.model.transforemr_adding_layer."):
        return None
    for name in ("pooling_layer.", "transformer_delta_encoder.", "position_matrix"):
        key = key.replace(f"language_model.model.{name}", f"visual.pooling.{name}")
    return published.projector_name(key)
