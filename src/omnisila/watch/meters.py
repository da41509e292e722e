"""What is counted of each stream, and the form in which Prometheus reads it."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_LATENCIES = 512  # the newest, from which percentiles are read


@dataclass
class Meter:
    """Of one stream. Each number has one writer: the reader's thread, or the one that looks."""

    connected: bool = False
    connections: int = 0
    frames: int = 0
    dropped: int = 0
    damaged: int = 0
    windows: int = 0
    findings: int = 0
    newest_s: float = -math.inf  # monotonic time of the last picture
    lag_s: float = 0.0  # from a frame's arrival until extraction takes it
    queued: Callable[[], int] = int
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))

    def opened(self, number: int) -> None:
        """A connection stands."""
        self.connections, self.connected = number, True

    def latency_s(self, quantile: float) -> float | None:
        """From the end of a finding's first settled window to its event; None before the first."""
        found = sorted(self.latencies_s)
        return found[min(int(quantile * len(found)), len(found) - 1)] if found else None

    def values(self) -> dict[str, float]:
        """Everything, by metric."""
        age_s = time.monotonic() - self.newest_s
        found = {
            "connected": float(self.connected),
            "reconnects_total": max(self.connections - 1, 0),
            "frames_total": self.frames,
            "dropped_frames_total": self.dropped,
            "damaged_pictures_total": self.damaged,
            "windows_total": self.windows,
            "findings_total": self.findings,
            "last_frame_age_seconds": age_s,
            "lag_seconds": self.lag_s,
            "queued_frames": self.queued(),
        }
        for name, quantile in (("p50", 0.5), ("p95", 0.95)):
            value = self.latency_s(quantile)
            if value is not None:
                found[f"latency_{name}_seconds"] = value
        return found


def serve_metrics(
    meters: Mapping[str, Meter], more: Callable[[], Mapping[str, float]], port: int
) -> Callable[[], None]:
    """Answer Prometheus at ``http://127.0.0.1:port/metrics``; gives what ends it.

    Args:
        more: of the whole watch, such as notices that wait.

    Raises:
        OSError: the port is taken.
    """
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

    class Collector:
        def collect(self) -> Iterator[Metric]:
            families: dict[str, Any] = {}
            for camera, meter in meters.items():
                for name, value in meter.values().items():
                    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                    if name not in families:
                        families[name] = kind(f"omnisila_watch_{name}", name.replace("_", " "), labels=["camera"])
                    families[name].add_metric([camera], value)
            for name, value in more().items():
                families[name] = GaugeMetricFamily(f"omnisila_watch_{name}", name.replace("_", " "), value=value)
            yield from families.values()

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type]
    server, thread = start_http_server(port, "127.0.0.1", registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        if isinstance(thread, threading.Thread):
            thread.join()

    return stop
