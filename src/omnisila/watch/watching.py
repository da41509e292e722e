"""A watch over several streams: shared networks, one outbox, and what keeps it going for days."""

import threading
import time
from collections.abc import Callable, Sequence, Set
from typing import Any

from omnisila.errors import InputError, OmnisilaError
from omnisila.files import check_writable
from omnisila.inference.analyzer import Analyzer
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.watch.address import Address
from omnisila.watch.camera import Camera
from omnisila.watch.folder import Folder
from omnisila.watch.locating import check_live, live_profile
from omnisila.watch.meters import serve_metrics
from omnisila.watch.outbox import Outbox
from omnisila.watch.retention import retire
from omnisila.watch.settings import WatchSettings
from omnisila.watch.targets import Target

_RETIRE_S = 600.0
_SEND_S = 5.0  # at the end, notices are given so long
_END_S = 30.0  # likewise threads


class Watch:
    """Streams that are watched together.

    Args:
        addresses: the streams; their names differ.
        accepted: gives the SHA-256 of clips that people accepted.

    Raises:
        InputError: the model cannot watch.
        OutputError: the folder cannot be written to.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        analyzer: Analyzer,
        settings: WatchSettings,
        targets: Sequence[Target] = (),
        say: Callable[[str], None] = print,
        accepted: Callable[[], Set[str]] = frozenset,
    ) -> None:
        check_writable(settings.out)
        self._settings, self._say, self._accepted = settings, say, accepted
        state = settings.out / ".omnisila"
        self.outbox = Outbox(state / "outbox", targets, say, age_s=settings.notice_age_s)
        self._has_targets = bool(targets)
        self._told_s: dict[tuple[str, str], float] = {}
        self._told: set[str] = set()
        self._telling = threading.Lock()
        lock = threading.Lock()
        if any(address.kind != "folder" for address in addresses):
            check_live(analyzer)
        sem = LoadedWhenNeeded(live_profile(analyzer.sem.config))
        self.streams = [
            Folder(address, analyzer, settings, self._tell)
            if address.kind == "folder"
            else Camera(address, analyzer, sem, lock, settings, self._tell)
            for address in addresses
        ]
        if any(isinstance(stream, Camera) for stream in self.streams):
            _ = sem.loaded  # before threads would load it twice

    def run(
        self, for_s: float | None = None, metrics_port: int | None = None, stop: threading.Event | None = None
    ) -> None:
        """Watch until the time is over, all streams have ended, ``stop`` is set or the user interrupts.

        Raises:
            InputError: the port of the metrics is taken.
        """
        stop = stop or threading.Event()
        meters = {stream.address.name: stream.meter for stream in self.streams}
        ends: list[Callable[[], None]] = []
        if metrics_port is not None:
            try:
                ends.append(serve_metrics(meters, lambda: {"notices_waiting": self.outbox.waiting}, metrics_port))
            except OSError as error:
                raise InputError(f"port {metrics_port}: {error.strerror}. Give another --metrics.") from None
        self.outbox.start()
        for stream in self.streams:
            stream.start()
        until_s = float("inf") if for_s is None else time.monotonic() + for_s
        retire_s = time.monotonic()
        try:
            while (
                not stop.is_set() and time.monotonic() < until_s and any(stream.is_running for stream in self.streams)
            ):
                if time.monotonic() >= retire_s:
                    retire_s = time.monotonic() + _RETIRE_S
                    self._retire()
                stop.wait(min(0.2, max(until_s - time.monotonic(), 0.0)))
        finally:
            for stream in self.streams:
                stream.stop()
            end_s = time.monotonic() + _END_S
            for stream in self.streams:
                stream.join(max(end_s - time.monotonic(), 0.0))
            self.outbox.stop(_SEND_S if self._has_targets else 0.0)
            for end in ends:
                end()

    def _retire(self) -> None:
        settings = self._settings
        if settings.keep_days is None and settings.keep_bytes is None:
            return
        try:
            retire(settings.out, settings.keep_days, settings.keep_bytes, self._accepted())
        except (OSError, OmnisilaError) as error:
            self._say(f"old results stay: {error}")

    def _tell(self, line: str, event: dict[str, Any]) -> None:
        """Say a line, and tell others of a finding unless one of its kind was told of just now."""
        self._say(line)
        if not event or not self._has_targets:
            return
        name, kind = event["finding"], (event["camera"], event["label"])
        with self._telling:
            first = name not in self._told and event["event"] in ("open", "close")
            cooling = time.monotonic() - self._told_s.get(kind, float("-inf")) < self._settings.cooldown_s
            if first and cooling:
                return
            if not first and name not in self._told:
                return  # nobody heard of it
            if first:
                self._told.add(name)
                self._told_s[kind] = time.monotonic()
            if event["event"] in ("close", "withdraw"):
                self._told.discard(name)
        try:
            self.outbox.put(f"{name}-{event['event']}", event)
        except OmnisilaError as error:
            self._say(str(error))
