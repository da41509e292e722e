"""How fast the review server lists findings, how fast it takes decisions, and whether its memory grows.

    python -m benchmarks.serve --findings 100000 --uploads 20 --analyses 500 --out benchmarks/results/serve.json

Analyses are made up, 100 findings each, and read by a server in a process of its own, over the loopback alone. Then one
client after another asks for first pages with each filter, for pages far down, for videos, and decides. Memory is the
server's resident set, read after a warm-up and after as many videos again were opened. With ``--uploads 20 --analyses
500``, so many clients send a still each at once, and then so many stills are analysed one after another.
"""

import argparse
import io
import json
import platform
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fastapi
import numpy as np
import sqlalchemy
from PIL import Image

from benchmarks.keeping import keep_result
from omnisila import __version__
from omnisila.digests import digest
from omnisila.schema import (
    Analysis,
    CurvePoint,
    Evidence,
    ExpertWeightsPoint,
    FaceEvidence,
    Finding,
    ModelIdentity,
    Span,
    VideoIdentity,
)

A_VIDEO = 100  # findings
LABELS = ("Fighting", "Theft", "Fire", "Robbery")
REPEATS = 30
FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "undecided": {"undecided": "true"},
    "label": {"labels": "implicit", "label": "Fire"},
    "folder": {"folder": "camera-3"},
    "score": {"min_score": "0.4", "max_score": "0.6"},
    "warned and undecided": {"warned": "true", "undecided": "true"},
}


def analysis(index: int) -> Analysis:
    """A made-up analysis of 10 minutes, with evidence and curves of the usual size."""
    sha256 = digest(str(index))
    box = {"left_frac": 0.1, "top_frac": 0.1, "right_frac": 0.3, "bottom_frac": 0.5}
    face = FaceEvidence.model_validate({"time_s": 0.0, "box": box, "score": 0.9, "expressions": {"happy": 0.5}})
    findings = tuple(
        Finding(
            span=Span(start_s=6.0 * k, end_s=6.0 * k + 4.0),
            label=LABELS[(index + k) % len(LABELS)],
            labels="implicit",
            score=(index * 7919 + k * 104729) % 100_003 / 100_003,
            cause="A person moving fast; a person with a raised arm.",
            evidence=Evidence(faces=(face,) * 8),
        )
        for k in range(A_VIDEO)
    )
    windows = range(600)
    return Analysis(
        video=VideoIdentity(
            path=f"footage/{index}.mp4", sha256=sha256, duration_s=600.0, rate_hz=25.0, width_px=640, height_px=360,
            decoded_ratio=1.0,
        ),
        labels=("implicit",),
        labels_not_scored=(),
        model=ModelIdentity(name="compact", version="1", digest="0" * 64),
        findings=findings,
        anomaly_curve=tuple(CurvePoint(start_s=k, end_s=k + 1, score=0.3) for k in windows),
        expert_weights=tuple(
            ExpertWeightsPoint.model_validate({"start_s": k, "end_s": k + 1, "face": 0.4, "action": 0.6})
            for k in windows
        ),
        warnings=("time was not decoded",) if index % 10 == 0 else (),
    )  # fmt: skip


def write_reports(folder: Path, findings: int) -> None:
    for index in range(findings // A_VIDEO):
        path = folder / f"camera-{index % 20}" / f"{index}.mp4.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(analysis(index).model_dump_json(), encoding="utf-8")


class Client:
    """Requests to one server, with their times."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, given: dict[str, Any] | None = None) -> Any:
        query = "&".join(f"{name}={value}" for name, value in (given or {}).items())
        with urllib.request.urlopen(f"{self.address}{path}?{query}", timeout=120) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: dict[str, Any]) -> Any:
        content = json.dumps({"request": secrets.token_hex(8), **body}).encode()
        request = urllib.request.Request(f"{self.address}{path}", content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())


def timed(ask: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Milliseconds of a request: median and the slowest."""
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        spent.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(statistics.median(spent), 1), "slowest_ms": round(max(spent), 1)}


def resident_mb(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else float("nan")


def far_down(client: Client, findings: int) -> str:
    """The place after so many findings."""
    after = ""
    for _ in range(findings // 500):
        after = client.get("api/queue", {"limit": 500, **({"after": after} if after else {})})["after"]
    return after


def reading(client: Client) -> tuple[float, dict[str, float] | None]:
    """How long the library is read, and a first page meanwhile."""
    began, first = time.perf_counter(), None
    while True:
        progress = client.get("api/status")["progress"]
        if first is None and progress["waiting"]:
            first = timed(lambda: client.get("api/queue"), 10)
        if progress["reports"] and not progress["running"]:
            return time.perf_counter() - began, first
        time.sleep(0.2)


def measured(client: Client, process: int, findings: int) -> Iterator[tuple[str, Any]]:
    for name, wanted in FILTERS.items():
        yield f"first page, {name}", timed(lambda wanted=wanted: client.get("api/queue", wanted))
    after = far_down(client, findings // 2)
    yield "a page half way down", timed(lambda: client.get("api/queue", {"after": after}))
    listed = client.get("api/queue", {"limit": 500})["findings"]
    names, reports = [one["finding"] for one in listed], list(dict.fromkeys(one["report"] for one in listed))
    turns = iter(range(10**9))

    def decide() -> None:
        verdict = ("accepted", "rejected")[next(turns) // len(names) % 2]
        client.post("api/edits", {"findings": [names[next(turns) % len(names)]], "change": {"verdict": verdict}})

    def show() -> None:
        client.get(f"api/videos/{reports[next(turns) % len(reports)]}")

    yield "a decision, saved", timed(decide, 200)
    yield (
        "500 decisions at once",
        timed(lambda: client.post("api/edits", {"findings": names, "change": {"rating": 1 + next(turns) % 6}}), 5),
    )
    yield "a video of 100 findings", timed(show, 250)
    before = resident_mb(process)
    for _ in range(500):
        show()
    yield "memory_mb", {"after 250 videos": before, "after 750 videos": resident_mb(process)}


def still(index: int) -> bytes:
    """A drawn picture as a multipart body with the border ``border``."""
    seed = np.random.default_rng(index).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(seed).resize((320, 240)).save(content, "PNG")
    head = b'--border\r\nContent-Disposition: form-data; name="file"; filename="still.png"\r\n\r\n'
    return head + content.getvalue() + b"\r\n--border--\r\n"


def analyses(client: Client, process: int, uploads: int, count: int) -> Iterator[tuple[str, Any]]:
    """Uploads at once, then analyses one after another."""

    def send(index: int) -> str:
        kind = {"Content-Type": "multipart/form-data; boundary=border"}
        request = urllib.request.Request(f"{client.address}v1/analyses", still(index), kind)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["id"]

    def send_in_turn(index: int) -> str:
        """As a program does that keeps to the rate limit."""
        while True:
            try:
                return send(index)
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(int(error.headers["Retry-After"]))

    def wait(name: str) -> str:
        while (said := client.get(f"v1/analyses/{name}")).get("status") in ("queued", "running"):
            time.sleep(0.1)
        return said.get("status", "done")

    def outcome(task: Future[str]) -> str:
        return "refused" if task.exception() else "taken"

    began = time.perf_counter()
    with ThreadPoolExecutor(uploads) as clients:
        sent = [clients.submit(send, index) for index in range(uploads)]
    taken_s = time.perf_counter() - began
    ended = Counter(wait(task.result()) for task in sent if not task.exception())
    yield (
        f"{uploads} uploads at once",
        {**Counter(map(outcome, sent)), "taken_s": round(taken_s, 2), "ended": dict(ended)},
    )
    held, began = {}, time.perf_counter()
    for index in range(uploads, uploads + count):
        ended[wait(send_in_turn(index))] += 1
        if index - uploads + 1 in (count // 4, count // 2, count):
            held[f"after {index - uploads + 1}"] = resident_mb(process)
    yield (
        f"{count} analyses of stills",
        {"seconds_each": round((time.perf_counter() - began) / count, 2), "ended": dict(ended), "memory_mb": held},
    )


def main() -> None:
    """Make analyses up, serve them, measure, and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--uploads", type=int, default=0, help="at once; needs --analyses")
    parser.add_argument("--analyses", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_reports(Path(place), arguments.findings)
        command = [sys.executable, "-u", "-m", "omnisila", "serve", place, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                client = Client(server.stdout.readline().rpartition(" ")[2].strip())
                read_s, first = reading(client)
                figures = dict(measured(client, server.pid, arguments.findings))
                if arguments.analyses:
                    figures |= analyses(client, server.pid, arguments.uploads, arguments.analyses)
            finally:
                server.terminate()
    result = {
        "command": " ".join(["python", *sys.argv]),
        "machine": f"two cores, {platform.machine()}, {platform.system()}, shared with other work",
        "versions": {"omnisila": __version__, "fastapi": fastapi.__version__, "sqlalchemy": sqlalchemy.__version__},
        "findings": arguments.findings,
        "library_read_s": round(read_s, 1),
        "first page while the library is read": first,
        **figures,
    }
    keep_result(result, arguments.out)


if __name__ == "__main__":
    main()
