"""Findings of a stream's windows while they come, each told when it is final in its beginning.

A window counts once no later one can change its smoothed score, so that findings are those of an offline analysis of
the same stream (decision D200). Old windows are forgotten where nothing can reach over them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.labels import LabelSet
from omnisila.operating_points import LabelSetCalibration
from omnisila.schema import Span
from omnisila.spans import (
    ANOMALY_CURVE,
    Curve,
    LabelledSpan,
    Thresholds,
    anomaly_curve,
    flagged_stretches,
    labelled_spans,
    settled_until_s,
)

_SAME_S = 1e-6

State = Literal["open", "update", "close", "withdraw"]


class Located(NamedTuple):
    """What became of one finding, in the stream's seconds; ``number`` stays with it.

    ``withdraw``: its label's part was too short and went to the neighbour, as offline.
    """

    number: int
    state: State
    labels: str
    found: LabelledSpan


class _Known(NamedTuple):
    number: int
    labels: str
    found: LabelledSpan
    closed: bool
    told_s: float


class Tracker:
    """The windows of one stream without interruption of its clock, and the findings in them.

    Args:
        trained: by label set, the labels that are scored, in the order of the columns.
        finding_s: a finding is ended when it lasts longer.
        update_s: how often one that grows is told.
    """

    def __init__(
        self,
        label_sets: Mapping[str, LabelSet],
        trained: Mapping[str, tuple[str, ...]],
        calibrations: Mapping[str, LabelSetCalibration],
        window_s: float,
        finding_s: float,
        update_s: float,
        first_number: int = 1,
    ) -> None:
        self._label_sets, self._trained, self._calibrations = label_sets, trained, calibrations
        self._window_s, self._finding_s, self._update_s = window_s, finding_s, update_s
        self.next_number = first_number
        self.spans: list[Span] = []
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in label_sets}
        self._known: list[_Known] = []
        self._need_s = 3 * window_s + max(
            calibration.shape.smooth_s + calibration.shape.merge_gap_s for calibration in calibrations.values()
        )

    def add(self, span: Span, rows: Mapping[str, Float[np.ndarray, "labels"]]) -> tuple[Located, ...]:
        """One more window with its posteriors; what that settles."""
        self.spans.append(span)
        for name, row in rows.items():
            self._rows[name].append(row)
        too_long = span.end_s - self.spans[0].start_s > self._finding_s
        changes = tuple(self._changes(ended=too_long))
        self._forget(everything=too_long)
        return changes

    def end(self) -> tuple[Located, ...]:
        """The stream ends here."""
        return tuple(self._changes(ended=True)) if self.spans else ()

    def _changes(self, ended: bool) -> Iterator[Located]:
        start_s = np.array([span.start_s for span in self.spans])
        end_s = np.array([span.end_s for span in self.spans])
        for name, calibration in self._calibrations.items():
            shape = calibration.shape
            until_s = float("inf") if ended else settled_until_s(float(end_s[-1]), self._window_s, shape)
            settled_s = float(end_s[end_s <= until_s].max(initial=0.0))
            spans = labelled_spans(
                start_s,
                end_s,
                np.stack(self._rows[name]),
                self._trained[name],
                self._label_sets[name],
                calibration.thresholds,
                shape,
                settled_s,
            )
            grows_from_s = float("inf") if ended else min(settled_s, self._pending_s(name, settled_s))
            yield from self._match(name, spans, self._open(spans, grows_from_s, settled_s, shape.merge_gap_s))

    def _curves(self, name: str) -> Iterator[tuple[Curve, Thresholds]]:
        """The curves of a label set that have thresholds."""
        labels, rows = self._trained[name], np.stack(self._rows[name])
        start_s = np.array([span.start_s for span in self.spans])
        end_s = np.array([span.end_s for span in self.spans])
        for curve, thresholds in self._calibrations[name].thresholds.items():
            if curve == ANOMALY_CURVE:
                yield anomaly_curve(start_s, end_s, rows, labels, self._label_sets[name]), thresholds
            elif curve in labels:
                yield Curve(start_s, end_s, rows[:, labels.index(curve)]), thresholds

    def _pending_s(self, name: str, settled_s: float) -> float:
        """Where scores began that hold a finding up and may yet become one, up to the settled end."""
        begin_s = float("inf")
        shape = self._calibrations[name].shape.replace(merge_gap_s=0.0, min_duration_s=0.0)
        for curve, thresholds in self._curves(name):
            held = flagged_stretches(curve, thresholds.replace(on=thresholds.off), shape, settled_s)
            if len(held.end_s) and held.end_s[-1] >= settled_s - _SAME_S:
                begin_s = min(begin_s, float(held.start_s[-1]))
        return begin_s

    def _open(self, spans: Sequence[LabelledSpan], grows_from_s: float, settled_s: float, gap_s: float) -> list[bool]:
        """Which spans may still change: those near the end of what is settled, with all parts of their stretch."""
        runs = [b.start_s for a, b in pairwise(self.spans) if b.start_s > a.end_s + _SAME_S and a.end_s <= settled_s]
        final_before_s = runs[-1] if runs else 0.0
        may_change = [False] * len(spans)
        for place in reversed(range(len(spans))):
            end_s = spans[place].span.end_s
            later = zip(spans[place + 1 :], may_change[place + 1 :], strict=True)
            part = any(changes and abs(item.span.start_s - end_s) < _SAME_S for item, changes in later)
            grows = end_s + gap_s >= grows_from_s - _SAME_S or part
            may_change[place] = grows and end_s > final_before_s
        return may_change

    def _match(self, labels: str, spans: Sequence[LabelledSpan], may_change: list[bool]) -> Iterator[Located]:
        """Changes of a label set's findings, given its spans now."""
        mine = [item for item in self._known if item.labels == labels]
        others = [item for item in self._known if item.labels != labels]
        kept: list[_Known] = []
        for found, is_open in zip(spans, may_change, strict=True):
            done = next((item for item in mine if item.closed and item.found[:2] == found[:2]), None)
            if done is not None:
                mine.remove(done)
                kept.append(done)
                continue
            near = [item for item in mine if not item.closed and _shared_s(item.found.span, found.span) > 0]
            before = max(near, key=partial(_likeness, found), default=None)
            if before is not None:
                mine.remove(before)
            if before is None:
                before = _Known(self.next_number, labels, found, False, found.span.end_s)
                self.next_number += 1
                yield Located(before.number, "open", labels, found)
            elif found.label != before.found.label or found.span.end_s - before.told_s >= self._update_s:
                before = before._replace(told_s=found.span.end_s)
                if is_open:
                    yield Located(before.number, "update", labels, found)
            if not is_open:
                yield Located(before.number, "close", labels, found)
            kept.append(before._replace(found=found, closed=not is_open))
        for lost in mine:
            if not lost.closed:
                yield Located(lost.number, "withdraw", labels, lost.found)
        self._known = [*others, *kept]

    def _forget(self, everything: bool) -> None:
        """Leave out windows that no later one can reach over: behind a hole, or before enough calm."""
        if everything:
            self._drop(len(self.spans))
            return
        end_s = self.spans[-1].end_s
        first_open_s = min((item.found.span.start_s for item in self._known if not item.closed), default=float("inf"))
        loud = np.zeros(len(self.spans), bool)
        for name in self._calibrations:
            for curve, thresholds in self._curves(name):
                loud |= curve.score >= thresholds.off
        calm_s = 0.0  # of the windows from here on, without a loud one or a hole
        for place in range(len(self.spans) - 1, 0, -1):
            span = self.spans[place]
            calm_s = 0.0 if loud[place] else calm_s + span.duration_s
            hole = span.start_s > self.spans[place - 1].end_s + _SAME_S
            settled = end_s - span.start_s > self._need_s and span.start_s < first_open_s
            if settled and (hole or calm_s > self._need_s):
                self._drop(place)
                return
            calm_s = 0.0 if hole else calm_s

    def _drop(self, count: int) -> None:
        for rows in (self.spans, *self._rows.values()):
            del rows[:count]
        start_s = self.spans[0].start_s if self.spans else float("inf")
        self._known = [item for item in self._known if item.found.span.end_s > start_s or not item.closed]


def _likeness(found: LabelledSpan, known: _Known) -> tuple[bool, float]:
    return known.found.label == found.label, _shared_s(known.found.span, found.span)


def _shared_s(first: Span, other: Span) -> float:
    return min(first.end_s, other.end_s) - max(first.start_s, other.start_s)
