"""Which moments of a finding are shown, and what the extractors saw at them."""

from collections.abc import Sequence
from typing import Any

from omnisila.schema import Evidence, Finding

TOLERANCE_S = 0.26  # extractors sample at different times; what is farther off would be drawn in the wrong place
PER_FINDING = 3


def key_times(finding: Finding, count: int = PER_FINDING) -> tuple[float, ...]:
    """Up to ``count`` times in the span, in order: one in each part of it, where the most kinds of evidence are."""
    span = finding.span
    count = max(min(count, int(span.duration_s)), 1)
    width_s = span.duration_s / count
    sampled = sorted({seen.time_s for _, kind in finding.evidence for seen in kind})
    chosen: list[float] = []
    for part in range(count):
        start_s = span.start_s + part * width_s
        middle_s = start_s + width_s / 2
        inside = [time_s for time_s in sampled if start_s <= time_s < start_s + width_s]
        best = max(inside, key=lambda t: (_richness(finding.evidence, t), -abs(t - middle_s)), default=middle_s)
        if not chosen or best > chosen[-1]:
            chosen.append(best)
    return tuple(chosen)


def seen_at(evidence: Evidence, time_s: float) -> Evidence:
    """What each extractor saw at its sample nearest to a time, if that is near enough."""
    return evidence.select(lambda records: _nearest(records, time_s))


def _richness(evidence: Evidence, time_s: float) -> tuple[int, int]:
    """How many kinds of evidence there are at a time, then how much evidence."""
    counts = [len(kind) for _, kind in seen_at(evidence, time_s)]
    return sum(map(bool, counts)), sum(counts)


def _nearest(items: Sequence[Any], time_s: float) -> tuple[Any, ...]:
    nearest_s = min((item.time_s for item in items), key=lambda item: abs(item - time_s), default=None)
    if nearest_s is None or abs(nearest_s - time_s) > TOLERANCE_S:
        return ()
    return tuple(item for item in items if item.time_s == nearest_s)
