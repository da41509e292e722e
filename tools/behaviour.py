"""What omnisila says of fixed inputs, recorded before a change of structure and compared after it.

``python tools/behaviour.py record BEFORE`` runs analyze, prepare, score and report and keeps what they write;
``python tools/behaviour.py compare BEFORE`` runs them again and names every value that differs. Fields that name the
code (model digest, versions) and timings are left out. The inputs are the demo's videos (``make demo`` fetches them),
the portrait of the tests and the annotations of TSL-300 (folder ``$OMNISILA_DATA/annotations/tsl300``).
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"model", "timings_s", "seconds", "version", "code_version", "digest", "settings"}
TOLERANCE = 1e-6


def guesses(examples: Path) -> Iterator[str]:
    """Raw answers to examples of the test split, right in about two of three cases."""
    for line in examples.read_text().splitlines():
        example = json.loads(line)
        if example["split"] == "test":
            right = zlib.crc32(example["id"].encode()) % 3
            yield json.dumps({"example_id": example["id"], "answer": example["answer"] if right else "negative"})


def run(folder: Path) -> None:
    """Every command, from an empty cache, into a folder."""
    environment = {**os.environ, "OMNISILA_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

    def omnisila(*arguments: object, cwd: Path = ROOT) -> None:
        command = [sys.executable, "-m", "omnisila", *map(str, arguments)]
        subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)

    videos = sorted((ROOT / "demo").glob("*.mp4"))
    if not videos:
        raise SystemExit("demo/: no videos. Run make demo first.")
    inputs = [*videos, ROOT / "tests/fixtures/astronaut.jpg"]
    omnisila("analyze", *inputs, "--out", folder / "events", "--quiet")
    omnisila("analyze", *inputs, "--labels", "reaction", "--out", folder / "reactions", "--quiet")
    omnisila(
        "analyze",
        *videos,
        "--model",
        "compact-hawkeye",
        "--labels",
        "anomaly",
        "--out",
        folder / "anomalies",
        "--quiet",
    )
    annotations = Path(os.environ.get("OMNISILA_DATA", "")) / "annotations/tsl300"
    if annotations.is_dir():
        omnisila("prepare", "tsl300", annotations, "--out", folder / "prepared", "--quiet")
        examples = folder / "prepared/examples.jsonl"
        said = folder / "guesses.jsonl"
        said.write_text("\n".join(guesses(examples)))
        scores = folder / "scores.json"
        omnisila("score", examples, said, "--split", "test", "--out", scores, "--draws", 50, "--quiet")
        omnisila("report", scores, "--out", folder / "report")


def values(thing: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of a JSON document with its place."""
    if isinstance(thing, dict):
        for key in sorted(thing):
            if key not in LEFT_OUT:
                yield from values(thing[key], f"{place}.{key}")
    elif isinstance(thing, list):
        for number, item in enumerate(thing):
            yield from values(item, f"{place}[{number}]")
    else:
        yield place, thing


def documents(folder: Path) -> dict[str, dict[str, object]]:
    """Every JSON file and table under a folder, as its leaves; the cache is not among them."""
    found: dict[str, dict[str, object]] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name.startswith("cache/") or not file.is_file():
            continue
        if file.suffix == ".json":
            found[name] = dict(values(json.loads(file.read_text())))
        elif file.suffix in (".md", ".csv"):
            found[name] = {str(number): line for number, line in enumerate(file.read_text().splitlines())}
    return found


def differences(before: dict[str, dict[str, object]], after: dict[str, dict[str, object]]) -> Iterator[str]:
    """One line a value that is not what it was."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield f"{name}: only {'after' if name in after else 'before'}"
            continue
        old, new = before[name], after[name]
        for place in sorted(old.keys() | new.keys()):
            a, b = old.get(place), new.get(place)
            close = isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, abs_tol=TOLERANCE)
            if a != b and not close:
                yield f"{name}{place}: {a!r} -> {b!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    if arguments.action == "record":
        folder.mkdir(parents=True)
        run(folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(scratch))
        lines = list(differences(documents(folder), documents(Path(scratch))))
    print("\n".join(lines) or "the same")
    raise SystemExit(bool(lines))


if __name__ == "__main__":
    main()
