"""How a batch stands, as numbers and as a page that may be opened at any time."""

import heapq
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import quote

from omnisila.batches.ledger import End
from omnisila.batches.storage import Storage
from omnisila.batches.work import output_name
from omnisila.errors import OmnisilaError
from omnisila.inference.batch import INDEX
from omnisila.inference.inputs import Failure
from omnisila.predictions.analyses import parse_analysis
from omnisila.report.index import BatchStanding, IndexEntry, render_index

_SHOWN = 100  # videos on the page, the strongest; and failures, the first


class Tally:
    """Counts ends, and remembers the few that the page shows."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.states: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()
        self.video_s = 0.0
        self.work_s = 0.0
        self.failed: list[Failure] = []
        self._best: list[tuple[tuple[float, float], str]] = []

    def add(self, end: End) -> None:
        """An input ended, now or in an earlier run."""
        self.states[end.state] += 1
        self.findings.update(end.findings)
        self.video_s += end.video_s
        self.work_s += end.seconds
        if end.state == "failed":
            if len(self.failed) < _SHOWN:
                self.failed.append(Failure(end.name, end.reason or ""))
            return
        rank = (-1.0 if end.score is None else end.score, end.peak)
        (heapq.heappush if len(self._best) < _SHOWN else heapq.heappushpop)(self._best, (rank, end.name))

    @property
    def ended(self) -> int:
        return self.states.total()

    @property
    def best(self) -> list[str]:
        """Names of the videos to look at first."""
        return [name for _, name in sorted(self._best, reverse=True)]

    def line(self) -> str:
        """The numbers in a line."""
        states = ", ".join(f"{self.states[state]} {state}" for state in ("done", "skipped", "failed"))
        return f"{states}; {self.video_s / 3600:.1f} h of video, {self.findings.total()} findings"


class Summary:
    """The page of a batch, ``index.html`` beside the results; the videos it shows are read once."""

    def __init__(self, storage: Storage, pages: bool) -> None:
        self._storage, self._pages = storage, pages
        self._entries: dict[str, IndexEntry] = {}

    def write(self, tally: Tally, pace: str, is_running: bool) -> None:
        """Write the page as things stand.

        Raises:
            OutputError: it cannot be written.
        """
        best = tally.best
        self._entries = {name: self._entries.get(name) or self._entry(name) for name in best}
        failed = [IndexEntry(name=failure.name, failure=failure.reason) for failure in tally.failed]
        standing = BatchStanding(
            total=tally.total,
            done=tally.states["done"],
            skipped=tally.states["skipped"],
            failed=tally.states["failed"],
            findings=tuple(tally.findings.most_common()),
            video_s=tally.video_s,
            pace=pace,
            utc=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            is_running=is_running,
        )
        self._storage.put(INDEX, render_index([*self._entries.values(), *failed], standing).encode())

    def _entry(self, name: str) -> IndexEntry:
        try:
            analysis = parse_analysis((self._storage.read(output_name(name, "json")) or b"").decode())
        except (OmnisilaError, UnicodeDecodeError) as error:  # another program's doing, since it was written
            return IndexEntry(name=name, failure=str(error))
        return IndexEntry.of(analysis, name, quote(output_name(name, "html" if self._pages else "json")))
