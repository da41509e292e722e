"""RelTR's transformer: an encoder of the picture, a decoder of entities, and beside it one of triplets.

A triplet is two states, subject and object, that share one query position. Per decoder layer: coupled self-attention
among all subjects and objects, then for each role decoupled visual attention (to the picture) and decoupled entity
attention (to this layer's entities). Every sub-layer is added and then normalised.

The extractor is frozen, so there is no dropout. Parameters have the names of the published checkpoint.
Source: Cong et al., RelTR, 2023; the encoder and the entity decoder are Carion et al. 2020.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

TEMPERATURE = 10000.0


class Picture(NamedTuple):
    """The encoded picture as the decoder's attentions read it."""

    values: Float[Tensor, "batch cells width"]
    keys: Float[Tensor, "batch cells width"]
    padding: Bool[Tensor, "batch cells"] | None


class Queries(NamedTuple):
    """What the decoder starts from: positions stay, contents are transformed; roles tell subjects from objects."""

    entity_positions: Float[Tensor, "entities width"]
    entities: Float[Tensor, "entities width"]
    triplet_positions: Float[Tensor, "triplets width"]
    subjects: Float[Tensor, "triplets width"]
    objects: Float[Tensor, "triplets width"]
    roles: Float[Tensor, "2 width"]


class States(NamedTuple):
    """Entities, subjects and objects after a decoder layer, and where each role looked.

    ``maps`` are visual attention weights, mean over heads, subject before object; only the last layer computes them.
    """

    entities: Float[Tensor, "batch entities width"]
    subjects: Float[Tensor, "batch triplets width"]
    objects: Float[Tensor, "batch triplets width"]
    maps: Float[Tensor, "batch triplets 2 cells"] | None


class EncoderLayer(nn.Module):
    """Self-attention over the picture's cells, then a dense sub-layer."""

    def __init__(self, width: int, heads: int, dense_width: int) -> None:
        super().__init__()
        self.self_attn = _attention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, dense_width), nn.Linear(dense_width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "batch cells width"],
        positions: Float[Tensor, "batch cells width"],
        padding: Bool[Tensor, "batch cells"] | None,
    ) -> Float[Tensor, "batch cells width"]:
        placed = x + positions
        x = self.norm1(x + _attend(self.self_attn, placed, placed, x, padding))
        return self.norm2(x + self.linear2(self.linear1(x).relu()))


class DecoderLayer(nn.ModuleDict):
    """One layer of the entity decoder and of the triplet decoder."""

    def __init__(self, width: int, heads: int, dense_width: int) -> None:
        attentions = ("self_attn_entity", "self_attn_so", "cross_sub_entity", "cross_obj_entity")
        parts: dict[str, nn.Module] = {name: _attention(width, heads) for name in attentions}
        parts["norm2_so"] = nn.LayerNorm(width)
        for role in ("entity", "sub", "obj"):
            parts[f"cross_attn_{role}"] = _attention(width, heads)
            parts[f"linear1_{role}"] = nn.Linear(width, dense_width)
            parts[f"linear2_{role}"] = nn.Linear(dense_width, width)
            parts |= {f"norm{number}_{role}": nn.LayerNorm(width) for number in (1, 2, 3)}
        super().__init__(parts)

    def forward(self, states: States, queries: Queries, picture: Picture, with_maps: bool) -> States:
        """The states after this layer; with ``with_maps``, also where subjects and objects looked."""
        entities = self._entities(states.entities, queries.entity_positions, picture)
        subjects, objects = self._couple(states.subjects, states.objects, queries)
        subjects, subject_maps = self._role("sub", subjects, queries, picture, entities, with_maps)
        objects, object_maps = self._role("obj", objects, queries, picture, entities, with_maps)
        if subject_maps is None or object_maps is None:
            return States(entities, subjects, objects, None)
        return States(entities, subjects, objects, torch.stack([subject_maps, object_maps], dim=2))

    def _entities(self, x: Tensor, positions: Tensor, picture: Picture) -> Tensor:
        placed = x + positions
        x = self["norm2_entity"](x + _attend(self["self_attn_entity"], placed, placed, x, None))
        looked = _attend(self["cross_attn_entity"], x + positions, picture.keys, picture.values, picture.padding)
        return self._dense("entity", self["norm1_entity"](x + looked))

    def _couple(self, subjects: Tensor, objects: Tensor, queries: Queries) -> tuple[Tensor, Tensor]:
        """Coupled self-attention."""
        x = torch.cat([subjects, objects], dim=1)
        placed = x + torch.cat([queries.triplet_positions + role for role in queries.roles])
        x = self["norm2_so"](x + _attend(self["self_attn_so"], placed, placed, x, None))
        subjects, objects = x.chunk(2, dim=1)
        return subjects, objects

    def _role(
        self, role: str, x: Tensor, queries: Queries, picture: Picture, entities: Tensor, with_maps: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Decoupled visual attention, decoupled entity attention, dense sub-layer."""
        looked, maps = self[f"cross_attn_{role}"](
            x + queries.triplet_positions,
            picture.keys,
            picture.values,
            key_padding_mask=picture.padding,
            need_weights=with_maps,
        )
        x = self[f"norm1_{role}"](x + looked)
        joined = _attend(self[f"cross_{role}_entity"], x + queries.triplet_positions, entities, entities, None)
        return self._dense(role, self[f"norm2_{role}"](x + joined)), maps

    def _dense(self, role: str, x: Tensor) -> Tensor:
        return self[f"norm3_{role}"](x + self[f"linear2_{role}"](self[f"linear1_{role}"](x).relu()))


class RelTRTransformer(nn.Module):
    """Encoder, then both decoders layer by layer.

    Args:
        dense_width: between the two linear maps of a dense sub-layer.
    """

    def __init__(self, width: int, heads: int, dense_width: int, encoder_layers: int, decoder_layers: int) -> None:
        super().__init__()
        sizes = (width, heads, dense_width)
        self.encoder = _stack([EncoderLayer(*sizes) for _ in range(encoder_layers)])
        self.decoder = _stack([DecoderLayer(*sizes) for _ in range(decoder_layers)])

    def forward(
        self,
        cells: Float[Tensor, "batch cells width"],
        positions: Float[Tensor, "batch cells width"],
        padding: Bool[Tensor, "batch cells"] | None,
        queries: Queries,
    ) -> States:
        """States after the last layer.

        Args:
            padding: true for cells that are not the picture's own; None where all are.
        """
        for layer in _layers(self.encoder):
            cells = layer(cells, positions, padding)
        picture = Picture(cells, cells + positions, padding)
        starts = (start.expand(len(cells), -1, -1) for start in (queries.entities, queries.subjects, queries.objects))
        states = States(*starts, maps=None)
        layers = _layers(self.decoder)
        for number, layer in enumerate(layers, start=1):
            states = layer(states, queries, picture, with_maps=number == len(layers))
        return states


def sine_positions(
    sizes: Int[Tensor, "batch 2"], rows: int, columns: int, width: int
) -> Float[Tensor, "batch cells width"]:
    """Positions in each picture as sines and cosines of both axes, rows before columns, in float32.

    A picture spans one full turn per axis whatever its size, so padding does not shift it.

    Args:
        sizes: rows and columns of each picture's own cells.
        width: of the encoding, half an axis; a multiple of four.
    """
    frequencies = TEMPERATURE ** (torch.arange(0, width // 2, 2, device=sizes.device, dtype=torch.float32) * 2 / width)
    encoded: list[Tensor] = []
    for axis, length in enumerate((rows, columns)):
        steps = torch.arange(1, length + 1, device=sizes.device, dtype=torch.float32)
        turns = 2 * math.pi * steps / (sizes[:, axis, None].float() + 1e-6)
        angles = turns[:, :, None] / frequencies
        encoded.append(torch.stack([angles.sin(), angles.cos()], dim=3).flatten(2))
    by_row = encoded[0][:, :, None].expand(-1, -1, columns, -1)
    by_column = encoded[1][:, None].expand(-1, rows, -1, -1)
    return torch.cat([by_row, by_column], dim=3).flatten(1, 2)


def _attention(width: int, heads: int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(width, heads, batch_first=True)


def _attend(attention: nn.Module, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> Tensor:
    return attention(query, key, value, key_padding_mask=padding, need_weights=False)[0]


def _stack(layers: list[nn.Module]) -> nn.ModuleDict:
    return nn.ModuleDict({"layers": nn.ModuleList(layers)})


def _layers(stack: nn.ModuleDict) -> list[nn.Module]:
    return list(stack["layers"].children())
