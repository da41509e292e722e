"""PandaGPT: a video is one vector of ImageBind, mapped to one token.

Files: ``imagebind_huge.pth``, ``pytorch_model.pt`` (adapters and projection), and ``vicuna-7b-v0/`` (or ``llama-7b/``
with ``vicuna-7b-delta-v0/``). Source: Su et al. 2023; github.com/yxuansu/PandaGPT.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from omnisila.errors import WeightsError
from omnisila.media.transforms import channels_first, resize_short_side
from omnisila.models.backbone import Backbone, ChatTemplate, preprocess
from omnisila.models.baselines import published
from omnisila.models.baselines.imagebind import FRAMES, NOTICE, ImageBindVision, imagebind_vision, vision_state
from omnisila.models.layers import masked_mean
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities
from omnisila.schema import Span
from omnisila.weights.official import read_state

CLIPS, CLIP_S = 5, 2.0  # of a video; two frames each, the clip's first and last
CROPS = 3  # along the longer side
ALPHA, RANK = 32.0, 32  # of the published adapters
WHERE = "github.com/yxuansu/PandaGPT, README 2.2 to 2.4"
_ADAPTED = "llama_model.base_model.model."


class PandaSide(nn.Module):
    """ImageBind's visual trunk, frozen, and the projection."""

    def __init__(self, tower: ImageBindVision, width: int) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False)
        self.projector = nn.Linear(tower.head.out_features, width)


class PandaGPT(Backbone):
    """Frames in pairs; three square crops of each stand side by side, so that footage of any shape has one size."""

    template = ChatTemplate(
        opening="### Human: <Img>",
        after_video="</Img> ",
        closing="\n### Assistant:",
        turn=" Human: ",
        end="\n###",
        stop="##",  # the first of the two tokens of "###" behind a new line
        apart=True,
    )
    notice = NOTICE
    patches = 1

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.trunk: ImageBindVision = model.visual.tower
        self.features = self.trunk.head.out_features
        self.size_px = (self.trunk.size_px, CROPS * self.trunk.size_px)

    def tower(self) -> nn.Module:
        return self.trunk

    def token_count(self, frames: int) -> int:
        """One."""
        return int(frames > 0)

    def shown_times(self, start_s: float, end_s: float, rate_hz: float, holes: Sequence[Span]) -> tuple[float, ...]:
        """The first and the last frame of five clips of two seconds, spread evenly over the stretch."""
        length_s = min(CLIP_S, end_s - start_s)
        begins_s = [start_s + (end_s - start_s - length_s) * clip / (CLIPS - 1) for clip in range(CLIPS)]
        return tuple(time_s for begin_s in begins_s for time_s in (begin_s, begin_s + length_s - 0.5 / rate_hz))

    def fit_frames(self, frames: UInt8[Tensor, "images height width 3"]) -> UInt8[Tensor, "images size three_sizes 3"]:
        """The two ends and the middle of frames whose short side is the tower's, in whole grey levels."""
        side = self.trunk.size_px
        resized = resize_short_side(channels_first(frames), side, antialias=False).round().to(torch.uint8)
        high, wide = resized.shape[-2:]
        crops: list[Tensor] = []
        for share in (0.0, 0.5, 1.0):
            top, left = (math.ceil((edge - side) * share) for edge in (high, wide))
            crops.append(resized[..., top : top + side, left : left + side])
        return torch.cat(crops, dim=-1).movedim(1, -1)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Each pair's mean over its crops; both frames of a pair have it. A last frame without another is a pair."""
        batch, count = frames.shape[:2]
        weight = self.trunk.head.weight
        shown = self._crops(frames.flatten(0, 1).to(weight.device)).unflatten(0, (batch, count))
        if count % FRAMES:
            shown = torch.cat([shown, shown[:, -1:]], dim=1)
        pairs = shown.unflatten(1, (-1, FRAMES)).movedim(2, 4)  # batch, pairs, crops, channels, 2, size, size
        vectors = self.trunk(pairs.flatten(0, 2).to(weight.dtype)).unflatten(0, pairs.shape[:3]).mean(2)
        values = vectors.repeat_interleave(FRAMES, dim=1)[:, :count].unsqueeze(2)
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def project(self, visual: Entities) -> Float[Tensor, "batch 1 width"]:
        """The mean over the video, mapped."""
        present = visual.mask[:, :, 0]
        mean = masked_mean(visual.values[:, :, 0], present)
        return (self.model.visual.projector(mean) * present.any(-1, keepdim=True)).unsqueeze(1)

    def _crops(self, frames: UInt8[Tensor, "images height width 3"]) -> Float[Tensor, "images crops 3 size size"]:
        fitted = frames if frames.shape[1:3] == self.size_px else self.fit_frames(frames)
        pixels = preprocess(fitted.unsqueeze(1), self.size_px, published.CLIP_PIXELS)
        return torch.stack(pixels.chunk(CROPS, dim=-1), dim=1)


def load(folder: Path, dtype: torch.dtype) -> TransformersVideoLLM:
    """The published files as a model.

    Raises:
        WeightsError: one is missing, damaged or of another model.
    """
    trunk_file, tuned_file = (
        published.part(folder, name, where_from=WHERE) for name in ("imagebind_huge.pth", "pytorch_model.pt")
    )
    base, home = published.language_state(folder, *published.VICUNA_V0, WHERE)
    trunk, tuned = vision_state(read_state(trunk_file)), read_state(tuned_file)
    projection = {key: tensor for key, tensor in tuned.items() if not key.startswith(_ADAPTED)}
    model = published.fill_parts(
        (published.language_settings(home), with_adapters(base, tuned, tuned_file)),
        lambda width: PandaSide(imagebind_vision(trunk, trunk_file), width),
        {**published.above(trunk, "tower."), **projection}, folder, dtype,
        lambda key: key.replace("llama_proj.", "projector."),
    )  # fmt: skip
    return TransformersVideoLLM(model, published.llama_tokenizer(home), PandaGPT(model))


def with_adapters(language: Mapping[str, Tensor], tuned: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The language model with the published adapters added to its weights: W + alpha / rank B A.

    Raises:
        WeightsError: an adapter of a weight that the language model does not have, or half of one.
    """
    merged = dict(language)
    for key, down in tuned.items():
        if not key.startswith(_ADAPTED) or ".lora_A." not in key:
            continue
        name = key.removeprefix(_ADAPTED).partition(".lora_A.")[0] + ".weight"
        up = tuned.get(key.replace(".lora_A.", ".lora_B."))
        if up is None or name not in merged:
            raise WeightsError(
                f"{source}: {key} adapts {name}, which the language model lacks, or is half of an adapter. Give the "
                "adapters of this model."
            )
        change = up.float() @ down.float() * (ALPHA / RANK)
        merged[name] = (merged[name].float() + change).to(merged[name].dtype)
    return merged
