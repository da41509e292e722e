"""Annotation files read strictly: every error names the file, the line and the form that was wanted."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from omnisila.data.clips.manifest import Row
from omnisila.errors import DataSetError, LabelError
from omnisila.labels import BUILT_IN, label_set
from omnisila.schema import Span, Truth

T = TypeVar("T")


class Stated(BaseModel):
    """A part of a published JSON file: the fields that are read; others are welcome."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Entry:
    """The entry of a key in a JSON file; its line is looked up only when an error needs it."""

    file: Path
    text: str
    key: str

    @property
    def line(self) -> int:
        """Where the key first stands."""
        place = max(self.text.find(json.dumps(self.key)), self.text.find(json.dumps(self.key, ensure_ascii=False)), 0)
        return self.text.count("\n", 0, place) + 1

    def error(self, came: str, wanted: str) -> DataSetError:
        """An error about this entry, ready to be raised."""
        return DataSetError(f"{self.file}, line {self.line}: {came}. Wanted: {wanted}.")


def text_of(path: Path, wanted: str) -> str:
    """The whole of a text file; a byte order mark is dropped.

    Raises:
        DataSetError: it is missing or no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Wanted: {wanted}. Put it there.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(f"{path}: cannot be read as text ({error}). Wanted: {wanted}, in UTF-8.") from error


def word_lines(path: Path, wanted: str) -> Iterator[tuple[Row, list[str]]]:
    """The words of every line that has any, with the line as a row that can raise errors.

    Raises:
        DataSetError: as ``text_of``.
    """
    for number, line in enumerate(text_of(path, wanted).splitlines(), start=1):
        if words := line.split():
            yield Row(path, number, {}), words


def only_file(folder: Path, suffix: str) -> Path:
    """The folder's one file of that suffix, or the path itself where it is a file.

    Raises:
        DataSetError: there is none, or there are several.
    """
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.glob(f"*{suffix}") if path.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise DataSetError(f"{folder}: wanted one {suffix} file, found {names}. Give the file itself.")


def parsed_json(path: Path, form: Callable[[object], T], wanted: str) -> tuple[T, str]:
    """A JSON file as the form says, with its text for ``Entry``.

    Args:
        path: the file.
        form: checks the content, as ``validate_python`` of a pydantic TypeAdapter does.
        wanted: the form in words, for errors.

    Raises:
        DataSetError: it is missing, no JSON, has a key twice, or is not of that form.
    """
    text = text_of(path, wanted)
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _unique(path, text, pairs))
    except json.JSONDecodeError as error:
        raise Row(path, error.lineno, {}).error(f"no JSON ({error.msg})", wanted) from error
    return checked(path, text, content, form, wanted), text


def checked(path: Path, text: str, content: object, form: Callable[[object], T], wanted: str) -> T:
    """``content`` as the form says.

    Raises:
        DataSetError: it is not; the message names the place within it.
    """
    try:
        return form(content)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [key for key in first["loc"] if isinstance(key, str) and f'"{key}"' in text]
        named = min(reversed(keys), key=lambda key: text.count(f'"{key}"'), default="")
        came = f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
        raise Entry(path, text, named).error(came, wanted) from error


def truth(row: Row | Entry, start_s: float, end_s: float, label: str, cause: str | None = None) -> Truth:
    """An annotated event.

    Raises:
        DataSetError: it does not run forward, or it starts before the video.
    """
    try:
        return Truth(span=Span(start_s=start_s, end_s=end_s), label=label, cause=cause)
    except ValidationError:
        raise row.error(f"event from {start_s} to {end_s} s", "seconds with 0 <= start < end") from None


def in_time_order(events: Iterable[Truth]) -> tuple[Truth, ...]:
    """The events by start, then end; equal ones as they stood."""
    return tuple(sorted(events, key=lambda event: (event.span.start_s, event.span.end_s)))


def footage(row: Row | Entry, name: str) -> str:
    """The path of a video inside the footage's folder, with forward slashes.

    Raises:
        DataSetError: it leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise row.error(f"video {name!r} leads out of the footage's folder", "a path inside it")
    return str(path)


def once(row: Row | Entry, seen: Mapping[str, object], key: str) -> None:
    """Nothing, where the key is new.

    Raises:
        DataSetError: it has been seen.
    """
    if key in seen:
        raise row.error(f"{key!r} stands twice", "every video once")


def fitting_labels(path: Path, labels: str | None, words: Iterable[str]) -> str:
    """The label set to read with: the one given, else the only built-in one that holds all the words.

    Raises:
        DataSetError: none was given and none or several hold them.
        LabelError: the one given does not exist or lacks a word.
    """
    said = sorted(set(words))
    if labels is not None:
        strangers = [word for word in said if word not in label_set(labels).labels]
        if strangers:
            raise LabelError(
                f"{path}: label {', '.join(map(repr, strangers))} is not in label set {labels}. "
                f"Wanted: {', '.join(label_set(labels).labels)}."
            )
        return labels
    fitting = [known.name for known in BUILT_IN.values() if set(said) <= set(known.labels)]
    if len(fitting) != 1:
        raise DataSetError(
            f"{path}: its labels ({', '.join(said) or 'none'}) are those of {' and '.join(fitting) or 'no label set'}. "
            f"Say which to use, one of {', '.join(BUILT_IN)}."
        )
    return fitting[0]


def _unique(path: Path, text: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        once(Entry(path, text, key), table, key)
        table[key] = value
    return table
