"""A process for one video: its answer, its failure in a line, and its end by force."""

import os
import signal
import time
from pathlib import Path

import pytest

from omnisila.errors import InputError, MediaError
from omnisila.serve.processes import Child, limit

MODULE = __name__
MEBIBYTE = 2**20


def main(arguments: list[str]) -> bytes:
    """What the process does."""
    _, task = arguments
    match task:
        case "answer":
            print("what libraries print is no answer")
            return b"\0an answer"
        case "refuse":
            raise InputError("clip.mp4:\nno video. Give one.")
        case "fault":
            raise KeyError("x")
        case "memory":
            limit(4096 * MEBIBYTE, MEBIBYTE, 60)
            return bytes(8192 * MEBIBYTE)[:1]
        case "write":
            limit(64 * 1024 * MEBIBYTE, MEBIBYTE, 60)
            Path(arguments[0]).write_bytes(bytes(2 * MEBIBYTE))
        case "compute":
            limit(64 * 1024 * MEBIBYTE, MEBIBYTE, 0)
            while True:
                pass
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(600)
    return b""


def test_an_answer_comes_back() -> None:
    assert Child(MODULE, ("clip.mp4", "answer")).answer(60, "") == b"\0an answer"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("refuse", "^clip.mp4: no video. Give one.$"),
        ("fault", "clip.mp4: KeyError: 'x'. This is a fault of omnisila"),
        ("memory", "more memory than they may take"),
        ("write", "File too large"),
        ("compute", "ended with -9"),
        ("killed", "ended with -9"),
    ],
)
def test_a_failure_is_one_line(tmp_path: Path, task: str, said: str) -> None:
    name = str(tmp_path / "out") if task == "write" else "clip.mp4"
    with pytest.raises(MediaError, match=said) as failure:
        Child(MODULE, (name, task)).answer(60, "")
    assert "\n" not in str(failure.value)


def test_it_is_killed_when_its_time_is_up() -> None:
    with pytest.raises(MediaError, match=r"not done within 0.5 s. Cut it."):
        Child(MODULE, ("clip.mp4", "sleep")).answer(0.5, "Cut it.")
