"""What one video of ordinary footage adds to a camera: counts and a few windows, never pictures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.cameras.likeness import KEPT, described
from omnisila.cameras.sightings import BLOCK_S, FACETS, Sighting, implied, recorded_at, sightings
from omnisila.cameras.tails import alarm_counts, histogram, log_odds
from omnisila.config import Frozen
from omnisila.digests import digest
from omnisila.labels import label_set
from omnisila.operating_points import LabelSetCalibration
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.windows import Window
from omnisila.schema import Seconds, Span
from omnisila.spans import ANOMALY_CURVE, Curve


class LearntVideo(Frozen):
    """A video that a camera was learnt from; ``events`` are stretches of it that people said are none of its ordinary.

    ``seconds`` were learnt.
    """

    path: str
    sha256: str
    begin: datetime | None
    seconds: Seconds
    events: tuple[Span, ...] = ()


class Row(NamedTuple):
    """One video's statistics; each tensor is one row of the camera's."""

    video: LearntVideo
    tensors: dict[str, Tensor]


class WindowsKept:
    """A few windows of a video, each as likely to be kept as any other, while all of them pass by.

    Source: reservoir sampling, Vitter 1985, algorithm R.
    """

    def __init__(self, seed: str) -> None:
        self.kept: list[Tensor] = []
        self.seen = 0
        self._random = np.random.default_rng(int(digest(seed)[:15], 16))

    def passing(self, windows: Iterable[Window], events: Sequence[Span]) -> Iterator[Window]:
        """The same windows; those outside the events may be kept."""
        for window in windows:
            if not touches(window.span, events):
                self.seen += 1
                place = len(self.kept) if len(self.kept) < KEPT else int(self._random.integers(self.seen))
                if place == len(self.kept):
                    self.kept.append(described(window))
                elif place < KEPT:
                    self.kept[place] = described(window)
            yield window


def touches(span: Span, events: Sequence[Span]) -> bool:
    """Whether a stretch shares time with one of the events."""
    return any(span.start_s < event.end_s and span.end_s > event.start_s for event in events)


def hysteresis(calibration: LabelSetCalibration, label: str) -> float:
    """How far a label's lower threshold lies below its upper one by the model's own calibration, in log-odds."""
    own = calibration.thresholds.get(label) or calibration.thresholds.get(ANOMALY_CURVE)
    return float(np.subtract(*log_odds(np.array([own.on, own.off])))) if own else 1.0


def row(
    video: Path,
    sha256: str,
    events: Sequence[Span],
    spans: Sequence[Span],
    posteriors: Mapping[str, Float[np.ndarray, "windows labels"]],
    labels: Mapping[str, Sequence[str]],
    calibrations: Mapping[str, LabelSetCalibration],
    kept: WindowsKept,
    shards: Iterable[SceneShard],
    aspect: float,
) -> Row:
    """A video's row.

    Args:
        events: stretches that are not learnt.
        spans: of its windows.
        posteriors: by label set; columns are ``labels``.
        kept: what its windows have passed by.
        shards: in time order, read one at a time.
        aspect: width of the picture by its height.
    """
    begin = recorded_at(video)
    ordinary = np.array([not touches(span, events) for span in spans], dtype=bool)
    start_s = np.array([span.start_s for span in spans])[ordinary]
    end_s = np.array([span.end_s for span in spans])[ordinary]
    tensors = _seen(shards, events, aspect, begin)
    for name, matrix in posteriors.items():
        calibration, quiet = calibrations[name], label_set(name).quiet
        columns = [
            (label, np.asarray(matrix[ordinary, place])) for place, label in enumerate(labels[name]) if label != quiet
        ]
        counts = [
            alarm_counts(Curve(start_s, end_s, scores), calibration.shape, hysteresis(calibration, label))
            for label, scores in columns
        ]
        tensors[f"alarms/{name}"] = torch.from_numpy(np.stack(counts)).int()
        tensors[f"scores/{name}"] = torch.from_numpy(np.stack([histogram(one) for _, one in columns])).int()
    windows = torch.stack(kept.kept) if kept.kept else torch.zeros(0, 0)
    tensors["windows"] = torch.nn.functional.pad(windows, (0, 0, 0, KEPT - len(windows))).half()
    tensors["windows_kept"], tensors["windows_seen"] = torch.tensor(len(kept.kept)), torch.tensor(kept.seen)
    learnt = LearntVideo(
        path=str(video), sha256=sha256, begin=begin, seconds=float((end_s - start_s).sum()), events=tuple(events)
    )
    return Row(learnt, tensors)


def _seen(
    shards: Iterable[SceneShard], events: Sequence[Span], aspect: float, begin: datetime | None
) -> dict[str, Tensor]:
    """In how many blocks each type was seen itself, and in how many it counts as seen."""
    exact = {facet.name: torch.zeros(facet.types, dtype=torch.int32) for facet in FACETS}
    near = {facet.name: torch.zeros(facet.types, dtype=torch.int32) for facet in FACETS}
    open_blocks: dict[int, dict[str, set[int]]] = {}

    def close(before: float) -> None:
        for block in [block for block in open_blocks if block < before]:
            for facet in FACETS:
                types = open_blocks[block][facet.name]
                exact[facet.name][list(types)] += 1
                near[facet.name][list({near for one in types for near in implied(facet, one)})] += 1
            del open_blocks[block]

    for shard in shards:
        for sighting in sightings(shard, aspect, begin):
            if not any(event.start_s <= sighting.time_s < event.end_s for event in events):
                _note(open_blocks, sighting)
        close(shard.end_s // BLOCK_S)
    close(float("inf"))
    return {f"{kind}/{name}": counts for kind, of in (("exact", exact), ("near", near)) for name, counts in of.items()}


def _note(blocks: dict[int, dict[str, set[int]]], sighting: Sighting) -> None:
    block = blocks.setdefault(int(sighting.time_s // BLOCK_S), defaultdict(set))
    block[sighting.facet].add(sighting.type)
