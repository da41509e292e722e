"""Processes of a pool: all jobs done, one that is killed told with its job, and none left after an interrupt."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnisila.errors import InputError, OmnisilaError
from omnisila.pool import Lost, Pool, run_ahead


def start(folder: Path) -> Callable[[str], str]:
    (folder / f"{os.getpid()}.pid").touch()

    def work(job: str) -> str:
        if job == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "wrong":
            raise InputError("wrong.mp4: no video. Give another.")
        if job == "fault":
            raise ZeroDivisionError
        if job == "long":
            time.sleep(600)
        if job == "dies once" and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "place":
            return os.environ["PLACE"]
        return job.upper()

    return work


def test_jobs_are_done_in_several_processes(tmp_path: Path) -> None:
    jobs = [chr(ord("a") + number) for number in range(12)]
    with Pool(start, (tmp_path,), 2) as pool:
        found = dict(pool.results(jobs))
    assert [found[number] for number in range(12)] == [job.upper() for job in jobs]
    assert 1 <= len(list(tmp_path.glob("*.pid"))) <= 2
    with Pool(start, (tmp_path,), 2) as pool:
        assert list(pool.results([])) == []


@pytest.mark.parametrize(
    ("job", "error", "said"),
    [
        ("die", OmnisilaError, r"clip die: the process at work on it was killed \(SIGKILL\).*fewer workers"),
        ("wrong", InputError, r"wrong\.mp4: no video"),
        ("fault", RuntimeError, "clip fault: .*ZeroDivisionError"),
    ],
)
def test_a_job_that_fails_is_named(tmp_path: Path, job: str, error: type[Exception], said: str) -> None:
    with Pool(start, (tmp_path,), 1, name="clip {}".format) as pool, pytest.raises(error, match=f"(?s){said}"):
        list(pool.results(["a", job]))


def test_a_job_that_ends_its_process_costs_the_others_nothing(tmp_path: Path) -> None:
    jobs = ["a", "die", "long", "dies once", "b", "c", "place"]
    with Pool(start, (tmp_path,), 2, environments=[{"PLACE": "0"}, {"PLACE": "1"}]) as pool:
        found = dict(pool.outcomes(iter(jobs), tries=3, limit_s=2.0))
        assert dict(pool.outcomes(["again"])) == {0: "AGAIN"}, "by a process that is there"
    assert found == {
        0: "A", 1: Lost("SIGKILL", 3), 2: Lost("no end after 2 s", 3), 3: "DIES ONCE", 4: "B", 5: "C", 6: found[6],
    }  # fmt: skip
    assert found[6] in ("0", "1")


def dies_at_once() -> Callable[[str], str]:
    os._exit(3)


def test_a_process_that_never_gets_ready_is_not_the_jobs_fault() -> None:
    with Pool(dies_at_once, (), 1) as pool, pytest.raises(OmnisilaError, match=r"got ready \(exit status 3\)"):
        list(pool.outcomes(["a", "b"], tries=3))


SCRIPT = """
import signal, sys
from pathlib import Path
from tests.unit.test_pool import start
from omnisila.pool import Pool

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Pool(start, (Path(sys.argv[1]),), 2) as pool:
        for _ in pool.results(["long"] * 50):
            pass
"""


def test_a_process_whose_answer_is_there_is_not_late(tmp_path: Path) -> None:
    with Pool(start, (tmp_path,), 2) as pool:
        for _, outcome in pool.outcomes("abcdef", limit_s=1):
            assert not isinstance(outcome, Lost)
            time.sleep(1.5)  # the caller's own work
    assert len(list(tmp_path.glob("*.pid"))) == 2


@pytest.mark.parametrize(("sent", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_no_process_outlives_an_interrupt(tmp_path: Path, sent: signal.Signals, to_group: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "pids"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    with subprocess.Popen(
        [sys.executable, script, folder], stderr=subprocess.PIPE, env=environment, start_new_session=True
    ) as caller:
        until_s = time.monotonic() + 60
        while len(list(folder.glob("*.pid"))) < 2 and time.monotonic() < until_s:
            time.sleep(0.05)
        workers = [int(path.stem) for path in folder.glob("*.pid")]
        assert len(workers) == 2
        (os.killpg if to_group else os.kill)(caller.pid, sent)
        try:
            _, told = caller.communicate(timeout=10)
        finally:
            caller.kill()
    assert not any(_lives(worker) for worker in workers)
    assert told.decode().count("Traceback") == 1  # the caller's own


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_item_is_made_while_the_one_before_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    ahead = run_ahead(items())
    assert next(ahead) == 0
    assert begun[1].wait(60)  # without being asked for
    assert list(ahead) == [1, 2]


def test_what_items_raise_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("a.mp4: damaged. Give another.")

    ahead = run_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(InputError, match="damaged"):
        next(ahead)


def test_leaving_early_leaves_no_thread() -> None:
    ahead = run_ahead(iter(range(5)))
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_several_items_ahead_stay_in_order() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    ahead = run_ahead(items(), 2)
    assert next(ahead) == 0
    assert begun[2].wait(60)
    assert not begun[3].is_set()
    assert list(ahead) == [1, 2, 3]
