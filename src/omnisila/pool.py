"""Jobs that do not depend on each other, in processes of one thread each that end when the caller does.

An interrupt ends the processes within ``GRACE_S``; one that is killed from outside is told with the job it had.
"""

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import torch

from omnisila.errors import OmnisilaError

GRACE_S = 0.5  # for a process to remove the file that it is writing; then it is killed

Job = TypeVar("Job")
Result = TypeVar("Result")


class _Failure(NamedTuple):
    """An error of a job: its own where a person can act on it, else the process's traceback."""

    error: OmnisilaError | None
    trace: str


class Pool(Generic[Job, Result]):
    """Processes that each prepare once and then do one job after another; to be used with ``with``.

    Args:
        start: called once in each process; gives the function that does a job. It, its arguments, jobs and results are
            pickled.
        given: its arguments.
        workers: processes; no more are started than there are jobs.
        name: what a job is called in an error.
    """

    def __init__(
        self,
        start: Callable[..., Callable[[Job], Result]],
        given: tuple[object, ...],
        workers: int,
        name: Callable[[Job], str] = str,
    ) -> None:
        self._start, self._given, self._workers, self._name = start, given, workers, name
        self._processes: dict[Connection, BaseProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        until_s = time.monotonic() + GRACE_S
        for pipe, process in self._processes.items():
            process.join(max(until_s - time.monotonic(), 0.0))
            process.kill()
            process.join()
            pipe.close()
        self._processes.clear()

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        """Each job's number with what it gave, as they finish.

        Raises:
            OmnisilaError: a job raised it, or its process was killed from outside.
            RuntimeError: a job raised anything else; the text is its traceback.
        """
        waiting = iter(enumerate(jobs))
        busy: dict[Connection, int] = {}
        idle = [self._start_worker() for _ in range(min(self._workers, len(jobs)))]
        while idle or busy:
            for pipe, (number, job) in zip(idle, waiting, strict=False):
                busy[pipe] = number
                with suppress(ConnectionError):  # a process that was killed is told when its answer is read
                    pipe.send(job)
            idle = [pipe for pipe in wait(list(busy)) if isinstance(pipe, Connection)] if busy else []
            for pipe in idle:
                number = busy.pop(pipe)
                yield number, self._receive_result(pipe, jobs[number])

    def _start_worker(self) -> Connection:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=_serve, args=(theirs, self._start, self._given), daemon=True)
        resource_tracker.ensure_running()  # its first start would lift the block
        # Ctrl-C reaches every process of a terminal: those of the pool inherit that it is blocked, and are ended by us
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._processes[ours] = process
        return ours

    def _receive_result(self, pipe: Connection, job: Job) -> Result:
        try:
            result = pipe.recv()
        except (EOFError, ConnectionError):
            process = self._processes[pipe]
            process.join()
            raise OmnisilaError(
                f"{self._name(job)}: the process at work on it was killed ({_ending(process.exitcode)}), as happens "
                "when memory runs out. Run again with fewer workers; what is finished is kept."
            ) from None
        if isinstance(result, _Failure):
            raise result.error or RuntimeError(f"{self._name(job)}: {result.trace}")
        return result


def _serve(pipe: Connection, start: Callable[..., Callable[[Job], Result]], given: tuple[object, ...]) -> None:
    """A process's life: it ends when the pool closes, or with the caller, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds, so that files written aside are removed
    torch.set_num_threads(1)
    with suppress(KeyboardInterrupt, EOFError, ConnectionError):
        work: Callable[[Job], Result] | None = None
        while True:
            job = pipe.recv()
            try:
                work = work or start(*given)
                result: object = work(job)
            except Exception as error:
                result = _Failure(error if isinstance(error, OmnisilaError) else None, traceback.format_exc())
            pipe.send(result)


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
