"""A stream's frames through the extractors and the model of ``analyze``, window by window; what they settle."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from omnisila.cameras.likeness import window_vector
from omnisila.cameras.unusual import CALIBRATION, LABELS, UNUSUAL, UNUSUAL_SET, LiveRating
from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.attributing import attribute_span, ranked_cause
from omnisila.inference.fixed_camera import unusual_finding
from omnisila.inference.scoring import Scored
from omnisila.inference.seeing import window_reader
from omnisila.media.frames import LumaFrame
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.profile import Profile, SceneModeling
from omnisila.scenes.windows import window_over, windows
from omnisila.schema import CurvePoint, Finding, Span
from omnisila.spans import LabelledSpan
from omnisila.watch.frame_queue import Opened
from omnisila.watch.settings import WatchSettings
from omnisila.watch.tracking import Located, Tracker

EVIDENCE_S = 120.0  # so much of the features is kept: causes of longer findings are read from their end


class Step(NamedTuple):
    """One more window, None at the end of the stream, and what it settled."""

    point: CurvePoint | None
    changes: tuple[Located, ...]


class Locator:
    """The findings of one connection's frames; features of several streams go through the same networks.

    Args:
        sem: the extractors in short shards (``live_profile``), which several streams may share.
        lock: held while the model scores; of all streams that share it.
        settings: how findings are told.

    Raises:
        InputError: the model looks at pictures itself, which are gone when it would.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        sem: SceneModeling,
        lock: Lock,
        settings: WatchSettings,
        opened: Opened,
        first_number: int = 1,
    ) -> None:
        check_live(analyzer)
        self._analyzer, self._sem, self._lock = analyzer, sem, lock
        self._see = window_reader(analyzer.run, Path())  # only a model with a tower of its own looks into the file
        self._shards: deque[SceneShard] = deque()
        self._windows: deque[Scored] = deque()  # of one window each
        scorer, fixed = analyzer.scorer, analyzer.camera
        label_sets, calibrations = dict(scorer.label_sets), dict(scorer.calibrations)
        trained = {name: analyzer.run.record.labels[name] for name in label_sets}
        self._rated: LiveRating | None = None
        if fixed is not None:
            label_sets[UNUSUAL_SET], calibrations[UNUSUAL_SET], trained[UNUSUAL_SET] = LABELS, CALIBRATION, (UNUSUAL,)
            begin = opened.utc.astimezone().replace(tzinfo=None)  # cameras' names tell the time of their place
            aspect = opened.width_px / max(opened.height_px, 1)
            self._rated = LiveRating(fixed.rule, aspect, begin, EVIDENCE_S)
        self._told: set[int] = set()
        self.tracker = Tracker(
            label_sets,
            trained,
            calibrations,
            analyzer.window.window_s,
            settings.finding_s,
            settings.update_s,
            first_number,
        )

    def steps(self, frames: Iterator[LumaFrame]) -> Iterator[Step]:
        """A step a window, while frames come; then the changes of the stream's end, without a window of their own."""
        scorer = self._analyzer.scorer
        for window in windows(self._extract(frames), self._analyzer.window):
            with self._lock:
                scored = scorer.score_windows([window], self._see, 1.0)
            self._windows.append(scored)
            rows = {name: rows[0] for name, rows in scored.posteriors.items()}
            if self._rated is not None:
                rows[UNUSUAL_SET] = np.array([self._rated.rate(window.span, window_vector(window))])
            yield Step(scorer.curve(scored)[0], tuple(self._report(self.tracker.add(window.span, rows))))
            while self._windows[0].spans[0].end_s < window.span.end_s - EVIDENCE_S:
                self._windows.popleft()
        if last := tuple(self._report(self.tracker.end())):
            yield Step(None, last)

    def finding(self, labels: str, found: LabelledSpan) -> Finding:
        """A span with its cause and evidence, from the features that are kept."""
        span = found.span
        begin_s = min(max(span.start_s, self._shards[0].start_s), span.end_s - 0.1)
        shown = Span(start_s=begin_s, end_s=span.end_s)
        analyzer, end_s = self._analyzer, self._shards[-1].end_s
        if self._rated is not None and labels == UNUSUAL_SET:
            weights, cause = self._score().weights_over(span), self._rated.cause(shown)
            return unusual_finding(found._replace(span=shown), cause, weights, self._cut_shards).replace(span=span)
        with self._lock:
            finding = attribute_span(
                analyzer.run.model,
                analyzer.scorer.label_sets[labels],
                analyzer.run.record.labels[labels],
                found._replace(span=shown),
                self._score().weights_over(span),
                self._cut_shards,
                window_over(self._cut_shards, shown, analyzer.window, end_s),
                self._see,
                ranked_cause,
            )
        return finding.replace(span=span)

    def curve(self, span: Span) -> tuple[CurvePoint, ...]:
        """The windows over a span, as far as they are kept."""
        points = self._analyzer.scorer.curve(self._score())
        return tuple(point for point in points if point.end_s > span.start_s and point.start_s < span.end_s)

    def _report(self, changes: Iterable[Located]) -> Iterator[Located]:
        """What of the changes is told where reviewers of a fixed camera rejected the like (``FixedCamera.reports``)."""
        for change in changes:
            if self._analyzer.camera is None or self._analyzer.camera.reports(change.found):
                if change.number not in self._told and change.state in ("update", "close"):
                    yield change._replace(state="open")
                self._told.add(change.number)
                yield change
            elif change.number in self._told:
                yield change._replace(state="withdraw")
                self._told.discard(change.number)
            if change.state in ("close", "withdraw"):
                self._told.discard(change.number)

    def _extract(self, frames: Iterator[LumaFrame]) -> Iterator[SceneShard]:
        for shard in self._sem.extract(frames):
            self._shards.append(shard)
            if self._rated is not None:
                self._rated.see(shard)
            while self._shards[0].end_s < shard.end_s - EVIDENCE_S:
                self._shards.popleft()
            yield shard

    def _cut_shards(self, span: Span) -> Iterator[SceneShard]:
        return (shard for shard in tuple(self._shards) if shard.end_s > span.start_s and shard.start_s < span.end_s)

    def _score(self) -> Scored:
        """The windows that are kept, as one."""
        kept = tuple(self._windows)
        return Scored(
            tuple(item.spans[0] for item in kept),
            {name: np.concatenate([item.posteriors[name] for item in kept]) for name in kept[0].posteriors},
            np.concatenate([item.anomaly for item in kept]),
            np.concatenate([item.expert_weights for item in kept]),
        )


def check_live(analyzer: Analyzer) -> None:
    """Whether a model can watch.

    Raises:
        InputError: it looks at pictures itself, which are gone when it would.
    """
    if analyzer.run.pretrained is not None:
        raise InputError(
            f"model {analyzer.run.record.name}: a Video-LLM that looks at pictures again cannot watch a stream. Give "
            "--model compact or a run that reads features, and analyse the clips with this one."
        )


def live_profile(profile: Profile) -> Profile:
    """The extractors in chunks and shards as short as they can be, which changes no feature."""
    return profile.replace(shard_s=1.0, chunk_frames=max(round(profile.rate_hz), 1))  # type: ignore[attr-defined]
