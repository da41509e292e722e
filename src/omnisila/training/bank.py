"""The feature bank: entity vectors of all clips in one table per scene, and windows that point into it.

A held sample, a repeated frame and a window's overlap with its neighbour are stored once; a batch is gathered by row
numbers. Row 0 of every table stands for "absent".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save
from torch import Tensor

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.features import FeatureStore, Job
from omnisila.files import write_atomically
from omnisila.scenes.extractor import VISUAL, Entities, Layout, SceneShard, SceneStream, model_streams
from omnisila.scenes.windows import WindowBatch, WindowConfig, windows
from omnisila.schema import Span

# By stream, row numbers of a batch of windows, 0 where an entity is absent; what perturbations change.
Picked = dict[str, Int[Tensor, "batch frames _"]]


@dataclass(frozen=True)
class FeatureBank:
    """All windows of some clips' copies.

    Attributes:
        rows: each stream's entity vectors, float16; row 0 is zero.
        index: each stream's row numbers by window, frame and entity.
        span_s: the window's start and end in its clip.
    """

    rows: dict[str, Tensor]
    index: dict[str, Tensor]
    clip: Int[Tensor, "windows"]
    copy: Int[Tensor, "windows"]
    span_s: Float[Tensor, "windows 2"]

    def __len__(self) -> int:
        return len(self.clip)

    def span(self, window: int) -> Span:
        """A window's span in its clip."""
        start_s, end_s = self.span_s[window].tolist()
        return Span(start_s=start_s, end_s=end_s)

    def pick(self, chosen: Int[Tensor, "batch"]) -> Picked:
        """The row numbers of some windows; a copy that may be changed."""
        return {name: index[chosen].long() for name, index in self.index.items()}

    def gather(self, picked: Picked) -> WindowBatch:
        """The batch that row numbers stand for."""
        scenes = {name: Entities(self.rows[name][places].float(), places > 0) for name, places in picked.items()}
        visual = scenes.pop(VISUAL)
        return WindowBatch(scenes, visual)

    def batch(self, chosen: Int[Tensor, "batch"]) -> WindowBatch:
        return self.gather(self.pick(chosen))


def bank_of(
    store: FeatureStore, clips: Sequence[AnnotatedVideo], copies: Sequence[int], config: WindowConfig
) -> FeatureBank:
    """Read the features of clips into a bank.

    Raises:
        OmnisilaError: a clip's features are missing.
    """
    jobs = (Job(clip, copy) for copy in copies for clip in clips)
    numbers = (number for _ in copies for number in range(len(clips)))
    return build_bank(((number, job.copy, store.shard(job)) for number, job in zip(numbers, jobs, strict=True)), config)


def build_bank(shards: Iterable[tuple[int, int, SceneShard]], config: WindowConfig) -> FeatureBank:
    """A bank of shards, each with the number of its clip and of the copy."""
    rows: dict[str, list[Tensor]] = {}
    used: dict[str, int] = {}
    index: dict[str, list[Tensor]] = {}
    facts: list[tuple[int, int, float, float]] = []
    for number, copy, shard in shards:
        numbered, added = _number_rows(shard, used)
        for name, new in added.items():
            rows.setdefault(name, [torch.zeros(1, new.shape[1], dtype=torch.float16)]).append(new)
            used[name] = used.get(name, 1) + len(new)
        for window in windows([numbered], config):
            for name, frames in window.streams.items():
                index.setdefault(name, []).append(frames.values[..., 0].to(torch.int32))
            facts.append((number, copy, window.span.start_s, window.span.end_s))
    table = np.array(facts, dtype=np.float64).reshape(-1, 4)
    return FeatureBank(
        rows={name: torch.cat(parts) for name, parts in rows.items()},
        index={name: torch.stack(parts) for name, parts in index.items()},
        clip=torch.from_numpy(table[:, 0].astype(np.int64)),
        copy=torch.from_numpy(table[:, 1].astype(np.int64)),
        span_s=torch.from_numpy(table[:, 2:]),
    )


def _number_rows(shard: SceneShard, used: dict[str, int]) -> tuple[SceneShard, dict[str, Tensor]]:
    """The shard with row numbers for values, and the rows themselves."""
    streams: dict[str, SceneStream] = {}
    added: dict[str, Tensor] = {}
    for name in model_streams(shard.streams):
        stream = shard.streams[name]
        first = used.get(name, 1)
        numbers = torch.zeros(stream.mask.shape, dtype=torch.float64)
        numbers[stream.mask] = torch.arange(first, first + int(stream.mask.sum()), dtype=torch.float64)
        streams[name] = SceneStream(stream.start_s, stream.rate_hz, numbers.unsqueeze(-1), stream.mask)
        added[name] = stream.values[stream.mask][:, : shard.layouts[name].feature_width].half()
    numbers_only = dict.fromkeys(streams, Layout({"row": 1}))
    return SceneShard(shard.start_s, shard.end_s, streams, numbers_only), added


def save_bank(path: Path, bank: FeatureBank) -> None:
    """Write a bank as one file, so that many runs share the memory of one.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {f"rows.{name}": value for name, value in bank.rows.items()}
    tensors |= {f"index.{name}": value for name, value in bank.index.items()}
    tensors |= {"clip": bank.clip, "copy": bank.copy, "span_s": bank.span_s}
    write_atomically(path, save({name: value.contiguous() for name, value in tensors.items()}))


def load_bank(path: Path) -> FeatureBank | None:
    """A bank that was saved; None where there is none, or a damaged one."""
    try:
        tensors = load_file(path)
        names = model_streams(key.removeprefix("rows.") for key in tensors)
        return FeatureBank(
            rows={name: tensors[f"rows.{name}"] for name in names},
            index={name: tensors[f"index.{name}"] for name in names},
            clip=tensors["clip"],
            copy=tensors["copy"],
            span_s=tensors["span_s"],
        )
    except (OSError, safetensors.SafetensorError, KeyError):
        return None
