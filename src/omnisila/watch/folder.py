"""A folder that fills: every file that is complete is analysed once, as ``analyze`` does."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from omnisila.digests import finding_id
from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.batch import Batch, Outcome, RunIdentity
from omnisila.inference.inputs import Input, expand
from omnisila.report.exports import exporter
from omnisila.schema import Analysis
from omnisila.watch.address import Address
from omnisila.watch.events import EventLog, stamp
from omnisila.watch.meters import Meter
from omnisila.watch.settings import WatchSettings

_LOOK_S = 1.0
_STILL_S = 3.0  # a file that was not written to for so long is complete


class Folder:
    """A folder that is watched, with the face of a ``camera.Camera``."""

    def __init__(
        self, address: Address, analyzer: Analyzer, settings: WatchSettings, tell: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.address, self.meter, self._settings, self._tell = address, Meter(), settings, tell
        self._analyzer = analyzer
        out = settings.out / address.name
        json_form = exporter("json")
        self._batch = Batch(
            out,
            analyzer.analyze,
            {json_form.suffix: lambda analysis, _: json_form.export(analysis)},
            RunIdentity.of(analyzer.results_digest, analyzer.config),
            (json_form.suffix,),
            lambda _: None,
        )
        self._log = EventLog(out)
        self._stop = threading.Event()
        self._seen: dict[Path, tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._run, name=f"folder {address.name}", daemon=True)

    def start(self) -> None:
        self.meter.connected = True
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            for item in self._ready():
                if self._stop.is_set():
                    return
                self.meter.newest_s = time.monotonic()
                for outcome in self._batch.run([item]):
                    self._say_ended(outcome)
            self._stop.wait(_LOOK_S)

    def _ready(self) -> list[Input]:
        """Files that are complete and not yet looked at in this state."""
        try:
            files = expand([self.address.url]).files
        except InputError:
            return []  # it is empty so far, or gone for a while
        ready: list[Input] = []
        for item in files:
            try:
                stat = item.path.stat()
            except OSError:
                continue
            state = (stat.st_size, stat.st_mtime_ns)
            if self._seen.get(item.path) != state and time.time() - stat.st_mtime > _STILL_S:
                self._seen[item.path] = state
                ready.append(item)
        return ready

    def _say_ended(self, outcome: Outcome) -> None:
        utc = datetime.now(UTC)
        if outcome.state == "failed":
            self._log.write("failed", utc, file=outcome.input.name, reason=outcome.reason)
            self._tell(f"{self.address.name}: {outcome.reason}", {})
        elif outcome.analysis is not None:
            self._log.write("analysed", utc, file=outcome.input.name, findings=len(outcome.analysis.findings))
            self._tell_findings(outcome.input, outcome.analysis)

    def _tell_findings(self, item: Input, analysis: Analysis) -> None:
        begin = datetime.fromtimestamp(item.path.stat().st_mtime, UTC) - timedelta(seconds=analysis.video.duration_s)
        for finding in analysis.findings:
            span = finding.span
            self.meter.findings += 1
            event = {
                "event": "close",
                "finding": finding_id(analysis.video.sha256, finding.labels, finding.label, span.start_s, span.end_s),
                "camera": self.address.name,
                "labels": finding.labels,
                "label": finding.label,
                "score": round(finding.score, 4),
                "start_utc": stamp(begin + timedelta(seconds=span.start_s)),
                "end_utc": stamp(begin + timedelta(seconds=span.end_s)),
                "cause": finding.cause,
                "file": item.name,
                "start_s": span.start_s,
                "end_s": span.end_s,
            }
            self._log.write("finding", datetime.now(UTC), **event)
            self._tell(f"{item.name}: {finding.label} ({finding.score:.2f})", event)
