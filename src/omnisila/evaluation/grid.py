"""The frame grid: every video as pictures at ``k / rate_hz``, whatever its own rate, with half-open spans.

A rate of frames (a false-negative rate, an AUC) depends on the grid, so the grid is fixed and named with each score.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from omnisila.evaluation.tables import Footage, SpanTable, ranges

GRID_HZ = 8.0
_SAME_FRAME = 1e-6  # in frames: 0.3 s x 10 Hz is frame 3, whatever floating point says


class Grid(NamedTuple):
    """The frames of all videos in one row; those of video v are ``first[v]`` to ``first[v + 1]``."""

    rate_hz: float
    first: Int[np.ndarray, "edges"]

    @property
    def frames(self) -> int:
        return int(self.first[-1])


def grid_of(footage: Footage, rate_hz: float = GRID_HZ) -> Grid:
    """The grid over the footage; a video of 1.05 s has 9 frames at 8 Hz."""
    counts = _frame_at(footage.duration_s, rate_hz)
    return Grid(rate_hz, np.concatenate([[0], np.cumsum(counts)]))


def covered_frames(grid: Grid, table: SpanTable) -> Bool[np.ndarray, "frames"]:
    """Which frames lie in any of the spans."""
    first, past = _frame_ranges(grid, table)
    change = np.zeros(grid.frames + 1, dtype=np.int32)
    np.add.at(change, first, 1)
    np.add.at(change, past, -1)
    return np.cumsum(change[:-1]) > 0


def frame_scores(grid: Grid, table: SpanTable) -> Float[np.ndarray, "frames"]:
    """Each frame's score: the largest of the windows or spans it lies in, 0 where there is none."""
    first, past = _frame_ranges(grid, table)
    scores = np.zeros(grid.frames)
    np.maximum.at(scores, ranges(first, past - first), np.repeat(table.score, past - first))
    return scores


def _frame_at(time_s: Float[np.ndarray, "times"], rate_hz: float) -> Int[np.ndarray, "times"]:
    """The first frame at or after each time."""
    return np.ceil(time_s * rate_hz - _SAME_FRAME).astype(np.int64)


def _frame_ranges(grid: Grid, table: SpanTable) -> tuple[Int[np.ndarray, "spans"], Int[np.ndarray, "spans"]]:
    begin, end = grid.first[table.video], grid.first[table.video + 1]
    first = np.minimum(begin + _frame_at(table.start_s, grid.rate_hz), end)
    past = np.minimum(begin + _frame_at(table.end_s, grid.rate_hz), end)
    return first, past
