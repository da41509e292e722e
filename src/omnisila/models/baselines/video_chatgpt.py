"""Video-ChatGPT: CLIP patches averaged over each frame and over time, 100 + 256 vectors behind the question.

Files: ``LLaVA-7B-Lightening-v1-1/`` (or ``llama-7b/`` with ``LLaVA-Lightning-7B-delta-v1-1/``), the partial
``video_chatgpt-7B.bin``, and ``clip-vit-large-patch14/``, without which the hub is asked for it.
Source: Maaz et al. 2023; github.com/mbzuai-oryx/Video-ChatGPT.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from omnisila.media.sampling import uniform_times
from omnisila.media.transforms import channels_first
from omnisila.models.backbone import ChatTemplate
from omnisila.models.baselines import published
from omnisila.models.baselines.clip_side import clip_side, clip_state, is_tower, tower_keys
from omnisila.models.clip_tower import ClipBackbone
from omnisila.models.layers import masked_mean
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.boxes import WHOLE_FRAME, Area
from omnisila.scenes.extractor import Entities
from omnisila.schema import Span
from omnisila.weights.official import read_state

FRAMES = 100
WHERE = "github.com/mbzuai-oryx/Video-ChatGPT, docs/offline_demo.md"
TOKENS = ("<vid_patch>", "<vid_start>", "<vid_end>")  # in the order in which the authors add them
PARTIAL = "video_chatgpt-7B.bin"
_SYSTEM = (
    "You are Video-ChatGPT, a large vision-language assistant. You are able to understand the video content that the "
    "user provides, and assist the user with a variety of tasks using natural language.Follow the instructions "
    "carefully and explain your answers in detail based on the provided video."
)


class VideoChatGPT(ClipBackbone):
    """At most 100 frames; places of frames that there are not are zeros before the projector."""

    template = ChatTemplate(
        opening=f"{_SYSTEM} USER: ", video_token="<vid_patch>",
        closing=" ASSISTANT:", turn="USER: ", end="</s>", before_answer=" ", video_last=True,
    )  # fmt: skip

    def token_count(self, frames: int) -> int:
        """100 for time and one a patch, however many frames there are."""
        return FRAMES + self.patches if frames else 0

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """The vectors between the two marks, on a line of their own behind the question."""
        return ("\n<vid_start>", self.token_count(frames), "<vid_end>") if frames else ()

    def shown_times(self, start_s: float, end_s: float, rate_hz: float, holes: Sequence[Span]) -> tuple[float, ...]:
        """The middles of 100 equal parts, of fewer where there are fewer frames."""
        return uniform_times(start_s, end_s, max(1, min(FRAMES, int((end_s - start_s) * rate_hz))), holes=holes)

    def fit_frames(self, frames: UInt8[Tensor, "images height width 3"]) -> UInt8[Tensor, "images size size 3"]:
        """Squeezed to a square; each pixel is the one that lies there, nothing is averaged."""
        return F.interpolate(channels_first(frames), self.size_px, mode="nearest").to(torch.uint8).movedim(1, -1)

    def shown_area(self, height_px: int, width_px: int) -> Area:
        """All of a frame."""
        return WHOLE_FRAME

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """Means over patches and over frames through the projector."""
        pooled = spatio_temporal(visual.values, visual.mask.any(-1), FRAMES)
        return self.model.visual.projector(pooled) * visual.mask.any(-1).any(-1)[:, None, None]


def spatio_temporal(
    features: Float[Tensor, "batch frames patches features"], present: Bool[Tensor, "batch frames"], most: int
) -> Float[Tensor, "batch pooled features"]:
    """Each frame's mean over its patches, filled up with zeros to ``most``; then each patch's mean over the frames."""
    over_patches = features.mean(2) * present.unsqueeze(-1)
    over_time = masked_mean(features.transpose(1, 2), present.unsqueeze(1).expand(-1, features.shape[2], -1))
    return torch.cat([F.pad(over_patches, (0, 0, 0, most - features.shape[1])), over_time], dim=1)


def load(folder: Path, dtype: torch.dtype) -> TransformersVideoLLM:
    """The published files as a model.

    Raises:
        WeightsError: one is missing, damaged or of another model.
    """
    base, home = published.language_state(
        folder, "LLaVA-7B-Lightening-v1-1", "llama-7b", "LLaVA-Lightning-7B-delta-v1-1", WHERE
    )
    partial, clip = read_state(published.part(folder, PARTIAL, where_from=WHERE)), clip_state({}, folder)
    tokenizer = published.llama_tokenizer(home, TOKENS)
    language = {key: tensor for key, tensor in {**base, **partial}.items() if not is_tower(key)}
    language["lm_head.weight"] = with_mean_rows(language["lm_head.weight"], len(tokenizer))
    model = published.fill_parts(
        (published.language_settings(home), language),
        lambda width: clip_side(clip, width, folder, class_token=False), tower_keys(clip), folder / PARTIAL, dtype,
        published.projector_name,
    )  # fmt: skip
    model.config.video_token_id = tokenizer.convert_tokens_to_ids(TOKENS[0])
    return TransformersVideoLLM(model, tokenizer, VideoChatGPT(model))


def with_mean_rows(weight: Float[Tensor, "rows width"], wanted: int) -> Float[Tensor, "wanted width"]:
    """A table with further rows, each the mean of the others: what the authors give tokens that they add."""
    missing = max(wanted - len(weight), 0)
    return torch.cat([weight, weight.float().mean(0, keepdim=True).to(weight.dtype).expand(missing, -1)])
