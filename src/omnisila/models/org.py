"""Object-Relation sensitive Graph: triplets as a graph of objects and predicates over masked patches.

Source: Hawkeye 3.1.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.graph_inputs import FrameTokens, PatchGrid, TripletReading, Triplets
from omnisila.scenes.extractor import Entities


class MaskedVideo(NamedTuple):
    """X_m: video tokens, zero outside every object's box, and which of them each box holds."""

    values: Float[Tensor, "batch frames patches width"]
    inside: Bool[Tensor, "batch frames boxes patches"]

    def box_means(self) -> Float[Tensor, "batch frames boxes width"]:
        """Mean token of each box; zeros for a box that holds none."""
        weights = self.inside.to(self.values.dtype)
        return weights @ self.values / weights.sum(-1, keepdim=True).clamp(min=1.0)


def object_aware_masking(
    video: FrameTokens,
    boxes: Float[Tensor, "batch frames boxes 4"],
    present: Bool[Tensor, "batch frames boxes"],
    cells: Float[Tensor, "patches 4"],
) -> MaskedVideo:
    """X_m: a patch stays if its cell and some object's box share any area. Source: Hawkeye 3.1."""
    shared = torch.minimum(boxes[..., None, 2:], cells[:, 2:]) - torch.maximum(boxes[..., None, :2], cells[:, :2])
    inside = (shared > 0).all(-1) & present.unsqueeze(-1) & video.mask.unsqueeze(2)
    return MaskedVideo(video.values * inside.any(2).unsqueeze(-1), inside)


class Graph(NamedTuple):
    """G_i with objects and predicates as nodes: the 2k ends of triplets, then the k predicates.

    An object that several triplets name is the node of its first mention; its other ends are absent.
    """

    edges: Bool[Tensor, "batch frames nodes nodes"]
    present: Bool[Tensor, "batch frames nodes"]


def triplet_graph(triplets: Triplets, min_overlap: float) -> Graph:
    """Directed edges subject -> predicate -> object. Source: Hawkeye 3.1.

    Ends are the same object where they have the same likeliest class and their boxes are equal or overlap by
    ``min_overlap`` (intersection over union), directly or through other ends.
    """
    count = triplets.mask.shape[-1]
    there = triplets.mask.repeat(1, 1, 2)
    same = _same_object(triplets.end_classes.argmax(-1), triplets.end_boxes, min_overlap)
    leader = _first_mention(same & there.unsqueeze(-1) & there.unsqueeze(-2))
    named = F.one_hot(leader, 2 * count).bool() & there.unsqueeze(-1)
    of_subject, of_object = named.split(count, dim=2)
    edges = torch.zeros(*triplets.mask.shape[:2], 3 * count, 3 * count, dtype=torch.bool, device=named.device)
    edges[:, :, : 2 * count, 2 * count :] = of_subject.transpose(-1, -2)
    edges[:, :, 2 * count :, : 2 * count] = of_object
    return Graph(edges, torch.cat([named.any(2), triplets.mask], dim=-1))


def _same_object(
    classes: Int[Tensor, "batch frames ends"], boxes: Float[Tensor, "batch frames ends 4"], min_overlap: float
) -> Bool[Tensor, "batch frames ends ends"]:
    a, b = boxes.unsqueeze(-2), boxes.unsqueeze(-3)
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    union = size.unsqueeze(-1) + size.unsqueeze(-2) - shared
    alike = (shared >= min_overlap * union) & (shared > 0) | (a == b).all(-1)
    return alike & (classes.unsqueeze(-1) == classes.unsqueeze(-2))


def _first_mention(same: Bool[Tensor, "batch frames ends ends"]) -> Int[Tensor, "batch frames ends"]:
    """The first end that each end is the same as, be it through others."""
    reached = same.float()
    for _ in range(math.ceil(math.log2(max(same.shape[-1], 2)))):
        reached = (reached @ reached).clamp(max=1.0)
    return reached.argmax(-1)


def normalised_adjacency(graph: Graph, dtype: torch.dtype) -> Float[Tensor, "batch frames nodes nodes"]:
    """D^-1/2 A D^-1/2 of the graph made symmetric, with a self-loop at each node; zero at absent nodes.

    Source: Hawkeye Eq. (4).
    """
    loops = torch.diag_embed(graph.present)
    adjacency = (graph.edges | graph.edges.transpose(-1, -2) | loops).to(dtype)
    scale = adjacency.sum(-1).clamp(min=1.0).rsqrt()
    return scale.unsqueeze(-1) * adjacency * scale.unsqueeze(-2)


class MaskGTN(nn.Module):
    """X_s = FFN(H^(L)), H^(l+1) = ReLU(D^-1/2 A D^-1/2 H^(l) W^(l)). Source: Hawkeye Eq. (4)."""

    def __init__(self, width: int, num_layers: int, feedforward: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(num_layers))
        self.ffn = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width))

    def forward(
        self, nodes: Float[Tensor, "batch frames nodes width"], graph: Graph
    ) -> Float[Tensor, "batch frames nodes width"]:
        adjacency = normalised_adjacency(graph, nodes.dtype)
        h = nodes
        for layer in self.layers:
            h = F.relu(layer(adjacency @ h))
        return self.ffn(h) * graph.present.unsqueeze(-1)


class ObjectRelationGraph(nn.Module):
    """X_v and triplets -> X_s. Source: Hawkeye 3.1, Fig. 2.

    An object's node is its class embedding and the mean masked patch in its box, a predicate's its embedding.
    """

    cells: Tensor

    def __init__(
        self,
        reading: TripletReading,
        grid: PatchGrid,
        gtn: MaskGTN,
        width: int,
        frames: int,
        triplets: int,
        min_overlap: float,
    ) -> None:
        super().__init__()
        self.reading, self.grid, self.triplets, self.min_overlap = reading, grid, triplets, min_overlap
        self.classes = nn.Linear(reading.subject[1], width, bias=False)
        self.predicates = nn.Linear(reading.predicate[1], width, bias=False)
        self.gtn = gtn
        self.positions = nn.Parameter(torch.randn(frames, width) * 0.02)
        self.register_buffer("cells", grid.cells(), persistent=False)

    @property
    def nodes(self) -> int:
        """Node places of a frame: two ends and a predicate for each triplet."""
        return 3 * self.triplets

    def forward(
        self, relations: Entities, video: FrameTokens, area: Float[Tensor, "batch 4"] | None = None
    ) -> FrameTokens:
        """Object-aware tokens of every frame; of more triplets than ``triplets`` the first ones.

        Args:
            area: the part of each window's frames that the video tokens cover, where the grid does not say it.

        Raises:
            InputError: relation features of another width, or an area that nobody says.
        """
        triplets = self.reading.read(_first(relations, self.triplets))
        graph = triplet_graph(triplets, self.min_overlap)
        ends = triplets.end_classes.shape[2]
        boxes = self.grid.locate_boxes(triplets.end_boxes, area)
        x_m = object_aware_masking(video, boxes, graph.present[..., :ends], self.cells)
        objects = self.classes(triplets.end_classes.to(self.classes.weight.dtype)) + x_m.box_means()
        predicates = self.predicates(triplets.predicates.to(self.predicates.weight.dtype))
        nodes = torch.cat([objects, predicates], dim=2)
        x_s = self.gtn(nodes, graph) + self.positions[: nodes.shape[1], None]
        return FrameTokens(x_s * graph.present.unsqueeze(-1), graph.present)


def _first(relations: Entities, count: int) -> Entities:
    """The first triplets (extractors give the likeliest first), with empty places where there are fewer."""
    missing = max(count - relations.mask.shape[-1], 0)
    values = F.pad(relations.values[:, :, :count], (0, 0, 0, missing))
    return Entities(values, F.pad(relations.mask[:, :, :count], (0, missing)))


class NoRelationGraph(nn.Module):
    """Gives no tokens. Source: Hawkeye Table 1, "w/o ORG"."""

    nodes = 0

    def forward(
        self, relations: Entities, video: FrameTokens, area: Float[Tensor, "batch 4"] | None = None
    ) -> FrameTokens:
        return FrameTokens(video.values[:, :, :0], video.mask[:, :, :0])


class ORGConfig(Config):
    """The relation graph's numbers."""

    num_layers: int = 2  # L of Eq. (4), as the authors' code has it
    max_triplets: int = 5
    min_overlap: float = 0.5  # of boxes of one class that are the same object

    def build(
        self, reading: TripletReading, grid: PatchGrid, width: int, feedforward: int, frames: int
    ) -> ObjectRelationGraph:
        """The block for triplets of that kind over frames of that grid."""
        gtn = MaskGTN(width, self.num_layers, feedforward)
        return ObjectRelationGraph(reading, grid, gtn, width, frames, self.max_triplets, self.min_overlap)
