"""Files of records: one JSON object a line, each of one type, read and added to line by line."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from omnisila.config import Frozen, first_fault
from omnisila.errors import OutputError, RecordError

Record = TypeVar("Record", bound=Frozen)


def records(path: Path, kind: type[Record]) -> Iterator[Record]:
    """The records of a file, one at a time; empty lines are passed over.

    Raises:
        RecordError: the file cannot be read, or a line is no record of that kind; the message names line and field.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield record(path, number, line, kind)
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror or error}). Give a JSONL file that exists."
        ) from None


def append(path: Path, added: Iterable[Frozen]) -> None:
    """Add records at the end of a file and flush them to the disk; the file is made when missing.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.writelines(record.model_dump_json().encode() + b"\n" for record in added)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}). Choose another file.") from error


def cut_half_line(path: Path) -> None:
    """Take off the end of a file what a killed run left of a line; a missing file stays missing.

    Raises:
        OutputError: the file cannot be changed.
    """
    try:
        with path.open("rb+") as file:
            content_end = file.seek(0, os.SEEK_END)
            while content_end:
                begin = max(content_end - 65536, 0)
                file.seek(begin)
                block = file.read(content_end - begin)
                if b"\n" in block:
                    content_end = begin + block.rindex(b"\n") + 1
                    break
                content_end = begin
            file.truncate(content_end)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}). Choose another file.") from error


def record(path: Path, number: int, line: bytes, kind: type[Record]) -> Record:
    """One line of a file.

    Raises:
        RecordError: it is no record of that kind; the message names line and field.
    """
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise RecordError(
            f"{path}, line {number}: no {kind.__name__} ({first_fault(error, at='the line')}). "
            "Correct the line or make the file again."
        ) from None


def strict_json(text: str) -> Any:
    """What a JSON text holds; a byte-order mark is dropped.

    Raises:
        json.JSONDecodeError: no JSON, nested too deeply, a number of too many digits, or a key that stands twice in one
            object; ``lineno`` says where.
    """
    text = text.removeprefix("\ufeff")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            if key in table:
                place = max(text.find(json.dumps(key)), text.find(json.dumps(key, ensure_ascii=False)), 0)
                raise json.JSONDecodeError(f"{key!r} stands twice in one object", text, place)
            table[key] = value
        return table

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
        raise json.JSONDecodeError(reason, text, 0) from None
