"""Hawkeye as its authors released it, so that their checkpoints and numbers can be compared.

It differs from the paper in nearly every part: one frame a clip, linear pose tokens, message passing without
activation, one layer an expert, a sigmoid router, scene tokens behind the visual ones, and a focal term instead of
L_bc (decision D98).
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.clip_graph import CLASSES, PREDICATES, ClipGraph, ClipScenes, SceneTower, clip_graph
from omnisila.models.graph_inputs import JOINTS, JointReading, check_width
from omnisila.models.layers import attend, masked_mean, seeing_present
from omnisila.models.scene_model import SceneModel, SceneRead
from omnisila.models.tokens import Tokens, splice
from omnisila.models.video_llm import VideoLLM
from omnisila.scenes.extractor import Entities, Layout, SceneInputs

PEOPLE, TRIPLETS = 5, 5
NUMBERS = 5  # of a joint: x, y, score and two tags
EXPERTS = 2
NORM_EPS = 1e-5


class ProbabilityReading(Config):
    """First columns of RelTR's probabilities in the relation features; by default those of the authors' files."""

    features: int = PREDICATES + 2 * CLASSES
    predicate: int = 0
    subject: int = PREDICATES
    object: int = PREDICATES + CLASSES

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The columns of a layout with Visual Genome's vocabulary."""
        starts = {name: layout.slice(name).start for name in ("predicate", "subject", "object")}
        return cls(features=layout.feature_width, **starts)


class ReleasePerception(NamedTuple):
    """Scene tokens of a clip; ``present`` is false for places of objects that other places name too."""

    scene_tokens: Float[Tensor, "batch tokens width"]
    present: Bool[Tensor, "batch tokens"]
    probabilities: Float[Tensor, "batch 1 4"]


class ReleaseExpert(nn.Module):
    """One pre-norm layer with RMSNorm, SwiGLU and no positions; every token sees every other."""

    def __init__(self, width: int, num_heads: int, feedforward: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.query, self.key, self.value, self.attention_out = (nn.Linear(width, width) for _ in range(4))
        self.feedforward_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.gate = nn.Linear(width, feedforward, bias=False)
        self.up = nn.Linear(width, feedforward, bias=False)
        self.down = nn.Linear(feedforward, width, bias=False)

    def forward(
        self, h: Float[Tensor, "batch tokens width"], visible: Bool[Tensor, "batch tokens tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        normed = _normalise(h, self.attention_norm)
        queries, keys, values = (
            linear(normed).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        mixed = attend(queries, keys, values, visible.unsqueeze(1)).transpose(1, 2).flatten(-2)
        h = h + self.attention_out(mixed)
        normed = _normalise(h, self.feedforward_norm)
        return h + self.down(F.silu(self.gate(normed)) * self.up(normed))


def _normalise(h: Float[Tensor, "batch tokens width"], norm: nn.RMSNorm) -> Float[Tensor, "batch tokens width"]:
    """In float32: bfloat16 would round what all features share."""
    weight = norm.weight
    return F.rms_norm(h.float(), norm.normalized_shape, weight.float(), norm.eps).to(weight.dtype)


class ReleaseMixture(NamedTuple):
    """y and the experts' weights; zero where a token is absent."""

    y: Float[Tensor, "batch tokens width"]
    weights: Float[Tensor, "batch tokens experts"]


class ReleaseMoE(nn.Module):
    """Experts weighted by sigmoids that are made to sum to 1, then a linear map and a LayerNorm."""

    def __init__(self, experts: nn.ModuleList, width: int) -> None:
        super().__init__()
        count = len(experts)
        self.experts = experts
        self.router = nn.Sequential(nn.Linear(width, count), nn.GELU(), nn.Linear(count, count))
        self.out = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))

    def forward(self, h: Float[Tensor, "batch tokens width"], present: Bool[Tensor, "batch tokens"]) -> ReleaseMixture:
        gates = self.router(h).float().sigmoid()
        weights = gates / gates.sum(-1, keepdim=True) * present.unsqueeze(-1)
        visible = seeing_present(present)
        outputs = torch.stack([expert(h, visible) for expert in self.experts], dim=2)
        return ReleaseMixture(self.out((weights.unsqueeze(-1) * outputs).sum(2).to(outputs.dtype)), weights)


class HawkeyeRelease(SceneModel):
    """Poses and triplets of a clip's middle frame -> mixture -> tokens behind the clip's visual ones.

    What is missing is zeros, not a mask: a clip without people has five pose tokens of the biases alone. Joints go in
    as they come; the released weights were trained on pixels.
    """

    def __init__(
        self,
        joints: JointReading,
        triplets: ProbabilityReading,
        pose_tower: nn.Module,
        scene_tower: SceneTower,
        moe: ReleaseMoE,
        projector: nn.Module,
        most_tokens: int,
        focal_strength: float,
        video_llm: VideoLLM,
    ) -> None:
        super().__init__()
        self.joints, self.triplets = joints, triplets
        self.pose_tower = pose_tower
        self.scene_tower = scene_tower
        self.moe = moe
        self.projector = projector
        self.most_tokens, self.focal_strength = most_tokens, focal_strength
        self.video_llm = video_llm

    def read(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneRead:
        perception = self.perceive(scenes, visual)
        embeds = self.video_llm.embed(tokens.ids, visual)
        spliced = splice(embeds, tokens.ids, self.video_llm.scene_id, perception.scene_tokens, perception.present)
        return SceneRead(spliced, perception)

    def perceive(self, scenes: SceneInputs, visual: Entities) -> ReleasePerception:
        """The scene side alone.

        Raises:
            InputError: features of another width.
        """
        clip = self._clip(scenes)
        graph = clip_graph(clip)
        dtype = self.scene_tower.linear.weight.dtype
        read = ClipGraph(graph.nodes.to(dtype), graph.present, graph.edges.to(dtype), graph.predicates.to(dtype))
        h = torch.cat([self.pose_tower(clip.poses.to(dtype)), self.scene_tower(read)], dim=1)
        present = self._present(graph)
        y, weights = self.moe(h, present)
        first, second = masked_mean(weights, present).unsqueeze(1).split(1, dim=-1)
        nothing = torch.zeros_like(first)
        kept = present & (present.cumsum(1) <= self.most_tokens)
        return ReleasePerception(self.projector(y), kept, torch.cat([nothing, first, second, nothing], dim=-1))

    def prompts(self, instructions: Sequence[str], scenes: SceneInputs, visual: Entities) -> list[list[int]]:
        """Each window's instruction behind its visual tokens, the poses and as many tokens as it has objects."""
        counts = self._present(clip_graph(self._clip(scenes))).sum(1).clamp(max=self.most_tokens).tolist()
        frames = visual.mask.shape[1]
        return [
            self.video_llm.prompt_ids(instruction, frames, count)
            for instruction, count in zip(instructions, counts, strict=True)
        ]

    def total_loss(self, language_loss: Float[Tensor, ""], perception: ReleasePerception) -> Float[Tensor, ""]:
        """CE + 0.2 focal(CE)."""
        return language_loss + self.focal_strength * focal_term(language_loss)

    def _present(self, graph: ClipGraph) -> Bool[Tensor, "batch tokens"]:
        return F.pad(graph.present, (PEOPLE, 0), value=True)

    def _clip(self, scenes: SceneInputs) -> ClipScenes:
        people, relations = scenes["action"], scenes["relation"]
        poses = _middle(Entities(self.joints.read(people).flatten(-2), people.mask), PEOPLE)
        check_width("relation", relations, self.triplets.features)
        rows, places = _middle(relations, TRIPLETS), self.triplets
        return ClipScenes(
            poses,
            rows[..., places.predicate : places.predicate + PREDICATES],
            rows[..., places.subject : places.subject + CLASSES],
            rows[..., places.object : places.object + CLASSES],
        )


def _middle(entities: Entities, count: int) -> Float[Tensor, "batch entities features"]:
    """The middle frame's first entities, filled up with zeros."""
    frame = entities.mask.shape[1] // 2
    rows = entities.values[:, frame] * entities.mask[:, frame].unsqueeze(-1)
    return F.pad(rows[:, :count], (0, 0, 0, max(count - rows.shape[1], 0)))


def focal_term(loss: Float[Tensor, ""], alpha: float = 0.25, gamma: float = 2.0) -> Float[Tensor, ""]:
    """(alpha (1 - p)^gamma + (1 - alpha) p^gamma) CE with p = exp(-CE), of the mean CE of a batch, as released."""
    p = (-loss).exp()
    return (alpha * (1 - p) ** gamma + (1 - alpha) * p**gamma) * loss


class HawkeyeReleaseConfig(Config):
    """The release's sizes; the defaults are those of the published checkpoint and the authors' feature files."""

    joints: JointReading = JointReading(features=JOINTS * NUMBERS, parts=((0, NUMBERS),))
    triplets: ProbabilityReading = ProbabilityReading()
    width: int = 4096
    num_heads: int = 16
    feedforward: int = 11008
    most_tokens: int = 30
    focal_strength: float = 0.2

    def build(self, video_llm: VideoLLM) -> HawkeyeRelease:
        """An untrained model in front of that Video-LLM, whose embeddings are of the same width as published."""
        width = self.width
        experts = nn.ModuleList(ReleaseExpert(width, self.num_heads, self.feedforward) for _ in range(EXPERTS))
        return HawkeyeRelease(
            self.joints, self.triplets,
            nn.Sequential(nn.Linear(JOINTS * self.joints.numbers, width), nn.Linear(width, width)), SceneTower(width),
            ReleaseMoE(experts, width), nn.Linear(width, video_llm.width), self.most_tokens, self.focal_strength,
            video_llm,
        )  # fmt: skip
