"""Work beside work: one step ahead in a thread, and jobs that do not depend on each other in processes.

The processes have one thread each and end when the caller does. An interrupt ends them within ``GRACE_S``; one that is
killed from outside is told with the job it had.
"""

import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

import torch

from omnisila.errors import OmnisilaError

GRACE_S = 0.5  # for a process to remove the file that it is writing; then it is killed

_LOOK_S = 1.0  # how often processes are asked whether a job takes too long
Job = TypeVar("Job")
Result = TypeVar("Result")


def run_ahead(items: Iterator[Result], ahead: int = 1) -> Iterator[Result]:
    """The same items, made by a thread while those before are used. What the items raise comes out here.

    Args:
        ahead: how many are made before they are asked for.
    """
    ended: Any = object()
    with ThreadPoolExecutor(1, "ahead") as executor:
        coming = deque(executor.submit(next, items, ended) for _ in range(ahead))
        while (item := coming.popleft().result()) is not ended:
            coming.append(executor.submit(next, items, ended))
            yield item


class _Failure(NamedTuple):
    """An error of a job: its own where a person can act on it, else the process's traceback."""

    error: OmnisilaError | None
    trace: str


class _Ready:
    """What a process says before its first job."""


class Lost(NamedTuple):
    """A job whose process ended under it, as often as it was tried, and how."""

    ending: str
    tries: int


class _Task(NamedTuple):
    number: int
    job: Any
    tries: int = 1


class _Running(NamedTuple):
    """What a process is at, and since when; None while it still prepares."""

    task: _Task
    since_s: float | None


class Pool(Generic[Job, Result]):
    """Processes that each prepare once and then do one job after another; to be used with ``with``.

    Args:
        start: called once in each process; gives the function that does a job. It, its arguments, jobs and results are
            pickled.
        workers: processes; no more are started than there are jobs.
        environments: variables of the first process, the second and so on; a process that replaces one has its own.
    """

    def __init__(
        self,
        start: Callable[..., Callable[[Job], Result]],
        given: tuple[object, ...],
        workers: int,
        name: Callable[[Job], str] = str,
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self._start, self._given, self._workers, self._name = start, given, workers, name
        self._places = [dict(environments[number]) if environments else {} for number in range(workers)]
        self._taken: dict[Connection, dict[str, str]] = {}
        self._processes: dict[Connection, BaseProcess] = {}
        self._idle: list[Connection] = []
        self._preparing: set[Connection] = set()
        self._unready = 0  # processes in a row that ended before they were
        self._late: dict[Connection, str] = {}

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
        for number, outcome in self.outcomes(jobs):
            if isinstance(outcome, Lost):
                raise OmnisilaError(
                    f"{self._name(jobs[number])}: the process at work on it was killed ({outcome.ending}), as happens "
                    "when memory runs out. Run again with fewer workers; what is finished is kept."
                )
            yield number, outcome

    def outcomes(
        self, jobs: Iterable[Job], tries: int = 1, limit_s: float = float("inf")
    ) -> Iterator[tuple[int, Result | Lost]]:
        """As ``results``, but a job that ends its process costs the others nothing: a new process takes its place.

        Args:
            tries: how often a job is begun at most before it counts as lost; and how many processes in a row may end
                before they are ready for any.
            limit_s: a process that is at a job for longer is killed.

        Raises:
            OmnisilaError: a job raised it, or processes end before they are ready.
            RuntimeError: a job raised anything else; the text is its traceback.
        """
        waiting = (_Task(number, job) for number, job in enumerate(jobs))
        again: deque[_Task] = deque()
        busy: dict[Connection, _Running] = {}
        while True:
            while len(busy) < self._workers and (task := again.popleft() if again else next(waiting, None)):
                pipe = self._idle.pop() if self._idle else self._start_worker()
                busy[pipe] = _Running(task, None if pipe in self._preparing else time.monotonic())
                with suppress(ConnectionError):  # a process that was killed is told when its answer is read
                    pipe.send(task.job)
            if not busy:
                return
            ended = wait(list(busy), None if limit_s == float("inf") else _LOOK_S)
            self._kill_late({pipe: busy[pipe] for pipe in busy.keys() - {*ended}}, limit_s)
            for pipe in ended:
                assert isinstance(pipe, Connection)
                task = busy[pipe].task
                try:
                    answer = pipe.recv()
                except (EOFError, ConnectionError):
                    del busy[pipe]
                    was_ready = pipe not in self._preparing
                    ending = self._bury(pipe, task, tries)
                    if not was_ready:
                        again.append(task)
                    elif task.tries < tries:
                        again.append(task._replace(tries=task.tries + 1))
                    else:
                        yield task.number, Lost(ending, task.tries)
                    continue
                if isinstance(answer, _Ready):
                    self._preparing.discard(pipe)
                    self._unready = 0
                    busy[pipe] = _Running(task, time.monotonic())
                    continue
                del busy[pipe]
                self._idle.append(pipe)
                if isinstance(answer, _Failure):
                    raise answer.error or RuntimeError(f"{self._name(task.job)}: {answer.trace}")
                yield task.number, answer

    def _start_worker(self) -> Connection:
        ours, theirs = get_context("spawn").Pipe()
        environment = self._places.pop(0)
        process = get_context("spawn").Process(
            target=_serve, args=(theirs, self._start, self._given, environment), daemon=True
        )
        resource_tracker.ensure_running()  # its first start would lift the block
        # Ctrl-C reaches every process of a terminal: those of the pool inherit that it is blocked, and are ended by us
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._processes[ours], self._taken[ours] = process, environment
        self._preparing.add(ours)
        return ours

    def _kill_late(self, busy: Mapping[Connection, _Running], limit_s: float) -> None:
        now_s = time.monotonic()
        for pipe, running in busy.items():
            if running.since_s is not None and now_s - running.since_s > limit_s:
                self._late[pipe] = f"no end after {limit_s:g} s"
                self._processes[pipe].kill()

    def _bury(self, pipe: Connection, task: _Task, tries: int) -> str:
        """Make room for another process in the place of one that ended; how it did.

        Raises:
            OmnisilaError: so many in a row ended before they were ready for any job; others would likewise.
        """
        process = self._processes.pop(pipe)
        process.join()
        pipe.close()
        self._places.append(self._taken.pop(pipe))
        ending = self._late.pop(pipe, _ending(process.exitcode))
        if pipe in self._preparing:
            self._preparing.discard(pipe)
            self._unready += 1
        if self._unready >= tries:
            raise OmnisilaError(
                f"{self._name(task.job)}: the process that should work on it was killed while it got ready "
                f"({ending}), as happens when memory runs out. Run again with fewer workers; what is finished is kept."
            )
        return ending


def _serve(
    pipe: Connection,
    start: Callable[..., Callable[[Job], Result]],
    given: tuple[object, ...],
    environment: Mapping[str, str],
) -> None:
    """A process's life: it ends when the pool closes, or with the caller, however that ended."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds, so that files written aside are removed
    torch.set_num_threads(1)
    with suppress(KeyboardInterrupt, EOFError, ConnectionError):
        work: Callable[[Job], Result] | None = None
        while True:
            job = pipe.recv()
            try:
                if work is None:
                    work = start(*given)
                    pipe.send(_Ready())
                result: object = work(job)
            except Exception as error:
                result = _Failure(error if isinstance(error, OmnisilaError) else None, traceback.format_exc())
            pipe.send(result)


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
