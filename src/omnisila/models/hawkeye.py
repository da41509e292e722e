"""Hawkeye as published: two graphs, a balanced mixture, and a Video-LLM that reads it instead of the video.

Source: Hawkeye Fig. 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.asg import ActionSensitiveGraph, ASGConfig, NoActionGraph
from omnisila.models.bh_moe import (
    BalancedHeterogeneousMoE,
    BalancingConstraint,
    BHMoEConfig,
    ConstraintConfig,
    NoConstraint,
    NoMixture,
    join_tokens,
)
from omnisila.models.compact import CompactVideoLLM
from omnisila.models.graph_inputs import FrameTokens, JointReading, PatchGrid, TripletReading, check_width
from omnisila.models.layers import FeatureDropout, Standardise, masked_mean
from omnisila.models.org import NoRelationGraph, ObjectRelationGraph, ORGConfig
from omnisila.models.scene_model import SceneModel, SceneRead
from omnisila.models.tokens import Tokens, splice
from omnisila.models.video_llm import VideoLLM
from omnisila.scenes.extractor import Entities, SceneInputs


class HawkeyePerception(NamedTuple):
    """What the scene side makes of a window; everything is zero where nothing is present.

    ``probabilities`` has a column a scene: the experts' mean weights stand at action and relation, face and background
    have none. Tokens of ``weights``, ``present`` and ``is_action`` are those of h.
    """

    scene_tokens: Float[Tensor, "batch spliced tokens_width"]
    probabilities: Float[Tensor, "batch frames 4"]
    weights: Float[Tensor, "batch tokens experts"]
    present: Bool[Tensor, "batch tokens"]
    is_action: Bool[Tensor, "tokens"]


class GraphTokens(NamedTuple):
    """X_c+1 and X_s."""

    action: FrameTokens
    relation: FrameTokens


class VideoEmbedding(nn.Module):
    """The visual encoder's tokens at Hawkeye's width, each knowing its frame: X_v. Source: Hawkeye 3.1."""

    def __init__(self, features: int, grid: PatchGrid, width: int, frames: int, input_dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.standardise = Standardise(features)
        self.input_dropout = FeatureDropout(input_dropout)
        self.embed = nn.Linear(features, width)
        self.positions = nn.Parameter(torch.randn(frames, width) * 0.02)

    def forward(self, visual: Entities) -> FrameTokens:
        """X_v, zero where masked out.

        Raises:
            InputError: features of another width, another grid, or more frames than there are positions.
        """
        check_width("visual", visual, self.embed.in_features)
        frames, tokens = visual.mask.shape[1:]
        wanted = self.grid.patches + self.grid.unread
        if tokens != wanted or frames > len(self.positions):
            raise InputError(
                f"a window of {frames} frames with {tokens} visual tokens each, wanted at most {len(self.positions)} "
                f"with {wanted}. Cut windows as for training, and encode them with the same visual encoder."
            )
        values, mask = (part[:, :, : self.grid.patches] for part in visual[:2])
        values = self.input_dropout(self.standardise(values.to(self.embed.weight.dtype)))
        x_v = self.embed(values) + self.positions[:frames, None]
        return FrameTokens(x_v * mask.unsqueeze(-1), mask)

    def fit_standardisation(self, visual: Entities) -> None:
        """As ``Hawkeye.fit_standardisation``, of the tokens that are read."""
        read = slice(self.grid.patches)
        self.standardise.fit(visual.values[:, :, read][visual.mask[:, :, read]])


class Pooled(NamedTuple):
    """What of y the language model reads, zero where masked out."""

    values: Float[Tensor, "batch spliced width"]
    mask: Bool[Tensor, "batch spliced"]


class EveryToken(nn.Module):
    """y as it is: one token for each patch and each node."""

    def forward(self, y: FrameTokens) -> Pooled:
        return Pooled(y.values.flatten(1, 2), y.mask.flatten(1))

    def count(self, frames: int, tokens: int) -> int:
        return frames * tokens


class FrameMeans(nn.Module):
    """The mean of each frame's tokens, where the language model's context is short."""

    def forward(self, y: FrameTokens) -> Pooled:
        return Pooled(masked_mean(y.values, y.mask), y.mask.any(-1))

    def count(self, frames: int, tokens: int) -> int:
        return frames


class NoVisualTokens(nn.Module):
    """In place of the compact Video-LLM's projector, which nothing would train: it is shown no frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames width"]:
        return features.new_zeros(*features.shape[:2], self.width)


class Hawkeye(SceneModel):
    """ASG, ORG -> B-H MoE -> projector -> Video-LLM. Source: Hawkeye Fig. 2.

    The language model's input is y + X_t: y, made from the visual tokens, stands in their place.
    """

    def __init__(
        self,
        video: VideoEmbedding,
        asg: ActionSensitiveGraph | NoActionGraph,
        org: ObjectRelationGraph | NoRelationGraph,
        moe: BalancedHeterogeneousMoE | NoMixture,
        pooling: EveryToken | FrameMeans,
        projector: nn.Module,
        constraint: BalancingConstraint | NoConstraint,
        video_llm: VideoLLM,
    ) -> None:
        super().__init__()
        self.video = video
        self.asg = asg
        self.org = org
        self.moe = moe
        self.pooling = pooling
        self.projector = projector
        self.constraint = constraint
        self.video_llm = video_llm

    def read(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneRead:
        perception = self.perceive(scenes, visual)
        embeds = self.video_llm.embed(tokens.ids, Entities(visual.values[:, :0], visual.mask[:, :0]))
        return SceneRead(splice(embeds, tokens.ids, self.video_llm.scene_id, perception.scene_tokens), perception)

    def perceive(self, scenes: SceneInputs, visual: Entities) -> HawkeyePerception:
        """The scene side alone.

        Raises:
            InputError: features of another width, another grid of patches, or too many frames.
        """
        h = join_tokens(*self.graphs(scenes, visual))
        y, weights = self.moe(h)
        frames = (visual.mask.shape[1], -1)
        mask = h.present.unflatten(1, frames)
        pooled = self.pooling(FrameTokens(y.unflatten(1, frames), mask))
        scene_tokens = self.projector(pooled.values) * pooled.mask.unsqueeze(-1)
        shares = masked_mean(weights.unflatten(1, frames), mask)
        probabilities = F.pad(shares, (1, 1))  # no expert for face and background
        return HawkeyePerception(scene_tokens, probabilities, weights, h.present, h.is_action)

    def graphs(self, scenes: SceneInputs, visual: Entities) -> GraphTokens:
        """What the two graphs make of a window, before the mixture.

        Raises:
            InputError: as ``perceive``.
        """
        x_v = self.video(visual)
        return GraphTokens(self.asg(scenes["action"], x_v), self.org(scenes["relation"], x_v, visual.area))

    def prompts(self, instructions: Sequence[str], scenes: SceneInputs, visual: Entities) -> list[list[int]]:
        """Each window's instruction behind the mixture's tokens; there is no place for visual ones."""
        frames = visual.mask.shape[1]
        places = self.pooling.count(frames, self.video.grid.patches + self.org.nodes)
        return [self.video_llm.prompt_ids(instruction, 0, places) for instruction in instructions]

    def total_loss(self, language_loss: Float[Tensor, ""], perception: HawkeyePerception) -> Float[Tensor, ""]:
        """L_total = L + lambda L_bc. Source: Hawkeye 3.3."""
        return language_loss + self.constraint(perception.weights, perception.present, perception.is_action)

    def fit_standardisation(self, scenes: SceneInputs, visual: Entities) -> None:
        """Take mean and spread of visual features and joints from training windows.

        Raises:
            TrainingError: no frame at all, or features that are not finite.
        """
        self.video.fit_standardisation(visual)
        self.asg.fit(scenes["action"])


class HawkeyeConfig(Config):
    """Which parts a Hawkeye has; an ablation leaves one out. The defaults are the paper's beside a 7B language model.

    Attributes:
        asg: None for video tokens as they are.
        org: None for no object-aware tokens.
        moe: None for the graphs' tokens without experts.
        constraint: None for no L_bc.
        pooled: one token a frame for the language model instead of all.
    """

    visual_features: int
    grid: PatchGrid
    joints: JointReading
    triplets: TripletReading
    width: int = 1024  # the papers' 4096 would mean 3.2 B parameters for two experts
    num_heads: int = 16
    feedforward_ratio: int = 4
    frames: int = 8  # Hawkeye 4.4: 8 a second
    asg: ASGConfig | None = ASGConfig()
    org: ORGConfig | None = ORGConfig()
    moe: BHMoEConfig | None = BHMoEConfig()
    constraint: ConstraintConfig | None = ConstraintConfig()
    pooled: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0  # of single visual features: small data cannot be trusted with thousands of them

    def build(self, video_llm: VideoLLM) -> Hawkeye:
        """An untrained Hawkeye in front of that Video-LLM; the compact one loses its projector."""
        if isinstance(video_llm, CompactVideoLLM):
            video_llm.projector = NoVisualTokens(video_llm.width)
        width, feedforward = self.width, self.feedforward_ratio * self.width
        sizes = (width, self.num_heads, feedforward)
        return Hawkeye(
            VideoEmbedding(self.visual_features, self.grid, width, self.frames, self.input_dropout),
            self.asg.build(self.joints, *sizes, self.frames, self.dropout) if self.asg else NoActionGraph(),
            self.org.build(self.triplets, self.grid, width, feedforward, self.frames)
            if self.org
            else NoRelationGraph(),
            self.moe.build(*sizes, self.dropout) if self.moe else NoMixture(width),
            FrameMeans() if self.pooled else EveryToken(),
            nn.Sequential(nn.Dropout(self.dropout), nn.Linear(width, video_llm.width)),
            self.constraint.build() if self.constraint else NoConstraint(),
            video_llm,
        )
