"""Action-Sensitive Graph: people's joints as graphs, and video tokens that look at them. Source: Hawkeye 3.1."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.graph_inputs import JOINTS, FrameTokens, JointReading
from omnisila.models.layers import Standardise, attend, masked_mean, masked_softmax, seeing_present
from omnisila.scenes.extractor import Entities

LIMBS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
SCORE = 2  # its place among a joint's numbers, after x and y


class GraphAttention(nn.Module):
    """h'_k = ReLU(W' [sum_j alpha_kj h_j, h_k]), alpha_kj = softmax_j((W h_k) . (W h_j) / sqrt(d)). Hawkeye Eq. (1).

    j runs over the joints that a limb joins to k, and k itself; joints that are not visible are no one's neighbour.
    What is gathered is h_j as it came, not W h_j. The paper calls both matrices W.

    Source: Hawkeye Eq. (1).
    """

    neighbours: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w = nn.Linear(width, width, bias=False)
        self.w_out = nn.Linear(2 * width, width, bias=False)
        self.register_buffer("neighbours", skeleton(), persistent=False)

    def forward(
        self, h: Float[Tensor, "*people 17 width"], visible: Bool[Tensor, "*people 17"]
    ) -> Float[Tensor, "*people 17 width"]:
        projected = self.w(h)
        scores = projected @ projected.transpose(-1, -2) / math.sqrt(h.shape[-1])
        alpha = masked_softmax(scores, self.neighbours & visible.unsqueeze(-2))
        gathered = alpha.to(h.dtype) @ h
        return F.relu(self.w_out(torch.cat([gathered, h], dim=-1)))


def skeleton() -> Bool[Tensor, "17 17"]:
    """Which joints are neighbours: COCO's 19 limbs both ways, and each joint itself."""
    joined = torch.eye(JOINTS, dtype=torch.bool)
    ends, others = torch.tensor(LIMBS).T
    joined[ends, others] = joined[others, ends] = True
    return joined


class PersonTokens(nn.Module):
    """One token a person: the mean over visible joints after graph attention. Source: Hawkeye 3.1, footnote 2.

    Of more people than ``max_people`` those with the highest sum of visible joints' scores stay. The view of the
    embedded profile has no joints and is nobody.
    """

    def __init__(
        self, reading: JointReading, attention: GraphAttention, width: int, max_people: int, min_score: float
    ) -> None:
        super().__init__()
        self.reading, self.max_people, self.min_score = reading, max_people, min_score
        self.standardise = Standardise(JOINTS * reading.numbers)
        self.embed = nn.Linear(reading.numbers, width)
        self.joints = nn.Parameter(torch.randn(JOINTS, width) * 0.02)
        self.attention = attention

    def forward(self, people: Entities) -> FrameTokens:
        """X_a: person tokens of every frame, masked out where no joint of a person is visible.

        Raises:
            InputError: features of another width.
        """
        joints, visible = self._best(self.reading.read(people), people.mask)
        h = self.embed(self.standardise(joints.flatten(-2)).unflatten(-1, (JOINTS, -1))) + self.joints
        return FrameTokens(masked_mean(self.attention(h, visible), visible), visible.any(-1))

    def fit(self, people: Entities) -> None:
        """Take mean and spread of joints from training windows; none at all leave them as they are.

        Raises:
            TrainingError: features that are not finite.
        """
        joints = self.reading.read(people)
        seen = joints[self._visible(joints, people.mask).any(-1)]
        if len(seen):
            self.standardise.fit(seen.flatten(1))

    def _visible(
        self, joints: Float[Tensor, "batch frames people 17 numbers"], mask: Bool[Tensor, "batch frames people"]
    ) -> Bool[Tensor, "batch frames people 17"]:
        return (joints[..., SCORE] >= self.min_score) & mask.unsqueeze(-1)

    def _best(
        self, joints: Float[Tensor, "batch frames all 17 numbers"], mask: Bool[Tensor, "batch frames all"]
    ) -> tuple[Float[Tensor, "batch frames best 17 numbers"], Bool[Tensor, "batch frames best 17"]]:
        visible = self._visible(joints, mask)
        if joints.shape[2] <= self.max_people:
            return joints, visible
        merit = (joints[..., SCORE] * visible).sum(-1)
        best = merit.topk(self.max_people, dim=-1).indices[..., None]
        chosen = best.unsqueeze(-1).expand(*best.shape[:3], JOINTS, joints.shape[-1])
        return joints.gather(2, chosen), visible.gather(2, best.expand(*best.shape[:3], JOINTS))


class CrossAttention(nn.Module):
    """X_c = X_v + V_a softmax(Q_v^T K_a / sqrt(d)): video tokens look at all people of the window.

    Without people nothing is added. Scaling and residual are ours; the paper writes neither. Source: Hawkeye 3.1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Linear(width, width)
        self.keys = nn.Linear(width, width)
        self.values = nn.Linear(width, width)

    def forward(
        self,
        video: Float[Tensor, "batch tokens width"],
        people: Float[Tensor, "batch people width"],
        seen: Bool[Tensor, "batch people"],
    ) -> Float[Tensor, "batch tokens width"]:
        anyone = seen.any(-1)
        # a row of attention must see something; what an empty window saw is dropped
        visible = (seen | ~anyone.unsqueeze(-1))[:, None, None]
        queries, keys, values = self.queries(video), self.keys(people), self.values(people)
        mixed = attend(queries.unsqueeze(1), keys.unsqueeze(1), values.unsqueeze(1), visible).squeeze(1)
        return video + mixed * anyone[:, None, None]


class ActionAwareLayer(nn.Module):
    """X'_c = LN(X_c + MSA(X_c)), then X_c+1 = LN(X'_c + FFN(X'_c)).

    Source: Hawkeye Eqs. (2) and (3).
    """

    def __init__(self, width: int, num_heads: int, feedforward: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width))
        self.ffn_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_c: Float[Tensor, "batch tokens width"], present: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        x_c = self.attention_norm(x_c + self.dropout(self.self_attention(x_c, present)))
        return self.ffn_norm(x_c + self.dropout(self.ffn(x_c)))

    def self_attention(
        self, x_c: Float[Tensor, "batch tokens width"], present: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """MSA over the tokens that are present."""
        joint = self.queries_keys_values(x_c).unflatten(-1, (3, self.num_heads, -1))
        queries, keys, values = joint.permute(2, 0, 3, 1, 4)
        mixed = attend(queries, keys, values, seeing_present(present).unsqueeze(1))
        return self.attention_out(mixed.transpose(1, 2).flatten(-2))


class ActionSensitiveGraph(nn.Module):
    """X_v, X_a -> X_c+1: video tokens enriched with what people do. Source: Hawkeye 3.1, Fig. 2."""

    def __init__(
        self, persons: PersonTokens, cross_attention: CrossAttention, layer: ActionAwareLayer, frames: int
    ) -> None:
        super().__init__()
        self.persons = persons
        self.positions = nn.Parameter(torch.randn(frames, persons.embed.out_features) * 0.02)
        self.cross_attention = cross_attention
        self.layer = layer

    def forward(self, people: Entities, video: FrameTokens) -> FrameTokens:
        """Action-aware video tokens, as many as the video's; without people they see one another only.

        Raises:
            InputError: action features of another width.
        """
        x_a = self.persons(people)
        timed = x_a.values + self.positions[: x_a.values.shape[1], None]
        x_c = self.cross_attention(video.values.flatten(1, 2), timed.flatten(1, 2), x_a.mask.flatten(1))
        x_next = self.layer(x_c, video.mask.flatten(1)).unflatten(1, video.mask.shape[1:])
        return FrameTokens(x_next * video.mask.unsqueeze(-1), video.mask)

    def fit(self, people: Entities) -> None:
        self.persons.fit(people)


class NoActionGraph(nn.Module):
    """Leaves the video tokens as they came. Source: Hawkeye Table 1, "w/o ASG"."""

    def forward(self, people: Entities, video: FrameTokens) -> FrameTokens:
        return video

    def fit(self, people: Entities) -> None:
        """Nothing to measure."""


class ASGConfig(Config):
    """The action graph's numbers."""

    max_people: int = 5  # Hawkeye footnote 2
    min_joint_score: float = 0.1  # HigherHRNet's detection threshold; lower joints count as not visible

    def build(
        self, reading: JointReading, width: int, num_heads: int, feedforward: int, frames: int, dropout: float = 0.0
    ) -> ActionSensitiveGraph:
        persons = PersonTokens(reading, GraphAttention(width), width, self.max_people, self.min_joint_score)
        layer = ActionAwareLayer(width, num_heads, feedforward, dropout)
        return ActionSensitiveGraph(persons, CrossAttention(width), layer, frames)
