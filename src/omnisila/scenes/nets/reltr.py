"""RelTR: a sparse scene graph in one stage, 100 entities and 200 subject-predicate-object triplets from queries.

Parameters have the names of the published checkpoint (``checkpoint0149.pth``), which loads as it is.
Source: Cong et al., RelTR, 2023; the relation extractor that Omni-SILA 3.1 and Hawkeye 3.2 name.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.nets.padding import pad_pictures
from omnisila.scenes.nets.reltr_transformer import Queries, RelTRTransformer, States, sine_positions
from omnisila.scenes.nets.resnet import RESNET_50, ResNet, halve_sizes, inside
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state

MAP_PX = 28  # side to which attention maps are brought before they are convolved
MAP_WIDTH = 128
MAP_CHANNELS = (64, 32)
MAP_CELLS = 8 * 8  # of a map after its two strides


class RelTRConfig(Config):
    """Sizes of the published networks. Class counts include index 0, "no class", but not the no-object output."""

    entity_classes: int = 151
    predicates: int = 51
    entity_queries: int = 100
    triplet_queries: int = 200
    width: int = 256
    heads: int = 8
    dense_width: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    backbone_filters: int = 64
    backbone_blocks: tuple[int, int, int, int] = RESNET_50
    short_side_px: int = 800
    max_side_px: int = 1333

    def build(self) -> "RelTR":
        return RelTR(self)


VISUAL_GENOME = RelTRConfig()
OPEN_IMAGES = RelTRConfig(entity_classes=289, predicates=31)  # Open Images V6: 288 and 30 with annotated relations


class Found(NamedTuple):
    """What one head says of its queries; the last class is no-object."""

    logits: Float[Tensor, "batch queries classes"]
    boxes_frac: Float[Tensor, "batch queries 4"]


class Raw(NamedTuple):
    """Outputs for a batch, from the last decoder layer."""

    states: States
    entities: Found
    subjects: Found
    objects: Found
    predicate_logits: Float[Tensor, "batch triplets predicates"]


class Relations(NamedTuple):
    """All queries of one picture, in float32, without the no-object column.

    ``triplet_probabilities`` are predicate, subject and object side by side (51, 151 and 151 for Visual Genome): the
    353 numbers that Hawkeye's release reads. A row's parts sum to less than one each: the rest is no-object.
    Boxes are left, top, right, bottom. A triplet's score is the product of its three likeliest classes' probabilities.
    """

    entity_states: Float[Tensor, "entities width"]
    entity_probabilities: Float[Tensor, "entities classes"]
    entity_boxes_frac: Float[Tensor, "entities 4"]
    subject_states: Float[Tensor, "triplets width"]
    object_states: Float[Tensor, "triplets width"]
    triplet_probabilities: Float[Tensor, "triplets features"]
    subject_boxes_frac: Float[Tensor, "triplets 4"]
    object_boxes_frac: Float[Tensor, "triplets 4"]
    triplet_scores: Float[Tensor, "triplets"]

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Predicate, subject and object probabilities of the triplets."""
        classes = self.entity_probabilities.shape[1]
        predicates = self.triplet_probabilities.shape[1] - 2 * classes
        predicate, subject, thing = self.triplet_probabilities.split([predicates, classes, classes], dim=1)
        return predicate, subject, thing


class Triplets(NamedTuple):
    """Chosen triplets of one picture, best first; ``states`` are subject and object side by side."""

    queries: Int[Tensor, "chosen"]
    probabilities: Float[Tensor, "chosen features"]
    states: Float[Tensor, "chosen doubled_width"]
    subjects: Int[Tensor, "chosen"]
    predicates: Int[Tensor, "chosen"]
    objects: Int[Tensor, "chosen"]
    subject_boxes_frac: Float[Tensor, "chosen 4"]
    object_boxes_frac: Float[Tensor, "chosen 4"]
    scores: Float[Tensor, "chosen"]


class Perceptron(nn.Module):
    """Linear maps with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... out"]:
        for layer in list(self.layers)[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class RelTR(nn.Module):
    """The frozen network; in bfloat16, positions, class probabilities and boxes are still computed in float32."""

    def __init__(self, config: RelTRConfig) -> None:
        super().__init__()
        self.config = config
        width, classes = config.width, config.entity_classes + 1
        body = ResNet(config.backbone_filters, config.backbone_blocks)
        self.backbone = nn.ModuleList([nn.ModuleDict({"body": body})])
        self.input_proj = nn.Conv2d(body.channels, width, 1)
        self.transformer = RelTRTransformer(
            width, config.heads, config.dense_width, config.encoder_layers, config.decoder_layers
        )
        self.entity_embed = nn.Embedding(config.entity_queries, 2 * width)
        self.triplet_embed = nn.Embedding(config.triplet_queries, 3 * width)
        self.so_embed = nn.Embedding(2, width)
        self.entity_class_embed, self.entity_bbox_embed = nn.Linear(width, classes), Perceptron(width, width, width, 4)
        self.sub_class_embed, self.sub_bbox_embed = nn.Linear(width, classes), Perceptron(width, width, width, 4)
        self.obj_class_embed, self.obj_bbox_embed = nn.Linear(width, classes), Perceptron(width, width, width, 4)
        self.so_mask_conv = _map_convolutions()
        self.so_mask_fc = nn.Sequential(
            nn.Linear(MAP_CHANNELS[1] * MAP_CELLS, 512), nn.ReLU(), nn.Linear(512, MAP_WIDTH)
        )
        self.rel_class_embed = Perceptron(2 * width + MAP_WIDTH, width, config.predicates + 1)

    @classmethod
    def from_checkpoint(cls, path: Path, config: RelTRConfig | None = None) -> Self:
        """The network with published weights, ready for inference.

        Args:
            path: ``checkpoint0149.pth`` as published, or that file converted to safetensors.
            config: by default the published sizes with as many classes as the checkpoint's heads have.

        Raises:
            WeightsError: the file cannot be read, or its tensors are not this network's; the message names them.
        """
        state = read_state(path)
        net = cls(config or _published_sizes(state))
        return load_into(net, state, path).eval().requires_grad_(False)

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], sizes_px: Int[Tensor, "batch 2"] | None = None
    ) -> Raw:
        """Raw outputs for normalised RGB pictures.

        Args:
            sizes_px: height and width of each picture where smaller ones are padded right and below with zeros; each
                gives what it gives alone. None where nothing is padded.
        """
        features = self.input_proj(self.backbone.get_submodule("0.body")(pixels, sizes_px))
        rows, columns = features.shape[2:]
        sizes = None if sizes_px is None else _cells(sizes_px)
        whole = torch.tensor([[rows, columns]], device=pixels.device)
        positions = sine_positions(whole if sizes is None else sizes, rows, columns, self.config.width)
        padding = None if sizes is None else ~inside(sizes, rows, columns).flatten(1)
        cells = features.flatten(2).mT
        states = self.transformer(cells, positions.to(cells.dtype).expand_as(cells), padding, self._queries())
        looked = self._map_features(states, rows, columns, sizes)
        return Raw(
            states,
            _read_heads(self.entity_class_embed, self.entity_bbox_embed, states.entities),
            _read_heads(self.sub_class_embed, self.sub_bbox_embed, states.subjects),
            _read_heads(self.obj_class_embed, self.obj_bbox_embed, states.objects),
            self.rel_class_embed(torch.cat([states.subjects, states.objects, looked], dim=2)),
        )

    @torch.inference_mode()
    def relations(self, images: Sequence[UInt8[Tensor, "_ _ 3"]] | UInt8[Tensor, "batch _ _ 3"]) -> list[Relations]:
        """Entities and triplets of each RGB picture, on the network's device.

        Args:
            images: of any sizes; those of one size are computed without padding.
        """
        if len(images) == 0:
            return []
        weight = self.input_proj.weight
        batch = pad_pictures(images, self.config.short_side_px, self.config.max_side_px, weight.device)
        raw = self(batch.pixels.to(weight.dtype), batch.sizes_px)
        entity, subject, thing, predicate = (
            logits.float().softmax(2)[..., :-1]
            for logits in (raw.entities.logits, raw.subjects.logits, raw.objects.logits, raw.predicate_logits)
        )
        columns = (
            raw.states.entities.float(), entity, raw.entities.boxes_frac,
            raw.states.subjects.float(), raw.states.objects.float(), torch.cat([predicate, subject, thing], dim=2),
            raw.subjects.boxes_frac, raw.objects.boxes_frac, predicate.amax(2) * subject.amax(2) * thing.amax(2),
        )  # fmt: skip
        return [Relations(*picture) for picture in zip(*columns, strict=True)]

    def _queries(self) -> Queries:
        entity_positions, entities = self.entity_embed.weight.chunk(2, dim=1)
        positions, subjects, objects = self.triplet_embed.weight.chunk(3, dim=1)
        return Queries(entity_positions, entities, positions, subjects, objects, self.so_embed.weight)

    def _map_features(
        self, states: States, rows: int, columns: int, sizes: Int[Tensor, "batch 2"] | None
    ) -> Float[Tensor, "batch triplets width"]:
        """Where a triplet's subject and object lie, read off the last layer's visual attention."""
        assert states.maps is not None
        planes = states.maps.unflatten(3, (rows, columns))
        if sizes is not None:  # each picture's own part fills the map, as when it is alone
            own = zip(planes, sizes.tolist(), strict=True)
            planes = torch.stack([F.interpolate(plane[..., :height, :width], MAP_PX) for plane, (height, width) in own])
        convolved = self.so_mask_conv(planes.flatten(0, 1))
        return self.so_mask_fc(convolved.flatten(1)).unflatten(0, planes.shape[:2])


def top_triplets(relations: Relations, count: int = 5, min_score: float = 0.3) -> Triplets:
    """The likeliest triplets, best first; ties stay in the order of queries.

    Args:
        count: at most so many.
        min_score: predicate, subject and object must each have a class that is likelier than this. 0.3 is the
            published inference's; 0 lets nearly every query through.
    """
    best = [part.max(dim=1) for part in relations.parts()]
    likely = torch.stack([part.values for part in best]).amin(dim=0) > min_score
    candidates = torch.nonzero(likely)[:, 0]
    order = relations.triplet_scores[candidates].sort(descending=True, stable=True).indices
    chosen = candidates[order[:count]]
    predicates, subjects, objects = (part.indices[chosen] for part in best)
    return Triplets(
        chosen, relations.triplet_probabilities[chosen],
        torch.cat([relations.subject_states, relations.object_states], dim=1)[chosen], subjects, predicates, objects,
        relations.subject_boxes_frac[chosen], relations.object_boxes_frac[chosen], relations.triplet_scores[chosen],
    )  # fmt: skip


def _published_sizes(state: Mapping[str, Tensor]) -> RelTRConfig:
    """The published sizes with the class counts of a checkpoint's heads; loading refuses what does not fit."""
    entity, predicate = state.get("entity_class_embed.bias"), state.get("rel_class_embed.layers.1.bias")
    if entity is None or predicate is None or min(entity.numel(), predicate.numel()) < 2:
        return VISUAL_GENOME
    return VISUAL_GENOME.replace(entity_classes=entity.numel() - 1, predicates=predicate.numel() - 1)


def _cells(sizes_px: Int[Tensor, "batch 2"]) -> Int[Tensor, "batch 2"]:
    for _ in range(5):  # strides of 2 in the backbone
        sizes_px = halve_sizes(sizes_px)
    return sizes_px


def _map_convolutions() -> nn.Sequential:
    first, second = MAP_CHANNELS
    return nn.Sequential(
        nn.Upsample((MAP_PX, MAP_PX)), nn.Conv2d(2, first, 3, 2, 3), nn.ReLU(), nn.BatchNorm2d(first),
        nn.MaxPool2d(3, 2, 1), nn.Conv2d(first, second, 3, 1, 1), nn.ReLU(), nn.BatchNorm2d(second),
    )  # fmt: skip


def _read_heads(classes: nn.Module, box: nn.Module, states: Float[Tensor, "batch queries width"]) -> Found:
    """Class logits, and boxes from centre and size to corners inside the picture."""
    centre, size = box(states).float().sigmoid().chunk(2, dim=2)
    return Found(classes(states), torch.cat([centre - size / 2, centre + size / 2], dim=2).clamp(0, 1))
