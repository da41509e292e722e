"""Spans of many videos in columns, so that metrics are array operations; malformed spans are refused and counted."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from omnisila.errors import DataSetError
from omnisila.systems import SpanRow

_SAME_TIME_S = 1e-6


class Footage(NamedTuple):
    """The videos that are scored, with or without events; tables point at them by position."""

    names: tuple[str, ...]
    duration_s: Float[np.ndarray, "videos"]

    def at(self, videos: Int[np.ndarray, "chosen"]) -> "Footage":
        """The chosen videos, which may repeat; goes with ``resample`` tables."""
        return Footage(tuple(self.names[video] for video in videos), self.duration_s[videos])


class SpanTable(NamedTuple):
    """Checked spans: ``video`` and ``label`` are positions in the footage and in the label list."""

    video: Int[np.ndarray, "spans"]
    label: Int[np.ndarray, "spans"]
    start_s: Float[np.ndarray, "spans"]
    end_s: Float[np.ndarray, "spans"]
    score: Float[np.ndarray, "spans"]

    def where(self, mask: Bool[np.ndarray, "spans"] | Int[np.ndarray, "rows"]) -> "SpanTable":
        """The rows of a mask, or the given rows in that order."""
        return SpanTable(*(column[mask] for column in self))

    def of_labels(self, labels: Collection[int]) -> "SpanTable":
        return self.where(np.isin(self.label, list(labels)))


class Refused(NamedTuple):
    """How many spans were left out, by the first reason that applied; ``clipped`` ones were kept within their video."""

    unknown_video: int
    unknown_label: int
    not_finite: int
    empty_or_inverted: int
    outside_video: int
    clipped: int

    @property
    def total(self) -> int:
        """Spans left out; clipped ones are not among them."""
        return sum(self) - self.clipped


class Tabulated(NamedTuple):
    """A table, what did not get into it, and all spans as they were said.

    In ``stated`` no span is cut. One of no known video points at video -1, and one that does not run forward is empty:
    neither can overlap any true span, so both are false positives.
    """

    table: SpanTable
    refused: Refused
    stated: SpanTable


def tabulate(rows: Iterable[SpanRow], footage: Footage, labels: Sequence[str]) -> Tabulated:
    """Predicted spans as a table, in input order; what covers no time of its video is refused and counted.

    A span that begins in its video and ends past it is clipped at the video's end, and counted. Average precision takes
    ``stated`` instead, as ActivityNet's scorer does: there each of them is a prediction, and a wrong one. Only an
    inverted span has other treatment there: its overlap becomes not-a-number, which that scorer takes for a hit.
    """
    rows = list(rows)
    video_at = {name: index for index, name in enumerate(footage.names)}
    label_at = {name: index for index, name in enumerate(labels)}
    start_s, end_s, score = (np.array([row[column] for row in rows], dtype=np.float64) for column in (2, 3, 4))
    video = np.array([video_at.get(row.video, -1) for row in rows], dtype=np.int64)
    label = np.array([label_at.get(row.label, -1) for row in rows], dtype=np.int64)
    table = SpanTable(video, label, start_s, end_s, score)
    last_s = np.append(footage.duration_s, np.inf)[table.video]  # position -1: no such video
    with np.errstate(invalid="ignore"):
        reasons = [
            table.video < 0,
            table.label < 0,
            ~np.isfinite(table.start_s + table.end_s + table.score),
            table.end_s <= table.start_s,
            (table.start_s < 0) | (table.start_s >= last_s),
        ]
    first_reason = np.select(reasons, range(len(reasons)), default=len(reasons))
    fine = first_reason == len(reasons)
    unknown_video, unknown_label, not_finite, inverted, outside = (
        int((first_reason == reason).sum()) for reason in range(len(reasons))
    )
    clipped = int((fine & (table.end_s > last_s + _SAME_TIME_S)).sum())
    kept = table._replace(end_s=np.minimum(table.end_s, last_s)).where(fine)
    forward = np.isfinite(table.start_s + table.end_s) & (table.end_s > table.start_s)
    stated = table._replace(start_s=np.where(forward, table.start_s, 0.0), end_s=np.where(forward, table.end_s, 0.0))
    return Tabulated(
        kept,
        Refused(unknown_video, unknown_label, not_finite, inverted, outside, clipped),
        stated.where((table.label >= 0) & np.isfinite(table.score)),
    )


def tabulate_truth(rows: Iterable[SpanRow], footage: Footage, labels: Sequence[str]) -> SpanTable:
    """Annotated spans as a table; clipped at their video's end.

    Raises:
        DataSetError: a span is malformed; the message names the first.
    """
    rows = list(rows)
    table, refused, _ = tabulate(rows, footage, labels)
    if refused.total:
        bad = next(row for row in rows if tabulate([row], footage, labels).refused.total)
        reason = next(name for name, count in tabulate([bad], footage, labels).refused._asdict().items() if count)
        raise DataSetError(
            f"truth of {bad.video}: {bad.label} [{bad.start_s}, {bad.end_s}) is refused ({reason.replace('_', ' ')}). "
            "Correct the annotation or leave the video out."
        )
    return table


def resample(table: SpanTable, videos: Int[np.ndarray, "chosen"]) -> SpanTable:
    """The spans of the chosen videos; a video chosen twice becomes two, and positions become those in ``videos``.

    Spans of one video keep their input order, by which ties of scores are broken. Those of no known video (-1) are no
    part of the draw and stand at the end of each.
    """
    order = np.argsort(table.video, kind="stable")
    in_order = table.video[order]
    first = np.searchsorted(in_order, videos, side="left")
    counts = np.searchsorted(in_order, videos, side="right") - first
    outside = order[in_order < 0]
    return table.where(np.r_[order[ranges(first, counts)], outside])._replace(
        video=np.r_[np.repeat(np.arange(len(videos)), counts), np.full(len(outside), -1)]
    )


def ranges(first: Int[np.ndarray, "ranges"], counts: Int[np.ndarray, "ranges"]) -> Int[np.ndarray, "total"]:
    """``first[0], first[0] + 1, ...`` for ``counts[0]`` numbers, then the next range, and so on."""
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(counts.sum())


def merge_spans(table: SpanTable) -> SpanTable:
    """Overlapping and touching spans of a video as one, whatever their labels; ordered by video and time.

    ``label`` and ``score`` are those of each stretch's first span.
    """
    table = table.where(np.lexsort((table.start_s, table.video)))
    if not len(table.video):
        return table
    # all videos stand one after the other on one time line, so that no stretch joins two of them
    offset_s = table.video * (1.0 + float(table.end_s.max()))
    reach_s = np.maximum.accumulate(table.end_s + offset_s)
    opens = np.r_[True, table.start_s[1:] + offset_s[1:] > reach_s[:-1] + _SAME_TIME_S]
    first = np.flatnonzero(opens)
    return table.where(first)._replace(end_s=np.maximum.reduceat(table.end_s, first))


def touches(table: SpanTable, others: SpanTable) -> Bool[np.ndarray, "spans"]:
    """Which spans share time with any of the others of their video."""
    span_s = 1.0 + max(float(part.end_s.max(initial=0.0)) for part in (table, others))
    starts = np.sort(others.start_s + others.video * span_s)
    ends = np.sort(others.end_s + others.video * span_s)
    begun = np.searchsorted(starts, table.end_s + table.video * span_s, side="left")
    over = np.searchsorted(ends, table.start_s + table.video * span_s, side="right")
    return begun > over
