"""Work on footage in a process of its own, which can be killed: a hostile file brings down nothing else.

Such a process is forked from one that has loaded the libraries and never sees a file: it starts within a second, and
nothing that one video did to it reaches the next.
"""

import multiprocessing
import os
import resource
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

from omnisila.errors import MediaError, OmnisilaError

# once, for all children: importing them takes seconds
_LOADED = ("omnisila.inference.load", "omnisila.inference.chat", "omnisila.report.faces", "omnisila.media.clips")
_DONE, _FAILED = b"+", b"-"
_MAX_BYTES = 2**30  # of an answer
_MAX_WORDS = 1000  # characters that reach the page
_FORKS = multiprocessing.get_context("forkserver")


class Child:
    """A process that runs ``main(arguments)`` of a module of this package, which gives its answer as bytes.

    Args:
        arguments: of ``main``; the first is the path of the video.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of all that are forked
        _FORKS.set_forkserver_preload(list(_LOADED))
        self._answers, answers = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_work, args=(module, list(arguments), answers), daemon=True)
        self._process.start()
        answers.close()
        self._is_late = False

    def answer(self, timeout_s: float, advice: str) -> bytes:
        """Wait for what ``main`` gives.

        Args:
            timeout_s: then the process is killed.
            advice: what to do about that.

        Raises:
            MediaError: it failed, was killed or took too long; the message says why.
        """
        timer = Timer(timeout_s, self._expire)
        timer.start()
        try:
            said = self._answers.recv_bytes(_MAX_BYTES)  # bytes: an object could run code when it is read
        except (EOFError, OSError):
            said = b""
        finally:
            timer.cancel()
            self._answers.close()
            self._process.join(timeout=1.0)
            self.kill()
            self._process.join()
        if self._is_late:
            raise MediaError(f"not done within {timeout_s:g} s. {advice}")
        if said[:1] != _DONE:
            words = said[1:].decode(errors="replace")[:_MAX_WORDS]
            status = self._process.exitcode
            raise MediaError(words or f"the process that read the video ended with {status}, as when memory runs out.")
        return said[1:]

    def kill(self) -> None:
        self._process.kill()

    def _expire(self) -> None:
        self._is_late = True
        self.kill()


def limit(memory_bytes: int, file_bytes: int, cpu_s: float) -> None:
    """Bound this process from now on: addresses, the size of files that it writes, processor time; no core dump."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 1))


def _work(module: str, arguments: list[str], answers: Connection) -> None:
    os.setsid()  # Ctrl-C in the terminal is for the server
    nowhere = os.open(os.devnull, os.O_RDWR)  # what libraries print is for nobody
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    name = Path(arguments[0]).name
    try:
        said = _DONE + import_module(module).main(arguments)
    except OmnisilaError as error:
        said = _FAILED + " ".join(str(error).split()).encode()
    except MemoryError:
        said = _FAILED + f"{name}: its pictures need more memory than they may take here.".encode()
    except Exception as error:
        fault = f"{name}: {type(error).__name__}: {error}. This is a fault of omnisila; please report it."
        said = _FAILED + fault.encode(errors="replace")
    answers.send_bytes(said)
