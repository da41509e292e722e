"""CUVA: 1000 web videos of anomalous events, with what happens, when, why and with which result.

Address: https://github.com/fesvhtr/CUVA and the data set of that name on the Hugging Face hub (Du et al., CVPR 2024)
Licence: CC BY-NC-SA 4.0; the raw sheet, published with ECVA (https://github.com/Dulpy/ECVA), states none.
A record of annotations.xlsx (video, class and score, reason, result, moments, description of each):
    1 | [7-1,5] | Three masked people broke the window ... | Windows were ... | [0052,0114][0118,0144] | [...][...]
Layouts, in the order they are looked for:
1. questions: ``cuva_gt_cleaned.json`` and ``cuva_test.json``, a flat list with one item a question (visual_input, task,
   output), or the 2026 layout, ``full`` and ``test`` as .json, .jsonl or .parquet with the columns video_name (or
   visual_input), task and answer (or output);
2. the raw sheet ``annotations.xlsx``, whose video numbers become file names of five digits.
Moments are MMSS: 0118 is 78 s. Classes are taken from CUVA's own numbering, in which 8 is Pedestrian Incidents and 10
Traffic Violations. Rows with a remark in words for a class, and those with a moment such as ``[0012,20]`` or ``[,]``,
are left out and listed as malformed: 84 of 1006 in the published sheet, 24 of them for their moments. Every video is
anomalous, and its reason is the cause of all its events.
"""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed, Split
from omnisila.data.annotation_files import Entry, Row, check_new, read_json, read_text
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import footage_path, in_time_order
from omnisila.data.sets._sheet import read_sheet_rows
from omnisila.errors import DataSetError, needing
from omnisila.labels import IMPLICIT
from omnisila.schema import Span, Truth

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
    items, text = read_json(path, lambda found: found if isinstance(found, list) else [found], f"a list of {FORM}")
    lines: dict[str, int] = {}
    for item in items:
        name = str(item.get("visual_input", item.get("video_name"))) if isinstance(item, dict) else ""
        if name not in lines:
            lines[name] = Entry(path, text, name).line
        yield lines[name], item


def _parquet(path: Path) -> list[dict[str, Any]]:
    with needing("pyarrow", f"{path}: Parquet", "data", DataSetError):
        parquet = importlib.import_module("pyarrow.parquet")
    try:
        wanted = {"visual_input", "video_name", "task", "output", "answer"}
        columns = [name for name in parquet.read_schema(path).names if name in wanted]
        return parquet.read_table(path, columns=columns).to_pylist()
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path}: cannot be read as Parquet ({error}). Wanted: {FORM}.") from error


SHEET = "annotations.xlsx"
CLASSES = (
    "Fighting", "Animals Hurting People", "Water Incidents", "Vandalism", "Traffic Accidents", "Robbery", "Theft",
    "Pedestrian Incidents", "Fire", "Traffic Violations", "Forbidden to Burn",
)  # fmt: skip
CLASS_FORM = "[main-sub,score] with main from 1 to 11, as in [7-1,5]"
MOMENT_FORM = "[MMSS,MMSS] for each event, as in [0052,0114][0118,0144]"
HEADER = {"A": "video_id", "B": "X1", "C": "X2 - reason", "E": "X3 - moment", "F": "X3 - description"}
NAMES = {re.sub(r"[^a-z]", "", name.lower()): name for name in CLASSES} | {"burning": "Forbidden to Burn"}


@dataclass(frozen=True)
class _Words:
    """What is said of one video, as it is written."""

    row: Row
    video: str
    split: Split
    kind: str
    moments: str
    cause: str
    note: str


class _Unreadable(ValueError):  # noqa: N818
    """Why a video's annotation is left out."""


def read(folder: Path) -> AnnotatedSet:
    """All videos whose class and moments can be read."""
    if files := find_question_files(folder):
        tasks = ("classification", "timestamp", "cause", "description")
        stated = [
            _Words(asked.row, asked.video, asked.split, *(asked.answers.get(task, "") for task in tasks))
            for asked in read_questions(files)
        ]
    elif (folder / SHEET).exists():
        stated = list(_sheet(folder / SHEET))
    else:
        raise DataSetError(f"{folder}: no cuva_gt_cleaned.json, no full or test split, no {SHEET}. Put one there.")
    videos: dict[str, AnnotatedVideo] = {}
    malformed: list[Malformed] = []
    for words in stated:
        check_new(words.row, videos, words.video)
        try:
            videos[words.video] = _video(words)
        except _Unreadable as error:
            malformed.append(
                Malformed(file=words.row.table.name, line=words.row.line, reason=f"{words.video}: {error}")
            )
    if malformed and not videos:
        raise DataSetError(f"{folder}: none of {len(malformed)} videos can be read. The first: {malformed[0].reason}")
    return AnnotatedSet(videos=tuple(videos.values()), malformed=tuple(malformed))


def seconds(moment: str) -> float:
    """Four digits MMSS in seconds: 0118 is 78.

    Raises:
        ValueError: there are more or fewer, or the last two are no seconds of a minute.
    """
    if not re.fullmatch(r"[0-9]{4}", moment) or int(moment[2:]) >= 60:
        raise ValueError(f"moment {moment!r}")
    return 60.0 * int(moment[:2]) + int(moment[2:])


def _sheet(path: Path) -> Iterator[_Words]:
    lines = read_sheet_rows(path)
    number, header = next(lines, (1, {}))
    for column, start in HEADER.items():
        if not header.get(column, "").startswith(start):
            came = f"column {column} is {header.get(column, '')!r}"
            raise Row(path, number, {}).error(came, f"a header that starts with {start!r}")
    for number, cells in lines:
        if cells.get("A") == "example":
            continue
        row = Row(path, number, {})
        name = re.fullmatch(r"([0-9]+)(-[0-9]+)?", cells.get("A", ""))
        if not name:
            raise row.error(f"video_id {cells.get('A', '')!r}", "a number, or number-part")
        video = f"{int(name[1]):05d}{name[2] or ''}.mp4"
        texts = (cells.get(column, "") for column in ("B", "E", "C", "F"))
        yield _Words(row, video, "train", *texts)


def _video(words: _Words) -> AnnotatedVideo:
    spans = _spans(words.moments)
    label, cause = _label(words.kind), words.cause.strip() or None
    return AnnotatedVideo(
        id=words.video.removesuffix(".mp4"),
        path=footage_path(words.row, words.video),
        labels={IMPLICIT.name: None},
        truth=in_time_order(Truth(span=span, label=label, cause=cause) for span in spans),
        split=words.split,
        sources=(re.split(r"[-.]", words.video, maxsplit=1)[0],),
        note=" ".join(part.strip() for part in re.split(r"[\[\]]+", words.note) if part.strip()) or None,
    )


def _label(kind: str) -> str:
    code = re.fullmatch(r"\[([0-9]{1,2})-[0-9]{1,2}, *[0-9]{1,2}\]", kind.strip())
    if code and 1 <= int(code[1]) <= len(CLASSES):
        return CLASSES[int(code[1]) - 1]
    name = re.sub(r"[^a-z]", "", kind.lower())
    if name in NAMES:
        return NAMES[name]
    raise _Unreadable(f"class {kind!r}. Wanted: {CLASS_FORM}, or a class's name.")


def _spans(moments: str) -> list[Span]:
    compact = re.sub(r"\s", "", moments)
    pairs = re.findall(r"\[([^\[\],]*),([^\[\],]*)\]", compact)
    if not pairs or "".join(f"[{start},{end}]" for start, end in pairs) != compact:
        raise _Unreadable(f"moments {moments!r}. Wanted: {MOMENT_FORM}.")
    try:
        return [Span(start_s=seconds(start), end_s=seconds(end)) for start, end in pairs]
    except ValueError:
        raise _Unreadable(f"moments {moments!r}. Wanted: {MOMENT_FORM}, each with start before end.") from None


SET = DataSet(read, untrained=BY_EXAMPLES)
