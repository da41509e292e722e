"""What tests of processes, threads and servers wait for."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(what: Callable[[], Any], for_s: float = 120.0) -> Any:
    """The first true value that ``what`` gives."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")
