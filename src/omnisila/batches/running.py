"""A batch from its inputs to a ledger that holds an end for each of them."""

import time
from collections.abc import Callable, Collection, Iterable
from functools import cached_property

from omnisila.batches.engines import Engine, Start
from omnisila.batches.ledger import End, Ledger
from omnisila.batches.listing import Source
from omnisila.batches.storage import Storage
from omnisila.batches.summary import Summary, Tally
from omnisila.batches.work import end_of, output_name
from omnisila.errors import OutputError
from omnisila.files import path_text
from omnisila.inference.batch import STATE_FOLDER
from omnisila.pace import Pace
from omnisila.report.exports import PAGE

_PAGE_S = 30.0


def run_batch(
    sources: Iterable[Source],
    storage: Storage,
    engine: Engine,
    start: Start,
    given: tuple[object, ...],
    *,
    tell: Callable[[str], None],
    retry_failed: bool = False,
    suffixes: Collection[str] = ("json",),
) -> Tally:
    """Bring every input to its end; what an earlier run ended is not done again.

    Args:
        start: see ``Engine.ends``, as ``given``.
        retry_failed: inputs that failed before are tried again.
        suffixes: of each input's outputs; one whose outputs are gone is done again.

    Raises:
        OutputError: results cannot be written; what is finished stays.
        OmnisilaError: the processes cannot begin.
    """
    waiting = {source.key: source for source in sources}
    addresses = {path_text(source.address) for source in waiting.values()}
    tally, ledger, summary = Tally(len(waiting)), Ledger(storage), Summary(storage, PAGE in suffixes)
    results, lost = _Results(storage, suffixes), 0
    for key, end in ledger.ends():
        if key not in waiting:
            if end.address in addresses:  # it was changed since
                ledger.forget(key)
            continue  # else of an input that is not asked for now
        if end.state == "failed" and retry_failed:
            ledger.forget(key)
            continue
        if end.state != "failed" and not results.are_there(end):
            ledger.forget(key)
            lost += 1
            continue
        tally.add(end)
        del waiting[key]
    if lost:
        tell(f"{lost} ended before, but results of theirs are gone from {storage.address}: they are written again")
    if tally.ended:
        tell(f"going on: {tally.ended} of {tally.total} have ended before ({tally.line()})")
    pace, paged_s = Pace(tally.total), float("-inf")
    words = pace.report(tally.ended)
    left = {path_text(source.address): source for source in waiting.values()}
    for end in engine.ends(start, given, list(waiting.values())) if waiting else ():
        left.pop(end.address, None)
        tally.add(end)
        if pace.due(tally.ended):
            words = pace.report(tally.ended)
            tell(f"{words}; {tally.line()}")
        if time.monotonic() - paged_s > _PAGE_S:
            paged_s = time.monotonic()
            try:
                summary.write(tally, words, is_running=True)
            except OutputError as error:
                tell(str(error))
    for source in left.values():
        reason = f"{source.address}: given up: its worker was lost again and again. Run with --retry-failed."
        tally.add(ledger.put(source, end_of(ledger.named(source), "failed", reason=reason)))
    ledger.write_whole()
    summary.write(tally, pace.report(tally.ended), is_running=False)
    return tally


class _Results:
    """The outputs that there are, listed once, and only where an earlier run has ended something."""

    def __init__(self, storage: Storage, suffixes: Collection[str]) -> None:
        self._storage, self._suffixes = storage, suffixes

    def are_there(self, end: End) -> bool:
        """Whether an input still has all its outputs."""
        return all(output_name(end.name, suffix) in self._names for suffix in self._suffixes)

    @cached_property
    def _names(self) -> frozenset[str]:
        return self._storage.names(besides=STATE_FOLDER)
