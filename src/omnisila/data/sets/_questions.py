"""CUVA's annotations as questions: one item a video and task, in JSON, JSON lines or Parquet, gathered by video."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnisila.data.annotated import Split
from omnisila.data.annotation_files import Entry, Row, read_json, read_text
from omnisila.errors import DataSetError, needing

FORM = "items with video_name or visual_input, task, and answer or output, all of them text"
PATTERNS = (
    "cuva_*.json",
    "*full*.json",
    "*full*.jsonl",
    "*full*.parquet",
    "*test*.json",
    "*test*.jsonl",
    "*test*.parquet",
)


@dataclass(frozen=True)
class Answered:
    """The answers on one video by task, with the place where it is first asked about."""

    row: Row
    video: str
    split: Split
    answers: dict[str, str] = field(default_factory=dict)


def find_question_files(folder: Path) -> list[Path]:
    """The files of the layout in the folder or its ``data`` folder, those of the test split first."""
    places = (folder, folder / "data")
    found = {path for place in places for pattern in PATTERNS for path in place.glob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: (_split(path) != "test", path))


def read_questions(files: list[Path]) -> Iterator[Answered]:
    """Every video once: what the test split holds is test, whatever else also holds it.

    Raises:
        DataSetError: a file is not of the form.
    """
    seen: set[str] = set()
    for path in files:
        here: dict[str, Answered] = {}
        for line, item in _items(path):
            video, task, answer = _fields(Row(path, line, {}), item)
            if video not in here:
                here[video] = Answered(Row(path, line, {}), video, _split(path))
            here[video].answers[task] = answer
        yield from (answered for video, answered in here.items() if video not in seen)
        seen |= set(here)


def _split(path: Path) -> Split:
    return "test" if "test" in path.stem else "train"


def _fields(row: Row, item: object) -> tuple[str, str, str]:
    texts = item if isinstance(item, dict) else {}
    video = texts.get("visual_input", texts.get("video_name"))
    task, answer = texts.get("task"), texts.get("output", texts.get("answer"))
    if not (isinstance(video, str) and video and isinstance(task, str) and isinstance(answer, str)):
        raise row.error(f"item with {', '.join(map(str, texts)) or type(item).__name__}", FORM)
    return video if Path(video).suffix else f"{video}.mp4", task.strip().lower(), answer.strip()


def _items(path: Path) -> Iterator[tuple[int, Any]]:
    """The items with their lines; in Parquet, with their row numbers."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), start=1)
    elif path.suffix == ".jsonl":
        yield from _json_lines(path)
    else:
        yield from _json_list(path)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(read_text(path, FORM).splitlines(), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise Row(path, number, {}).error(f"no JSON ({error.msg})", FORM) from error


def _json_list(path: Path) -> Iterator[tuple[int, Any]]:
    """A list of items; the line is that of the video's name."""
    items, text = read_json(path, _as_list, f"a list of {FORM}")
    lines: dict[str, int] = {}
    for item in items:
        name = str(item.get("visual_input", item.get("video_name"))) if isinstance(item, dict) else ""
        if name not in lines:
            lines[name] = Entry(path, text, name).line
        yield lines[name], item


def _as_list(content: object) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _parquet(path: Path) -> list[dict[str, Any]]:
    with needing("pyarrow", f"{path}: Parquet", "data", DataSetError):
        parquet = importlib.import_module("pyarrow.parquet")
    try:
        wanted = {"visual_input", "video_name", "task", "output", "answer"}
        columns = [name for name in parquet.read_schema(path).names if name in wanted]
        return parquet.read_table(path, columns=columns).to_pylist()
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path}: cannot be read as Parquet ({error}). Wanted: {FORM}.") from error
