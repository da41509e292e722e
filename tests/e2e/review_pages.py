"""A review server in a process of its own, and the browser that its page is looked at in."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import pytest
from playwright.sync_api import Browser, Error, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_S = 60.0


def launch(playwright: Playwright) -> Browser:
    """The system's Chromium, else Playwright's own; the test is skipped where there is neither."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    try:
        return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
    except Error as error:
        pytest.skip(f"no browser to look at the page with: {str(error).splitlines()[0]}")


class Server:
    """``omnisila serve`` of a folder, at a port that stays the same when it is started again."""

    def __init__(self, reports: Path, *options: str, port: int = 0) -> None:
        self.reports, self.options, self.port = reports, options, port
        self.tokens: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "omnisila",
            "serve",
            str(self.reports),
            "--port",
            str(self.port),
            *self.options,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert "review at" in said, said
        self.port = int(said.rpartition(":")[2].partition("/")[0])
        if "--user" in self.options:
            self.process.stdout.readline()
            for _ in range(self.options.count("--user")):
                name, _, link = self.process.stdout.readline().strip().partition(" ")
                self.tokens[name] = link.partition("token=")[2]
        token = next(iter(self.tokens.values()), "")
        asked = urllib.request.Request(f"{self.address}api/status", headers={"Authorization": f"Bearer {token}"})
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s:
            progress = json.loads(urllib.request.urlopen(asked).read())["progress"]
            if progress["reports"] and not progress["running"]:
                return
            time.sleep(0.1)
        raise AssertionError(f"the library was not read within {_START_S:g} s")

    def end(self, with_signal: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(with_signal)
            self.process.wait(30)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


def exported(reports: Path, *options: str) -> list[dict[str, object]]:
    """What ``omnisila decisions export`` writes."""
    out = reports.parent / "decisions.jsonl"
    command = [sys.executable, "-m", "omnisila", "decisions", "export", str(reports), "--out", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return [json.loads(line) for line in out.read_text().splitlines()]
