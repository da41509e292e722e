"""Notices on their way: on the disk before they are sent, gone when the other side has them, never sent after that.

Everything that waits survives a restart. A notice keeps its key, so that one which arrives twice can be told.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from omnisila.digests import digest
from omnisila.errors import OmnisilaError, OutputError
from omnisila.files import write_atomically
from omnisila.pace import Backoff

FAILED = "failed"  # folder of notices that were given up
_IDLE_S = 60.0


class UndeliveredError(Exception):
    """Why a notice did not arrive, without its target's address; ``final`` where sending it again cannot help."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@runtime_checkable
class Target(Protocol):
    """Who is told: ``public`` is its address as anybody may read it."""

    public: str

    def send(self, key: str, body: bytes) -> None:
        """Deliver one notice.

        Raises:
            UndeliveredError: it did not arrive.
        """
        ...


class Outbox:
    """A folder of notices and the thread that sends them, each target's in order.

    Args:
        folder: one file a notice and target.
        targets: who is told.
        report: told in a line when a target fails for the first time in a row, and when a notice is given up.
        retry_s: the first pause after a failure; doubles up to ``retry_max_s``.
        age_s: a notice older than this is given up.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[Target],
        report: Callable[[str], None],
        retry_s: float = 1.0,
        retry_max_s: float = 300.0,
        age_s: float = 86_400.0,
    ) -> None:
        self._folder, self._report = folder, report
        self._targets = {digest(target.public)[:12]: target for target in targets}
        self._retry_s, self._retry_max_s, self._age_s = retry_s, retry_max_s, age_s
        self._backoffs: dict[str, Backoff] = {}  # of targets that fail
        self._due_s: dict[str, float] = {}
        self._stop, self._more = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin to send, first what an earlier run left."""
        self._thread.start()

    def stop(self, timeout_s: float = 0.0) -> None:
        """End; what did not arrive within the time stays for the next run."""
        until_s = time.monotonic() + timeout_s
        while self.waiting and time.monotonic() < until_s and self._thread.is_alive():
            time.sleep(0.05)
        self._stop.set()
        self._more.set()
        self._thread.join(15.0)

    @property
    def waiting(self) -> int:
        """Notices that have not arrived."""
        return len(self._files())

    def put(self, key: str, event: Mapping[str, Any]) -> None:
        """Keep a notice for every target.

        Raises:
            OutputError: the disk does not take it.
        """
        for name in self._targets:
            created_s = time.time()
            content = {"target": name, "key": key, "created_s": created_s, "event": dict(event)}
            path = self._folder / f"{int(created_s * 1e6):020}-{digest(key)[:12]}-{name}.json"
            write_atomically(path, json.dumps(content))
        self._more.set()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._more.clear()
            now_s = time.monotonic()
            for path in self._files():
                if self._stop.is_set():
                    return
                with suppress(OSError, OmnisilaError):  # a disk that fails for once must not end all notices
                    self._try(path, now_s)
            waits = [max(due_s - time.monotonic(), 0.05) for due_s in self._due_s.values() if due_s > now_s]
            self._more.wait(min([*waits, _IDLE_S]))

    def _try(self, path: Path, now_s: float) -> None:
        try:
            content = json.loads(path.read_bytes())
            name, key, created_s, event = (content[field] for field in ("target", "key", "created_s", "event"))
        except (ValueError, KeyError, TypeError):
            self._give_up(path, "is damaged")
            return
        target = self._targets.get(name)
        if target is None or self._due_s.get(name, 0.0) > now_s:
            return  # of a target of another run, or one that is given time
        try:
            target.send(key, json.dumps(event, ensure_ascii=False).encode())
        except UndeliveredError as error:
            if error.final:
                self._give_up(path, f"{target.public}: {error}")
            elif time.time() - created_s > self._age_s:
                self._give_up(path, f"{target.public}: {error}, for too long")
            else:
                if name not in self._backoffs:
                    self._report(f"notices to {target.public} wait: {error}")
                backoff = self._backoffs.setdefault(name, Backoff())
                self._due_s[name] = time.monotonic() + backoff.next_s(self._retry_s, self._retry_max_s)
            return
        self._backoffs.pop(name, None)
        self._due_s.pop(name, None)
        path.unlink(missing_ok=True)

    def _give_up(self, path: Path, reason: str) -> None:
        kept = self._folder / FAILED / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        self._report(f"a notice was given up ({reason}); it is kept as {kept}")


def secret_of(path: Path, given: str | None) -> bytes:
    """What notices are signed with: given, else made once and kept where only this user reads it.

    Raises:
        OutputError: it cannot be kept.
    """
    if given:
        return given.encode()
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32))
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Choose a folder you may write to.") from None
