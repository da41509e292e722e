"""Chat-UniVi: patches and frames merged by clustering, 112 vectors an event, one linear layer to the language model.

Files: one folder, ``Chat-UniVi/Chat-UniVi``. Source: Jin et al. 2023; github.com/PKU-YuanGroup/Chat-UniVi. The merging
is density-peaks clustering over nearest neighbours (DPC-KNN); D183 says where it is undefined.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from omnisila.models.backbone import ChatTemplate
from omnisila.models.baselines import published
from omnisila.models.baselines.clip_side import clip_side, tower_keys, whole_checkpoint
from omnisila.models.clip_tower import ClipBackbone
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities
from omnisila.schema import Span

FRAMES, RATE_HZ = 100, 1.0  # of a video: one a second, at most so many
FEW = 2  # so many frames are read as pictures, each merged for itself
NOISE = 1e-6  # of densities, where it is wanted
_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions."
)


class Rate(NamedTuple):
    """How many clusters tokens become: a number, or a share of them; and how many neighbours a density looks at."""

    rate: float
    neighbours: int

    def clusters(self, tokens: int) -> int:
        return max(math.ceil(self.rate if self.rate > 1 else tokens * self.rate), 1)


class Rates(NamedTuple):
    """Of the three steps of merging patches, and of merging frames into events."""

    spatial: tuple[Rate, Rate, Rate] = (Rate(64, 5), Rate(32, 3), Rate(16, 3))
    temporal: Rate = Rate(1 / 16, 5)

    @property
    def per_event(self) -> int:
        """How many vectors an event becomes."""
        return sum(rate.clusters(0) for rate in self.spatial)


def clusters(
    tokens: Float[Tensor, "batch tokens features"], rate: Rate, noise: torch.Generator | None = None
) -> Int[Tensor, "batch tokens"]:
    """Which cluster each token belongs to, by DPC-KNN.

    Centres are the tokens whose density, times the distance to the nearest denser token, is largest. Every token goes
    to its nearest centre. Where the authors' choice is left to noise, for all densities are equal, the earlier token is
    the centre: with one neighbour, which is the token itself, as for 17 to 48 frames (decision D183).

    Args:
        noise: adds up to a millionth to densities, as the authors' code always does; None adds nothing.
    """
    count = rate.clusters(tokens.shape[1])
    neighbours = min(3, max(count // 2, 1)) if rate.neighbours > count else rate.neighbours
    exact = "donot_use_mm_for_euclid_dist"  # a token is at no distance from itself, whatever the device
    distances = torch.cdist(tokens.float(), tokens.float(), compute_mode=exact) / tokens.shape[-1] ** 0.5
    nearest = distances.topk(min(neighbours, tokens.shape[1]), largest=False).values
    density = (-(nearest**2).mean(-1)).exp()
    if noise is not None:
        density = density + NOISE * torch.rand(density.shape, generator=noise).to(density)
    denser = density.unsqueeze(1) > density.unsqueeze(2)
    farthest = distances.flatten(1).amax(1)[:, None, None]
    to_denser = distances.where(denser, farthest).amin(-1)
    centres = (to_denser * density).sort(dim=-1, descending=True, stable=True).indices[:, :count]
    owner = distances.gather(1, centres.unsqueeze(-1).expand(-1, -1, tokens.shape[1])).argmin(1)
    return owner.scatter(1, centres, torch.arange(count, device=centres.device).expand_as(centres))


def merge(
    tokens: Float[Tensor, "batch tokens features"], rate: Rate, noise: torch.Generator | None = None
) -> Float[Tensor, "batch clusters features"]:
    """The mean of each cluster's tokens."""
    owner = clusters(tokens, rate, noise)
    one_hot = nn.functional.one_hot(owner, rate.clusters(tokens.shape[1])).to(tokens.dtype)
    weights = one_hot / (one_hot.sum(1, keepdim=True) + 1e-6)
    return weights.transpose(1, 2) @ tokens


def cascade(
    patches: Float[Tensor, "frames patches features"], rates: Rates, noise: torch.Generator | None = None
) -> list[Float[Tensor, "frames clusters features"]]:
    """Each frame's patches merged, and the result merged again: 64, 32 and 16 vectors a frame."""
    steps: list[Tensor] = []
    for rate in rates.spatial:
        patches = merge(patches, rate, noise)
        steps.append(patches)
    return steps


def event_tokens(
    patches: Float[Tensor, "frames patches features"], rates: Rates, noise: torch.Generator | None = None
) -> Float[Tensor, "vectors features"]:
    """One video: its frames in events, in the order of their first frames, and each event's vectors merged."""
    if len(patches) <= FEW:
        return torch.cat(cascade(patches, rates, noise), dim=1).flatten(0, 1)
    event_of = clusters(patches.mean(1).unsqueeze(0), rates.temporal, noise)[0].tolist()
    steps = cascade(patches, rates, noise)
    vectors: list[Tensor] = []
    for event in dict.fromkeys(event_of):
        frames = [frame for frame, own in enumerate(event_of) if own == event]
        vectors += [
            merge(step[frames].flatten(0, 1).unsqueeze(0), rate, noise)[0]
            for step, rate in zip(steps, rates.spatial, strict=True)
        ]
    return torch.cat(vectors)


class ChatUniVi(ClipBackbone):
    """Frames that do not lie in the video count as the nearest one, whose picture they hold.

    Args:
        noise_seed: seeds the authors' noise anew for each video; None, as by default, merges without noise.
    """

    template = ChatTemplate(
        opening=f"{_SYSTEM}###Human: Hi!###Assistant: Hi there! How can I help you today?###Human: ",
        before_instruction="\n",
        closing="###Assistant:",
        turn="Human: ",
        end="###",
        stop="###",
        apart=True,
    )

    def __init__(self, model: Any, rates: Rates, noise_seed: int | None = None) -> None:
        super().__init__(model)
        self.rates, self.noise_seed = rates, noise_seed

    def token_count(self, frames: int) -> int:
        """112 an event, and an event for each 16 frames; of one or two frames 112 each."""
        return self.rates.per_event * (frames if frames <= FEW else self.rates.temporal.clusters(frames))

    def shown_times(self, start_s: float, end_s: float, rate_hz: float, holes: Sequence[Span]) -> tuple[float, ...]:
        """One frame a second from the start on; of more than 100, 100 of them spread evenly."""
        times_s = [start_s + second / RATE_HZ for second in range(max(1, math.ceil((end_s - start_s) * RATE_HZ)))]
        chosen = (
            range(len(times_s))
            if len(times_s) <= FRAMES
            else torch.linspace(0, len(times_s) - 1, FRAMES).int().tolist()
        )
        return tuple(times_s[place] for place in chosen)

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """Each video's merged vectors through the linear layer."""
        merged_tokens = torch.stack([event_tokens(video, self.rates, self._noise()) for video in visual.values])
        return self.model.visual.projector(merged_tokens) * visual.mask.any(-1).any(-1)[:, None, None]

    def _noise(self) -> torch.Generator | None:
        return None if self.noise_seed is None else torch.Generator().manual_seed(self.noise_seed)


def load(folder: Path, dtype: torch.dtype, noise_seed: int | None = None) -> TransformersVideoLLM:
    """The published folder as a model.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    language, clip, settings = whole_checkpoint(folder)
    model = published.fill_parts(
        (settings, language), lambda width: clip_side(clip, width, folder, class_token=False), tower_keys(clip), folder,
        dtype, published.projector_name,
    )  # fmt: skip
    return TransformersVideoLLM(
        model, published.llama_tokenizer(folder), ChatUniVi(model, rates_of(settings), noise_seed)
    )


def rates_of(settings: dict[str, Any]) -> Rates:
    """The rates that ``config.json`` states under ``config``; the published ones where it states none."""
    stated, usual = settings.get("config") or {}, Rates()
    spatial = [
        rate._replace(rate=stated.get(f"spatial_cluster_rate{step}", rate.rate))
        for step, rate in enumerate(usual.spatial)
    ]
    temporal = stated.get("temporal_cluster_rate", usual.temporal.rate)
    return Rates((spatial[0], spatial[1], spatial[2]), usual.temporal._replace(rate=temporal))
