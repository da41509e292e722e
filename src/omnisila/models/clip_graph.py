"""The graph of the released Hawkeye: one frame a clip, objects told apart by class, messages without activation."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

PREDICATES, CLASSES = 51, 151  # of RelTR for Visual Genome


class ClipGraph(NamedTuple):
    """Objects of a clip in the order of their first mention: subject, object, subject, ...

    ``edges[target, source]`` counts the triplets that lead there, self-loops among them; ``predicates`` are summed over
    the triplets that lead to a node.
    """

    nodes: Float[Tensor, "batch nodes classes"]
    present: Bool[Tensor, "batch nodes"]
    edges: Float[Tensor, "batch nodes nodes"]
    predicates: Float[Tensor, "batch nodes predicates"]


class ClipScenes(NamedTuple):
    """Poses and relation probabilities of a clip's one frame, filled up with zeros as the authors' loader does."""

    poses: Float[Tensor, "batch people numbers"]
    predicates: Float[Tensor, "batch triplets predicates"]
    subjects: Float[Tensor, "batch triplets classes"]
    objects: Float[Tensor, "batch triplets classes"]


def clip_graph(scenes: ClipScenes) -> ClipGraph:
    """Objects are told apart by their likeliest class alone; a triplet of zeros names class 0 twice, as released."""
    ends = torch.stack([scenes.subjects, scenes.objects], dim=2).flatten(1, 2)
    leader = _first_of_class(ends.argmax(-1))
    count = ends.shape[1]
    named = F.one_hot(leader, count).to(ends.dtype)
    present = named.any(1)
    sources, targets = named[:, ::2], named[:, 1::2]
    edges = targets.transpose(1, 2) @ sources + torch.diag_embed(present).to(ends.dtype)
    return ClipGraph(ends * present.unsqueeze(-1), present, edges, targets.transpose(1, 2) @ scenes.predicates)


def _first_of_class(classes: Int[Tensor, "batch ends"]) -> Int[Tensor, "batch ends"]:
    return (classes.unsqueeze(-1) == classes.unsqueeze(-2)).int().argmax(-1)


class MessagePassing(nn.Module):
    """x'_i = W sum_j (x_j + U e_ji): sums over what leads to i and i itself, whose own e is zero; no activation."""

    def __init__(self, width: int, width_out: int) -> None:
        super().__init__()
        self.edge = nn.Linear(PREDICATES, width)
        self.linear = nn.Linear(width, width_out)

    def forward(self, x: Float[Tensor, "batch nodes width"], graph: ClipGraph) -> Float[Tensor, "batch nodes out"]:
        arrivals = graph.edges.sum(-1, keepdim=True)
        told = graph.predicates @ self.edge.weight.T + arrivals * self.edge.bias
        return self.linear(graph.edges @ x + told) * graph.present.unsqueeze(-1)


class SceneTower(nn.Module):
    """Two layers of message passing and two linear maps: one token an object."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([MessagePassing(CLASSES, width), MessagePassing(width, width)])
        self.linear = nn.Linear(width, width)
        self.projector = nn.Linear(width, width)

    def forward(self, graph: ClipGraph) -> Float[Tensor, "batch nodes width"]:
        x = graph.nodes
        for layer in self.layers:
            x = layer(x, graph)
        return self.projector(self.linear(x))
