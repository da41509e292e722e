"""One stream from its frames to events, clips and notices."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from omnisila.digests import digest, file_digest
from omnisila.errors import InputError, OmnisilaError
from omnisila.files import path_text, write_atomically
from omnisila.inference.analyzer import Analyzer, video_identity
from omnisila.media.frames import LumaFrame
from omnisila.media.video import VideoReader
from omnisila.scenes.profile import SceneModeling
from omnisila.schema import Analysis, CurvePoint, Finding, Span
from omnisila.watch.address import Address
from omnisila.watch.events import EventLog, hour_folder, stamp
from omnisila.watch.frame_queue import Closed, Dropped, FrameQueue, Opened
from omnisila.watch.locating import Locator
from omnisila.watch.meters import Meter
from omnisila.watch.reader import Reader
from omnisila.watch.ring import PacketRing
from omnisila.watch.settings import WatchSettings
from omnisila.watch.tracking import Located

Tell = Callable[[str, dict[str, Any]], None]  # gets a line for people and the event itself


class _Clip(NamedTuple):
    """A clip that waits for what follows its finding."""

    number: int
    end_s: float
    finding: Finding
    curve: tuple[CurvePoint, ...]
    path: Path


class Camera:
    """A stream that is watched: its reader, and the thread that looks.

    Args:
        sem: the extractors, likewise.
        tell: gets every finding that opens, closes or is withdrawn, and what happens to the stream.
    """

    def __init__(
        self,
        address: Address,
        analyzer: Analyzer,
        sem: SceneModeling,
        lock: threading.Lock,
        settings: WatchSettings,
        tell: Tell,
    ) -> None:
        self.address, self.settings = address, settings
        self.meter = Meter()
        self._analyzer, self._sem, self._lock, self._tell = analyzer, sem, lock, tell
        rate_hz = sem.config.rate_hz
        self._queue = FrameQueue(int(settings.queue_s * rate_hz), 1 / rate_hz, waits=not address.is_live)
        self.meter.queued = self._queue.__len__
        self.reader = Reader(address, sem.config, settings, self._queue, self.meter)
        self._log = EventLog(settings.out / address.name)
        self._thread = threading.Thread(target=self._run, name=f"look {address.name}", daemon=True)
        self._ids: dict[int, str] = {}
        self._clips: list[_Clip] = []
        self._next_number = 1
        self._lost: tuple[datetime, str] | None = None
        self._last_lost: str | None = None

    def start(self) -> None:
        self.reader.start()
        self._thread.start()

    def stop(self) -> None:
        self.reader.stop()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.take()) is not None:
            try:
                if isinstance(item, Opened):
                    self._watch(item)
                elif isinstance(item, Closed):  # frames of a connection that is not watched are passed over
                    self._say_lost(item.reason)
            except OmnisilaError as error:
                self._tell(f"{self.address.name}: {error}", {})

    def _watch(self, opened: Opened) -> None:
        """One connection, from its first frame to its end."""
        ring = self.reader.rings.pop(opened.number)
        if self._lost is not None:
            begin, reason = self._lost
            self._log.write("gap", opened.utc, start_utc=stamp(begin), end_utc=stamp(opened.utc), reason=reason)
        self._lost = self._last_lost = None
        if self._analyzer.camera is not None:
            name = Path(self.address.name)
            try:
                self._analyzer.camera.camera.check_picture(name, opened.width_px, opened.height_px)
            except InputError as error:  # it is not the camera that was learnt
                self._say_lost(str(error))
                return
        self._log.write("connected", opened.utc, connection=opened.number)
        self._tell(f"{self.address.name}: connected", {})
        locator = Locator(self._analyzer, self._sem, self._lock, self.settings, opened, self._next_number)
        newest_s, reason = 0.0, "stopped"

        def closed(why: str) -> None:
            nonlocal reason
            reason = why

        def dropped(some: Dropped) -> None:
            begin, end = (opened.utc + timedelta(seconds=at_s) for at_s in (some.start_s, some.end_s))
            self._log.write("gap", end, start_utc=stamp(begin), end_utc=stamp(end), reason="too slow",
                            frames=some.frames)  # fmt: skip

        def frames() -> Iterator[LumaFrame]:
            nonlocal newest_s
            for arrived in self._queue.frames(dropped, closed):
                newest_s = arrived.frame.frame.time_s
                self.meter.lag_s = time.monotonic() - arrived.at_s
                yield arrived.frame

        for step in locator.steps(frames()):
            if (point := step.point) is not None:
                self.meter.windows += 1
                self._log.write("score", opened.utc + timedelta(seconds=point.end_s), **self._score(opened, point))
            for change in step.changes:
                self._change(opened, locator, ring, change)
            self._write_clips(ring, ring.end_s)
        self._next_number = locator.tracker.next_number
        self._write_clips(ring, float("inf"))
        self._lost = (opened.utc + timedelta(seconds=newest_s), reason)
        self._say_lost(reason)

    def _say_lost(self, reason: str) -> None:
        """Once for each reason, until the stream is back."""
        if reason == self._last_lost:
            return
        self._last_lost = reason
        utc = datetime.now(UTC)
        self._lost = self._lost or (utc, reason)
        self._log.write("lost", utc, reason=reason)
        self._tell(f"{self.address.name}: {reason}", {})

    def _score(self, opened: Opened, point: CurvePoint) -> dict[str, Any]:
        start = opened.utc + timedelta(seconds=point.start_s)
        return {"start_utc": stamp(start), "score": point.score, "posterior": point.posterior}

    def _change(self, opened: Opened, locator: Locator, ring: PacketRing, change: Located) -> None:
        span = change.found.span
        begin, end = (opened.utc + timedelta(seconds=at_s) for at_s in (span.start_s, span.end_s))
        name = self._ids.setdefault(
            change.number, digest(self.address.name, change.labels, stamp(begin), str(change.number))[:24]
        )
        event: dict[str, Any] = {
            "event": change.state,
            "finding": name,
            "camera": self.address.name,
            "labels": change.labels,
            "label": change.found.label,
            "score": round(change.found.score, 4),
            "start_utc": stamp(begin),
            "end_utc": stamp(end),
        }
        if change.state == "open":
            self.meter.findings += 1
            self.meter.latencies_s.append(max(time.time() - end.timestamp(), 0.0))
            event["cause"] = locator.finding(change.labels, change.found).cause
        if change.state == "close":
            finding = locator.finding(change.labels, change.found)
            event["cause"] = finding.cause
            path = hour_folder(self.settings.out / self.address.name, begin) / (
                f"{begin:%H%M%S}_{change.found.label.replace(' ', '-')}_{name[:8]}{ring.suffix}"
            )
            event["clip"] = path_text(path.relative_to(self.settings.out))
            last_s = min(span.end_s, span.start_s + self.settings.clip_s) + self.settings.post_s
            shown = Span(start_s=max(span.start_s - self.settings.pre_s - 10.0, 0.0), end_s=last_s)
            self._clips.append(_Clip(change.number, last_s, finding, locator.curve(shown), path))
        self._log.write("finding", end, **event)
        if change.state in ("close", "withdraw"):
            del self._ids[change.number]
        if change.state != "update":
            self._tell(f"{self.address.name}: {change.state} {change.found.label} ({change.found.score:.2f})", event)

    def _write_clips(self, ring: PacketRing, known_s: float) -> None:
        """Write the clips whose post-roll is there, each with its analysis, which the review server shows."""
        waiting = self._clips
        self._clips = [clip for clip in waiting if clip.end_s > known_s]
        for clip in waiting:
            if clip.end_s > known_s:
                continue
            try:
                begin_s = ring.write(clip.path, clip.finding.span.start_s - self.settings.pre_s, clip.end_s)
                analysis = self._analysis(clip, begin_s)
            except OmnisilaError as error:
                self._tell(f"{self.address.name}: no clip: {error}", {})
                continue
            write_atomically(clip.path.with_name(f"{clip.path.name}.json"), analysis.model_dump_json(indent=1))

    def _analysis(self, clip: _Clip, begin_s: float) -> Analysis:
        """The finding in the clip's own time."""
        info = VideoReader(clip.path).info
        scorer = self._analyzer.scorer
        moved = [_move(point, begin_s, info.duration_s) for point in clip.curve]
        return Analysis(
            video=video_identity(clip.path, file_digest(clip.path), info, 1.0),
            labels=self._analyzer.label_sets,
            labels_not_scored=scorer.labels_not_scored,
            model=self._analyzer.identity,
            findings=tuple(item for item in (_move(clip.finding, begin_s, info.duration_s),) if item is not None),
            anomaly_curve=tuple(point for point in moved if point is not None),
            expert_weights=(),
            camera=self._analyzer.camera.use if self._analyzer.camera else None,
            warnings=self._analyzer.notes,
        )


def _move(record: Any, by_s: float, end_s: float) -> Any:
    """A record with times counted from ``by_s`` on, cut to [0, end_s); None where nothing is left."""
    if isinstance(record, Finding):
        span = record.span
        start_s, stop_s = max(span.start_s - by_s, 0.0), min(span.end_s - by_s, end_s)
        evidence = record.evidence.select(
            lambda some: tuple(
                item.replace(time_s=item.time_s - by_s) for item in some if 0 <= item.time_s - by_s < end_s
            )
        )
        return record.replace(span=Span(start_s=start_s, end_s=stop_s), evidence=evidence) if stop_s > start_s else None
    start_s, stop_s = max(record.start_s - by_s, 0.0), min(record.end_s - by_s, end_s)
    return record.replace(start_s=start_s, end_s=stop_s) if stop_s > start_s else None
