"""Who does the work: processes of this machine, or Ray Data on one machine or many. Only paths and ends travel.

Both give every input to a child process that holds the model, so that a video which ends a process costs no other: it
is tried again in a new one, and set aside after a few times.
"""

import json
import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from omnisila.batches.ledger import End, Ledger
from omnisila.batches.listing import Source
from omnisila.batches.storage import Storage
from omnisila.batches.work import end_of
from omnisila.errors import InputError, OmnisilaError, needing
from omnisila.pool import Lost, Pool

_GPUS = "CUDA_VISIBLE_DEVICES"
_ROWS = 1000  # inputs that travel to the cluster together; then each is a block of its own
_ACTOR_TRIES = 2  # what a node that is lost may cost an input, beside the child's own tries
Start = Callable[..., Callable[[Source], End]]


class Limits(NamedTuple):
    """How work is shared out.

    Attributes:
        workers: processes at a time; None: one a GPU, or one a core where there is none. With Ray one core is kept
            for the tasks that hand inputs on: without, a run would wait for ever.
        gpus: so many are used, each by ``workers / gpus`` processes.
        tries: how often an input may end its process.
        limit_s: a process that is at one input for longer is killed.
    """

    workers: int | None = None
    gpus: int = 0
    tries: int = 3
    limit_s: float = float("inf")


@runtime_checkable
class Engine(Protocol):
    """What gives each input to a process."""

    def ends(self, start: Start, given: tuple[object, ...], sources: Sequence[Source]) -> Iterator[End]:
        """Ends as they come; those of inputs that an engine gave up may be missing.

        Args:
            start: called once in each process; gives what brings an input to its end.
        """
        ...


class ProcessPool:
    """Processes of this machine."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage, self._limits = storage, limits

    def ends(self, start: Start, given: tuple[object, ...], sources: Sequence[Source]) -> Iterator[End]:
        limits = self._limits
        workers = limits.workers or limits.gpus or os.cpu_count() or 1
        with Pool(start, given, workers, _name, _environments(workers, limits.gpus)) as pool:
            yield from _supervise(pool, self._storage, sources, limits)


class RayData:
    """Ray Data: on this machine, or on the cluster at an address.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, storage: Storage, limits: Limits, address: str | None = None) -> None:
        with needing("ray[data]", "this engine", "batch"):
            import ray.data  # noqa: F401
        self._storage, self._limits, self._address = storage, limits, address

    def ends(self, start: Start, given: tuple[object, ...], sources: Sequence[Source]) -> Iterator[End]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        limits = self._limits
        if not ray.is_initialized():
            more: dict[str, Any] = {} if self._address else {"include_dashboard": False}
            try:
                ray.init(address=self._address, log_to_driver=False, **more)
            except (ConnectionError, ValueError, RuntimeError) as error:
                where = self._address or "this machine"
                raise InputError(
                    f"{where}: Ray does not answer ({error}). Check --address, or --engine pool."
                ) from None
        context = DataContext.get_current()
        context.max_errored_blocks = -1  # an input whose node was lost again and again must not end the others
        context.enable_progress_bars = False
        spare = int(ray.cluster_resources().get("CPU", 1.0)) - 1
        workers = max(min(limits.workers or limits.gpus or spare, spare, len(sources)), 1)
        rows = [{"source": json.dumps(source)} for source in sources]  # names need not be UTF-8, Arrow's texts must
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of the argument for retries
            ends = (
                ray.data.from_items(rows, override_num_blocks=-(-len(rows) // _ROWS))
                .repartition(target_num_rows_per_block=1)
                .map_batches(
                    _Actor,
                    fn_constructor_args=(start, given, self._storage, limits),
                    batch_size=1,
                    compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
                    num_cpus=min(spare, 1),
                    # whole shares: an actor must fit on one GPU
                    num_gpus=math.floor(1e4 / -(-workers // limits.gpus)) / 1e4 if limits.gpus else None,
                    ray_remote_args_fn=_finite_tries,
                )
            )
        for row in ends.iter_rows():
            if row["error"]:
                raise pickle.loads(row["error"])
            yield End.model_validate_json(str(row["end"]))


def _finite_tries() -> dict[str, Any]:
    """For the actors; by default an input that costs them their node would do so without end."""
    return {"max_task_retries": _ACTOR_TRIES}


class _Actor:
    """An actor of Ray with its child process; the actor itself never decodes anything."""

    def __init__(self, start: Start, given: tuple[object, ...], storage: Storage, limits: Limits) -> None:
        environment = {_GPUS: os.environ.get(_GPUS, "") if limits.gpus else ""}  # Ray has set it for this actor
        self._pool: Pool[Source, End] = Pool(start, given, 1, _name, [environment])
        self._storage, self._limits = storage, limits

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str] | list[bytes]]:
        """The end of the one input; or an error that is no input's, which Ray would take for the loss of the node."""
        sources = [Source(*json.loads(str(row))) for row in batch["source"]]
        try:
            ends = list(_supervise(self._pool, self._storage, sources, self._limits))
        except (OmnisilaError, RuntimeError) as error:
            return {"end": [""], "error": [pickle.dumps(error)]}
        return {"end": [end.model_dump_json() for end in ends], "error": [b""] * len(ends)}


def _supervise(pool: Pool[Source, End], storage: Storage, sources: Sequence[Source], limits: Limits) -> Iterator[End]:
    """Ends from a pool; an input that ended its process too often has that as its end."""
    for number, outcome in pool.outcomes(sources, limits.tries, limits.limit_s):
        if not isinstance(outcome, Lost):
            yield outcome
            continue
        source = sources[number]
        reason = (
            f"{source.address}: set aside after {outcome.tries} tries, each of which ended its process "
            f"({outcome.ending}), as a damaged file does or one too large for the memory. Look at it alone with "
            "omnisila analyze, then run again with --retry-failed."
        )
        ledger = Ledger(storage)
        yield ledger.put(source, end_of(ledger.named(source), "failed", reason=reason))


def _environments(workers: int, gpus: int) -> list[dict[str, str]]:
    """Which GPU each process sees: as many as are asked for, of those that this process sees itself."""
    seen = [name for name in os.environ.get(_GPUS, "").split(",") if name] or [str(number) for number in range(gpus)]
    return [{_GPUS: seen[number % gpus % len(seen)] if gpus else ""} for number in range(workers)]


def _name(source: Source) -> str:
    return source.address
