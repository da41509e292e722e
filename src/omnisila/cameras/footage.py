"""What one video of ordinary footage adds to a camera: counts and a few windows, never pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.cameras.likeness import KEPT, window_vector
from omnisila.cameras.sightings import FACETS, VISIT_S, Paces, implied_types, recorded_at, sightings
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
        self.seen = 0
        self._kept: list[Tensor] = []
        self._width = 0
        self._random = np.random.default_rng(int(digest(seed)[:15], 16))

    def passing(self, windows: Iterable[Window], events: Sequence[Span]) -> Iterator[Window]:
        """The same windows; those outside the events may be kept."""
        for window in windows:
            if not touches(window.span, events):
                self.seen += 1
                if len(self._kept) < KEPT:
                    self._kept.append(window_vector(window))
                elif (place := int(self._random.integers(self.seen))) < KEPT:
                    self._kept[place] = window_vector(window)
            elif not self._width:
                self._width = len(window_vector(window))
            yield window

    def tensors(self) -> dict[str, Tensor]:
        """The windows kept, their number, and how many there were."""
        kept = torch.stack(self._kept) if self._kept else torch.zeros(0, self._width)
        return {
            "windows": torch.nn.functional.pad(kept, (0, 0, 0, KEPT - len(kept))).half(),
            "windows_kept": torch.tensor(len(kept)),
            "windows_seen": torch.tensor(self.seen),
        }


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
        posteriors: by label set; columns are ``labels``.
        shards: in time order, read one at a time.
        aspect: width of the picture by its height.
    """
    begin = recorded_at(video)
    ordinary = np.array([not touches(span, events) for span in spans], dtype=bool)
    start_s = np.array([span.start_s for span in spans])[ordinary]
    end_s = np.array([span.end_s for span in spans])[ordinary]
    tensors = {**_count_seen(shards, events, aspect, begin), **kept.tensors()}
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
        tensors[f"scores/{name}"] = torch.from_numpy(np.stack([histogram(column) for _, column in columns])).int()
    learnt = LearntVideo(
        path=str(video), sha256=sha256, begin=begin, seconds=float((end_s - start_s).sum()), events=tuple(events)
    )
    return Row(learnt, tensors)


def _count_seen(
    shards: Iterable[SceneShard], events: Sequence[Span], aspect: float, begin: datetime | None
) -> dict[str, Tensor]:
    """How often each type was seen itself, and how often it counts as seen; what stays or soon returns is seen once."""
    visits = {(kind, facet.name): _Visits(facet.types) for kind in ("exact", "near") for facet in FACETS}
    paces = Paces()
    for shard in shards:
        for time_s, facet, kind_type in sightings(shard, aspect, begin, paces):
            if not any(event.start_s <= time_s < event.end_s for event in events):
                visits["exact", facet].at(time_s, kind_type)
                for near in implied_types(facet, kind_type):
                    visits["near", facet].at(time_s, near)
    return {f"{kind}/{facet}": torch.from_numpy(visit.counts) for (kind, facet), visit in visits.items()}


class _Visits:
    """Visits to each type: one ends when it was not seen for ``VISIT_S``."""

    def __init__(self, types: int) -> None:
        self.counts = np.zeros(types, dtype=np.int32)
        self._last_s = np.full(types, -np.inf)

    def at(self, time_s: float, kind_type: int) -> None:
        if time_s - self._last_s[kind_type] > VISIT_S:
            self.counts[kind_type] += 1
        self._last_s[kind_type] = time_s
