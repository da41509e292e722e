"""What a camera never showed before: types of place, speed, number, hour and posture, and windows unlike all others.

How rare a thing must be to be told follows from how often ordinary footage brought something that rare for the first
time. Source: Good 1953, Eq. (2): the rate of types seen r times is (r + 1) n(r + 1) / N.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.cameras.camera import Camera, Verdicts, spoken
from omnisila.cameras.likeness import DIRECTIONS, Ordinary
from omnisila.cameras.sightings import FACETS, KINDS, MOST, VISIT_S, Paces, Sighting, sightings, words
from omnisila.cameras.tails import GRID, limit
from omnisila.labels import LabelSet
from omnisila.operating_points import LabelSetCalibration
from omnisila.scene_registry import SCENES
from omnisila.scenes.extractor import SceneShard, model_streams
from omnisila.schema import Span
from omnisila.spans import Curve, LabelledSpan, SpanShape, Thresholds, mean_score, spans_of

UNUSUAL, UNUSUAL_SET = "Unusual", "unusual"  # the finding's label, and the label set it stands under
LIKENESS = "likeness"  # the reason that is no facet's
MOST_REASONS = 3
CALIBRATION = LabelSetCalibration(
    temperature=1.0,
    shape=SpanShape(smooth_s=0.0, merge_gap_s=3.0, min_duration_s=0.0),
    thresholds={UNUSUAL: Thresholds(on=1e-6, off=1e-6)},  # a window with any reason
)
LABELS = LabelSet(
    name=UNUSUAL_SET, labels=(UNUSUAL,), negative=(UNUSUAL,), quiet=None, identify="", locate="", attribute=""
)
_SCALE = 4.0  # unlikeness u stands on the grid of thresholds at 4 log u
_LEAST_WINDOWS = 16  # before windows may be unlike the others
_LEAST_VISITS = 5  # of a kind, before its speed, number or posture may be unusual
_LEAST_WATCHED_S = 1800.0  # of an hour of the day, before who moves in it may be unusual


class Reason(NamedTuple):
    """Why a window is unusual: in words, and with 1 less the share of ordinary minutes that were like it."""

    facet: str
    text: str
    score: float


class UnusualSpan(NamedTuple):
    """An unusual stretch and its reasons in one sentence."""

    span: LabelledSpan
    cause: str


class Unusual:
    """A camera's rule for what is unusual; it rates window by window.

    Args:
        alarms_per_hour: that all facets together raise in ordinary footage, as Good's estimate expects it. A facet
            that would raise more by reporting only what was never seen is left out, the costliest first.
    """

    def __init__(self, camera: Camera, alarms_per_hour: float) -> None:
        self.camera, self.alarms_per_hour = camera, alarms_per_hour
        self.visits = camera.hours * 3600 / VISIT_S  # that one type could have had
        self.near = {facet.name: camera.total(f"near/{facet.name}") for facet in FACETS}
        self.rarest = self._rarest()  # facet -> how often a type may have been seen at most
        self.verdicts = camera.facts.verdicts.get(UNUSUAL, Verdicts())
        self._watched_s = _watched_s(camera)
        kept = [
            rows[:count]
            for rows, count in zip(camera.tensors["windows"].float(), camera.tensors["windows_kept"], strict=True)
        ]
        self._ordinary = Ordinary.of(torch.cat(kept))
        self._least = self._least_unlikeness(kept)

    @property
    def silent(self) -> tuple[str, ...]:
        """Facets of which the footage shows too little to tell what is unusual."""
        return tuple(facet.name for facet in FACETS if facet.name not in self.rarest)

    def reasons(self, seen: Iterable[tuple[str, int]], described: Float[Tensor, "numbers"]) -> tuple[Reason, ...]:
        """Why a window is unusual; empty where it is not.

        Args:
            described: ``likeness.window_vector`` of it.
        """
        found: list[Reason] = []
        for facet, kind in set(seen):
            often = int(self.near[facet][kind])
            if facet in self.rarest and often <= self.rarest[facet] and self._tells(facet, kind):
                told = "never seen" if often == 0 else f"seen {often} time{'s' if often > 1 else ''}"
                text = words(facet, kind, f"{told} in {spoken(self.camera.hours)}")
                found.append(Reason(facet, text, 1 - (often + 1) / (self.visits + 2)))
        unlike = float(self._ordinary.unlikeness(described[None])[0])
        if self._least is not None and unlike >= self._least:
            scenes = model_streams(("visual", *SCENES))
            which = scenes[self._ordinary.strangest(described)] if len(described) == len(scenes) * DIRECTIONS else ""
            what = SCENES[which].title.lower() if which in SCENES else "picture"
            found.append(Reason(LIKENESS, f"the {what} as a whole unlike anything in {spoken(self.camera.hours)}", 0.5))
        return tuple(found)

    def spans(
        self,
        spans: Sequence[Span],
        described: Sequence[Float[Tensor, "numbers"]],
        shards: Iterable[SceneShard],
        aspect: float,
        begin: datetime | None,
    ) -> Iterator[UnusualSpan]:
        """The unusual stretches of a video, in time order.

        Args:
            shards: in time order, read one at a time.
            aspect: width of the picture by its height.
            begin: when it begins by the camera's clock, if that is known.
        """
        seen: list[set[tuple[str, int]]] = [set() for _ in spans]
        start_s = np.array([span.start_s for span in spans])
        paces = Paces()
        for shard in shards:
            for sighting in sightings(shard, aspect, begin, paces):
                # what is seen on an edge belongs to the window that begins there
                place = int(np.searchsorted(start_s, sighting.time_s + 1e-6, side="right")) - 1
                if place >= 0 and sighting.time_s < spans[place].end_s:
                    seen[place].add((sighting.facet, sighting.type))
        reasons = [self.reasons(kinds, numbers) for kinds, numbers in zip(seen, described, strict=True)]
        scores = np.array([_score(of) for of in reasons])
        curve = Curve(start_s, np.array([span.end_s for span in spans]), scores)
        for span in spans_of(curve, CALIBRATION.thresholds[UNUSUAL], CALIBRATION.shape):
            score = round(max(mean_score(curve, span), 1e-4), 4)
            if score >= self.verdicts.least_score:
                yield UnusualSpan(LabelledSpan(span, UNUSUAL, score), _cause(span, zip(spans, reasons, strict=True)))

    def _rarest(self) -> dict[str, int]:
        left, rarest = self.alarms_per_hour, {}
        for name in sorted(self.near, key=lambda name: self._rate(name, 0)):
            if self._rate(name, 0) > left:
                break
            # what was there in more than a hundredth of the time is not rare, whatever its rate
            often = 0
            while often + 1 <= self.visits // 100 and self._rate(name, often + 1) <= left / 2:
                often += 1
            rarest[name], left = often, left - self._rate(name, often)
        return rarest

    def _rate(self, facet: str, often: int) -> float:
        """How often an hour something is expected that was seen at most so often."""
        exact = self.camera.total(f"exact/{facet}")
        return float(exact[self.near[facet] <= often + 1].sum()) / self.camera.hours

    def _tells(self, facet: str, kind: int) -> bool:
        """Whether a rare type says more than other reasons do, and enough of its like was seen to call it rare."""
        if facet == "place":
            return True
        if facet == "hour":
            return bool(self._watched_s[kind % 24] >= _LEAST_WATCHED_S)
        if facet == "number" and kind % (MOST + 1) == 1:
            return "place" not in self.rarest  # where the first of a kind is says it, too
        return self._visits(facet, kind) >= _LEAST_VISITS

    def _visits(self, facet: str, kind: int) -> int:
        """Visits of things of that kind; for postures, of people whose posture was seen."""
        if facet == "posture":
            return int(self.near[facet].max())
        return int(self.near["number"][kind * len(KINDS) // len(self.near[facet]) * (MOST + 1)])

    def _least_unlikeness(self, kept: Sequence[Float[Tensor, "_windows numbers"]]) -> float | None:
        """From when on a window is unlike the ordinary ones: each video is rated by all others."""
        parts = [part for part in kept if len(part)]
        parts = parts if len(parts) > 1 else list(parts[0].chunk(2))
        if sum(len(part) for part in parts) < _LEAST_WINDOWS:
            return None
        rated = [
            Ordinary.of(torch.cat([*parts[:place], *parts[place + 1 :]])).unlikeness(part)
            for place, part in enumerate(parts)
        ]
        places = _SCALE * torch.cat(rated).clamp(min=1e-3).log().numpy()
        weight = float(self.camera.total("windows_seen")) / len(places)
        counts = np.round((places[None] >= GRID[:, None]).sum(1) * weight).astype(np.int64)
        found = limit(counts, self.camera.hours, self.alarms_per_hour)
        return None if found.log_odds >= GRID[-1] else float(np.exp(found.log_odds / _SCALE))


class LiveRating:
    """A stream's windows, each rated when it is there.

    Args:
        aspect: as ``Unusual.spans``, and ``begin``.
        keep_s: so long reasons are kept.
    """

    def __init__(self, rule: Unusual, aspect: float, begin: datetime | None, keep_s: float) -> None:
        self._rule, self._aspect, self._begin, self._keep_s = rule, aspect, begin, keep_s
        self._paces = Paces()
        self._sightings: list[Sighting] = []
        self._reasons: deque[tuple[Span, tuple[Reason, ...]]] = deque()

    def see(self, shard: SceneShard) -> None:
        """The next shard; to be seen before the windows in it are rated."""
        self._sightings += sightings(shard, self._aspect, self._begin, self._paces)

    def rate(self, span: Span, described: Float[Tensor, "numbers"]) -> float:
        """How unusual the next window is, 0 to 1; 0 where nothing is."""
        past = [seen for seen in self._sightings if seen.time_s + 1e-6 < span.end_s]
        self._sightings = [seen for seen in self._sightings if seen.time_s + 1e-6 >= span.end_s]
        inside = {(seen.facet, seen.type) for seen in past if seen.time_s + 1e-6 >= span.start_s}
        reasons = self._rule.reasons(inside, described)
        self._reasons.append((span, reasons))
        while self._reasons[0][0].end_s < span.end_s - self._keep_s:
            self._reasons.popleft()
        return _score(reasons)

    def cause(self, span: Span) -> str:
        return _cause(span, self._reasons)


def _score(reasons: Sequence[Reason]) -> float:
    return max((reason.score for reason in reasons), default=0.0)


def _cause(span: Span, rated: Iterable[tuple[Span, Sequence[Reason]]]) -> str:
    """The commonest reason of each facet in a stretch, in one sentence."""
    inside = ((window.start_s < span.end_s and window.end_s > span.start_s, of) for window, of in rated)
    reasons = [reason for is_inside, of in inside if is_inside for reason in of]
    told: list[str] = []
    for name in (*(facet.name for facet in FACETS), LIKENESS):
        texts = Counter(reason.text for reason in reasons if reason.facet == name)
        told += [text for text, _ in texts.most_common(1)]
    text = "; ".join(told[:MOST_REASONS])
    return f"{text[0].upper()}{text[1:]}."


def _watched_s(camera: Camera) -> Float[np.ndarray, "24"]:
    """How long each hour of the day was learnt."""
    watched_s = np.zeros(24)
    for video in camera.facts.videos:
        if video.begin is not None:
            first_s = video.begin.hour * 3600 + video.begin.minute * 60 + video.begin.second
            for second in np.arange(first_s, first_s + video.seconds, 10.0):
                watched_s[int(second // 3600) % 24] += 10.0
    return watched_s
