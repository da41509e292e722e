"""Work on footage in a process of its own, which can be killed: a hostile file brings down nothing else."""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence

from omnisila.errors import MediaError

_CODE = "import sys; from importlib import import_module; import_module(sys.argv[1]).main(sys.argv[2:])"


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """What runs ``main(arguments)`` of a module of this package."""
    return [sys.executable, "-c", _CODE, module, *arguments]


def environment() -> dict[str, str]:
    """One thread, and the same packages as here."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def answer(module: str, arguments: Sequence[str], timeout_s: float) -> bytes:
    """What a module's ``main`` writes to standard output.

    Raises:
        MediaError: it ended with an error, or was killed because it took too long; the message is its last line.
    """
    try:
        done = subprocess.run(
            command(module, arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        raise MediaError(f"not done within {timeout_s:g} s. Give a shorter video, or convert it to H.264.") from None
    if done.returncode:
        raise MediaError(failure(done.stderr, done.returncode))
    return done.stdout


def failure(said: bytes, status: int) -> str:
    """Why a process ended, in one line."""
    words = said.decode(errors="replace").strip().split("\n")[-1][:1000]
    return words or f"the process that read the video ended with status {status}, as when memory runs out."


def limit(memory_bytes: int, file_bytes: int, cpu_s: int | None = None) -> None:
    """Bound this process from now on: addresses, the size of files that it writes, processor time; no core dump."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
