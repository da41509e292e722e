"""Features that another program measured, in a CSV file a clip: brought onto the clip's frames.

Two forms are known by their columns:
* py-feat's output (``Detector.detect_video(...).to_csv``): ``frame``, ``AU01`` ... ``AU43``, seven emotions, one line a
  face; of several faces the largest counts. The package itself is not needed, nor the torchvision that it brings.
* MuSe's ``feats/<feature>/<id>.csv``: milliseconds in ``timestamp``, ``segment_id``, features from the third column on.

Address: https://py-feat.org, https://github.com/EIHW/MuSe2022
A record of each, shortened:
    FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,...,AU01,AU02,...,anger,...,neutral,input,frame
    236.2,182.6,254.9,349.1,0.999,...,0.546,0.484,...,0.0004,...,0.0025,001.mp4,0

    timestamp,segment_id,0,1,...
    250,12345,0.0,0.713,...
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.errors import RecordError
from omnisila.scenes.reaction.clip import Modality
from omnisila.tables import Table, TableRow, read_table

ACTION_UNITS = tuple(f"AU{number:02}" for number in (
    1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43,
))  # fmt: skip
EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
ACTION_UNIT_WIDTH = 32  # 20 units, 7 emotions, and 5 zeros so that the width divides by the Perceiver's 8 heads
_NEAR_S = 0.1  # a line this close to a frame describes it, however dense the lines are


class FrameTable(NamedTuple):
    """Lines in time order; a line of a frame without a face is not among them."""

    times_s: Float[Tensor, "lines"]
    values: Float[Tensor, "lines columns"]
    step_s: float  # from one line of the file to the next

    def at(self, times_s: Float[Tensor, "frames"], width: int) -> Modality:
        """Each frame's nearest line, filled up with zeros to ``width``; masked where none is near."""
        if len(self.times_s) == 0:
            return Modality.absent(len(times_s), width)
        distance = (self.times_s[None] - times_s[:, None]).abs()
        nearest = distance.min(dim=1)
        values = torch.zeros(len(times_s), width)
        values[:, : self.values.shape[1]] = self.values[nearest.indices]
        return Modality.where(values, nearest.values <= max(self.step_s, _NEAR_S) + 1e-6)


class _Line(NamedTuple):
    """One line's time, features and what it is preferred by among those of the same time."""

    time_s: float
    values: list[float]
    area: float


def frame_table(path: Path, width: int, rate_hz: float | None) -> FrameTable:
    """A clip's table.

    Args:
        width: of the modality; more columns are refused.
        rate_hz: of the video, to which py-feat's frame numbers refer.

    Raises:
        RecordError: the file cannot be read, is of no known form, or a cell is no number.
    """
    table = read_table(path)
    rows = _py_feat(path, table, rate_hz) if "AU01" in table.header else _muse(path, table)
    columns = len(rows[0].values) if rows else 0
    if columns > width:
        raise RecordError(f"{path}, line 1: {columns} features, wanted at most {width}. Raise the modality's width.")
    best: dict[float, _Line] = {}
    for row in rows:
        if row.time_s not in best or row.area > best[row.time_s].area:
            best[row.time_s] = row
    times_s = sorted(best)
    seen = [best[time_s] for time_s in times_s if _is_filled(best[time_s].values)]
    gaps = sorted(later - sooner for sooner, later in pairwise(times_s))
    return FrameTable(
        torch.tensor([line.time_s for line in seen], dtype=torch.float32),
        torch.tensor([line.values for line in seen], dtype=torch.float32).reshape(len(seen), columns),
        gaps[len(gaps) // 2] if gaps else 0.0,
    )


def table_width(path: Path) -> int:
    """How many numbers a frame a table of this form gives.

    Raises:
        RecordError: the file cannot be read, or is of no known form.
    """
    table = read_table(path)
    if "AU01" in table.header:
        return ACTION_UNIT_WIDTH
    _muse(path, table._replace(rows=()))
    return len(table.header) - 2


def _py_feat(path: Path, table: Table, rate_hz: float | None) -> list[_Line]:
    wanted = (*ACTION_UNITS, *EMOTIONS)
    absent = [name for name in (*wanted, "frame") if name not in table.header]
    if absent:
        raise RecordError(f"{path}, line 1: no column {', '.join(absent)}. Give py-feat's whole output.")
    if rate_hz is None:
        raise RecordError(f"{path}: frame numbers, but the video states no frame rate. Give a table with times.")
    sizes = [name for name in ("FaceRectWidth", "FaceRectHeight") if name in table.header]
    lines = []
    for row in table.rows:
        area = math.prod(_numbers(path, row, sizes))
        frame = _numbers(path, row, ["frame"])[0]
        lines.append(_Line(frame / rate_hz, _numbers(path, row, wanted), 0.0 if math.isnan(area) else area))
    return lines


def _muse(path: Path, table: Table) -> list[_Line]:
    if table.header[:2] != ("timestamp", "segment_id") or len(table.header) < 3:
        began = ", ".join(table.header[:4]) or "nothing"
        raise RecordError(
            f"{path}, line 1: columns {began}; wanted py-feat's (frame, AU01, ...) or MuSe's (timestamp, segment_id, "
            "features). Give one of these."
        )
    features = table.header[2:]
    return [
        _Line(_numbers(path, row, ["timestamp"])[0] / 1000, _numbers(path, row, features), 0.0) for row in table.rows
    ]


def _numbers(path: Path, row: TableRow, columns: Sequence[str]) -> list[float]:
    """The cells' values; empty ones are not a number, as both programs write what they did not measure."""
    found = []
    for column in columns:
        text = row.values[column].strip()
        try:
            found.append(float(text) if text else math.nan)
        except ValueError:
            raise RecordError(f"{path}, line {row.line}: {text!r} in column {column!r}, wanted a number.") from None
    return found


def _is_filled(values: list[float]) -> bool:
    """Both programs write zeros or nothing where they saw no face."""
    return all(map(math.isfinite, values)) and any(values)
