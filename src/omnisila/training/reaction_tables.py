"""Cached streams of reaction features: ``<stream>.safetensors``, all clips of one stream stacked, mapped when read.

A stream is one modality as one extractor gives it (``visual``, ``audio``, ``fau``, ``face``, ``text-clip``,
``text-video-llava-2``) or the pooled tokens of a Video-LLM (``pooled-1``). Its tensors are ``values`` (clips, frames,
width) in float16 and ``mask`` (clips, frames); the clips' ids stand in its metadata, in the same order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import safetensors
import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import save
from torch import Tensor

from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.models.reaction import ReactionBatch
from omnisila.scenes.reaction.clip import Modality

LARGEST = torch.finfo(torch.float16).max


class StreamTable(NamedTuple):
    """One stream of many clips; a clip's place is its row. ``kind`` says what its numbers are, where that is known."""

    ids: tuple[str, ...]
    values: Float[Tensor, "clips frames width"]
    mask: Bool[Tensor, "clips frames"]
    kind: str


class FeatureRows(NamedTuple):
    """Clips of which all streams of a row are at hand, and those that lack one, each with the streams it lacks."""

    ids: tuple[str, ...]
    tables: dict[str, StreamTable]
    rows: dict[str, Int[Tensor, "clips"]]
    without: dict[str, tuple[str, ...]]

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> width of its values."""
        return {name: table.values.shape[-1] for name, table in self.tables.items()}

    @property
    def kinds(self) -> dict[str, str]:
        """Modality -> what its numbers are."""
        return {name: table.kind for name, table in self.tables.items()}

    def batch(self, places: Int[Tensor, "places"]) -> ReactionBatch:
        """The clips at these places among ``ids``; only their part of the files is read."""
        at = {name: rows[places] for name, rows in self.rows.items()}
        return ReactionBatch(
            {name: table.values[at[name]].float() for name, table in self.tables.items()},
            {name: table.mask[at[name]] for name, table in self.tables.items()},
        )


def write_stream(path: Path, clips: Iterable[tuple[str, Modality]], kind: str = "") -> None:
    """Stack the features of clips into one table; a clip stands there once.

    Args:
        path: its name is the stream's.
        clips: ids with their features.
        kind: what the numbers are, which the stream's name does not say: a stand-in for action units is none.

    Raises:
        DataSetError: no clip, a clip twice, shapes that differ between clips, or values that are no numbers.
        OutputError: the file cannot be written.
    """
    ids: list[str] = []
    stacked: list[Float[Tensor, "frames width"]] = []
    masks: list[Tensor] = []
    for name, stream in clips:
        values, mask = stream.values, stream.mask
        shape = stacked[0].shape if stacked else values.shape
        if values.shape != shape or len(mask) != len(values) or not values[mask].isfinite().all():
            raise DataSetError(
                f"{path}: clip {name} has {tuple(values.shape)} numbers, of which some are not finite or which are "
                f"unlike the {tuple(shape)} of the clips before it. Extract its features again."
            )
        ids.append(name)
        stacked.append(values.where(mask.unsqueeze(-1), 0.0).clamp(-LARGEST, LARGEST).half())
        masks.append(mask)
    if not ids or len(set(ids)) < len(ids):
        raise DataSetError(f"{path}: {len(ids)} clips, {len(set(ids))} different. Give each clip once, at least one.")
    tensors = {"values": torch.stack(stacked), "mask": torch.stack(masks)}
    write_atomically(path, save(tensors, {"ids": json.dumps(ids), "kind": kind}))


def read_stream(path: Path) -> StreamTable:
    """A stream's table, its values mapped from the file.

    Raises:
        DataSetError: it is missing, damaged, or no such table.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            ids, kind = tuple(json.loads(metadata["ids"])), metadata["kind"]
            table = StreamTable(ids, file.get_tensor("values"), file.get_tensor("mask"), kind)
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise DataSetError(
            f"{path}: no table of features ({type(error).__name__}: {error}). Extract the stream {path.stem!r} into it."
        ) from error
    if len(ids) != len(table.values) or table.values.shape[:2] != table.mask.shape:
        raise DataSetError(
            f"{path}: {len(ids)} ids, values {tuple(table.values.shape)}, mask {tuple(table.mask.shape)}; wanted one "
            "clip a row. Extract the stream again."
        )
    return table


def feature_rows(folder: Path, streams: Mapping[str, str], wanted: Sequence[str]) -> FeatureRows:
    """The features of clips, for a model that reads those streams.

    Args:
        folder: with a table a stream.
        streams: modality -> stream that it is read from.
        wanted: ids of clips; those that lack a stream are left out and named.

    Raises:
        DataSetError: a table is missing or damaged, or holds none of the clips.
    """
    tables = {name: read_stream(folder / f"{stream}.safetensors") for name, stream in streams.items()}
    places = {name: {clip: row for row, clip in enumerate(table.ids)} for name, table in tables.items()}
    lacking = {clip: tuple(streams[name] for name in streams if clip not in places[name]) for clip in wanted}
    ids = tuple(clip for clip in wanted if not lacking[clip])
    if not ids:
        raise DataSetError(
            f"{folder}: of {len(wanted)} clips none has features of all of {', '.join(streams.values())}. Extract them."
        )
    rows = {name: torch.tensor([places[name][clip] for clip in ids]) for name in tables}
    return FeatureRows(ids, tables, rows, {clip: streams for clip, streams in lacking.items() if streams})
