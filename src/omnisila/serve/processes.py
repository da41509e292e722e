"""Work on footage in a process of its own, which can be killed: a hostile file brings down nothing else.

Such a process is forked from one that has loaded the libraries and never sees a file: it starts within a second, and
nothing that one video did to it reaches the next. It may put no bytes into files: what it wants kept, it sends to the
server, which writes features of that video and nothing else.
"""

import multiprocessing
import os
import re
import resource
import tempfile
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

from omnisila.digests import content_digest
from omnisila.errors import MediaError, OmnisilaError, OutputError
from omnisila.files import Write, cache_root, path_text, write_atomically

# once, for all children: importing them takes seconds
_LOADED = (
    "omnisila.inference.load", "omnisila.inference.reacting", "omnisila.inference.chat", "omnisila.report.faces",
    "omnisila.media.clips",
)  # fmt: skip
_DONE, _FAILED, _FILE = b"+", b"-", b"="
_MAX_BYTES = 2**28  # of an answer, and of a file: five minutes' features are 13 MB
_MAX_KEPT_BYTES = 8 * 2**30  # of all files of a process
_MAX_WORDS = 1000  # characters that reach the page
_FORKS = multiprocessing.get_context("forkserver")


class FeatureWriter:
    """Writes features of a video where all features are kept; its own alone, so that no video can speak for another.

    Raises:
        MediaError: the video cannot be read.
    """

    def __init__(self, video: Path) -> None:
        try:
            content = content_digest(video)
        except OSError as error:
            raise MediaError(f"{video.name}: cannot be read ({error.strerror}). Send it again.") from None
        self._name = re.compile(rf"(features|reaction)/{content[:2]}/{content}-[\w-]+(/[\w-]+)?\.(safetensors|json)")
        self._left_bytes = _MAX_KEPT_BYTES

    def __call__(self, path: Path, content: bytes | str) -> None:
        root = cache_root()
        name = path.relative_to(root) if path.is_relative_to(root) else Path()
        if not self._name.fullmatch(name.as_posix()) or _is_led_away(root, name):
            raise OutputError(f"{path}: no features of this video.")
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise OutputError(f"{path}: the features of this video take too much room.")
        write_atomically(path, content)


def _is_led_away(root: Path, name: Path) -> bool:
    """Whether a link stands in a path's way, below the folder of its kind, which may lie on another disk."""
    kind = name.parts[0]
    return (root / name.parent).resolve() != (root / kind).resolve() / name.parent.relative_to(kind)


class Child:
    """A process that runs ``main(arguments, write)`` of a module of this package, which gives its answer as bytes.

    Args:
        arguments: of ``main``; the first is the path of the video.
        write: what its ``write`` does, in this process; by default that fails.
    """

    def __init__(self, module: str, arguments: Sequence[str], write: Write | None = None) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of all that are forked
        _FORKS.set_forkserver_preload(list(_LOADED))
        self._write = write
        self._answers, answers = _FORKS.Pipe()
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
            while said[:1] == _FILE:
                self._answers.send_bytes(self._keep(said[1:]))
                said = self._answers.recv_bytes(_MAX_BYTES)
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

    def _keep(self, file: bytes) -> bytes:
        """Write a file that the process sent: nothing, or why it could not be written."""
        name, _, content = file.partition(b"\0")
        try:
            if self._write is None:
                raise OutputError("this process keeps no files.")
            self._write(Path(os.fsdecode(name)), content)
        except OutputError as error:
            return path_text(str(error)).encode()
        return b""

    def _expire(self) -> None:
        self._is_late = True
        self.kill()


def limit(memory_bytes: int, cpu_s: float) -> None:
    """Bound this process from now on: addresses and processor time; no byte into a file, no core dump."""
    tempfile.gettempdir()  # writes to find it out, which libraries that are imported later would do
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 1))


def _work(module: str, arguments: list[str], answers: Connection) -> None:
    os.setsid()  # Ctrl-C in the terminal is for the server
    nowhere = os.open(os.devnull, os.O_RDWR)  # what libraries print is for nobody
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    name = Path(arguments[0]).name

    def write(path: Path, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        answers.send_bytes(b"%b%b\0%b" % (_FILE, os.fsencode(path), data))
        if why_not := answers.recv_bytes():
            raise OutputError(why_not.decode())

    try:
        said = _DONE + import_module(module).main(arguments, write)
    except OmnisilaError as error:
        said = _FAILED + " ".join(str(error).split()).encode()
    except MemoryError:
        said = _FAILED + f"{name}: its pictures need more memory than they may take here.".encode()
    except Exception as error:
        fault = f"{name}: {type(error).__name__}: {error}. This is a fault of omnisila; please report it."
        said = _FAILED + fault.encode(errors="replace")
    answers.send_bytes(said)
