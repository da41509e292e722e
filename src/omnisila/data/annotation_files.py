"""Tables, JSON and text files read strictly: every error names the file, the line and the form that was wanted."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from omnisila.config import first_fault
from omnisila.errors import DataSetError
from omnisila.records import strict_json
from omnisila.schema import Span
from omnisila.tables import read_table

T = TypeVar("T")


class Stated(BaseModel):
    """A part of a published JSON file: the fields that are read; others are welcome."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Row:
    """One line of a file, with what an error about it must say."""

    table: Path
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The column's text; never empty.

        Raises:
            DataSetError: the field is empty.
        """
        value = self.values[column].strip()
        if not value:
            raise self.error(f"column {column} is empty", "every row to fill it")
        return value

    def optional(self, column: str) -> str | None:
        """The column's text; None where it is empty or the table has no such column."""
        return (self.values.get(column) or "").strip() or None

    def choice(self, column: str, choices: Mapping[str, T]) -> T:
        """What the column's text stands for.

        Raises:
            DataSetError: the text is none of the choices.
        """
        value = self[column]
        if value not in choices:
            raise self.error(f"column {column} says {value!r}", f"one of {', '.join(choices)}")
        return choices[value]

    def seconds(self, column: str) -> float:
        """The column as a time in seconds.

        Raises:
            DataSetError: it is no number of 0 or more.
        """
        value = self[column]
        try:
            return _seconds(value)
        except ValueError:
            raise self.error(f"column {column} says {value!r}", "seconds as a number of 0 or more") from None

    def spans(self, text: str) -> tuple[Span, ...]:
        """The times of events, such as ``0-1.5;4-6``, in seconds.

        Raises:
            DataSetError: there is none, or one is no time or ends before it begins.
        """
        found: list[Span] = []
        for times in text.split(";"):
            start, _, end = times.partition("-")
            try:
                found.append(Span(start_s=_seconds(start), end_s=_seconds(end)))
            except ValueError:
                raise self.error(f"an event's times are {times!r}", "start-end in seconds, the start first") from None
        return tuple(found)

    def media(self, column: str = "file") -> str:
        """Path of the row's file relative to the folder above the table's.

        Raises:
            DataSetError: the file does not exist inside the table's folder.
        """
        name, folder = self[column], self.table.parent
        if ".." in Path(name).parts or not (folder / name).is_file():
            raise self.error(f"names {name!r}, which is not in {folder}", "a file that exists; fetch the set again")
        return f"{folder.name}/{name}"

    def error(self, came: str, wanted: str) -> DataSetError:
        return DataSetError(f"{self.table}, line {self.line}: {came}. Wanted: {wanted}.")


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
        return Row(self.file, self.line, {}).error(came, wanted)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file with a header, in its order; columns beside those that are needed are welcome.

    Raises:
        DataSetError: the file is missing, not text, lacks a column, or a row has fewer or more fields than the header.
    """
    for line, values, _ in read_table(path, columns, failure=DataSetError).rows:
        yield Row(path, line, values)


def read_text(path: Path, wanted: str) -> str:
    """The whole of a text file; a byte order mark is dropped.

    Raises:
        DataSetError: it is missing or no UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Wanted: {wanted}. Put it there.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(f"{path}: cannot be read as text ({error}). Wanted: {wanted}, in UTF-8.") from error


def read_words(path: Path, wanted: str) -> Iterator[tuple[Row, list[str]]]:
    """The words of every line that has any, with the line as a row that can raise errors.

    Raises:
        DataSetError: as ``read_text``.
    """
    for number, line in enumerate(read_text(path, wanted).splitlines(), start=1):
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


def read_json(path: Path, form: Callable[[object], T], wanted: str) -> tuple[T, str]:
    """A JSON file as the form says, with its text for ``Entry``.

    Args:
        form: checks the content, as ``validate_python`` of a pydantic TypeAdapter does.

    Raises:
        DataSetError: it is missing, no JSON, has a key twice, or is not of that form.
    """
    text = read_text(path, wanted)
    try:
        return check_form(path, text, strict_json(text), form, wanted), text
    except json.JSONDecodeError as error:
        raise Row(path, error.lineno, {}).error(f"no JSON ({error.msg})", wanted) from error


def check_form(path: Path, text: str, content: object, form: Callable[[object], T], wanted: str) -> T:
    """``content`` as the form says.

    Raises:
        DataSetError: it is not; the message names the place within it.
    """
    try:
        return form(content)
    except ValidationError as error:
        keys = [key for key in error.errors()[0]["loc"] if isinstance(key, str) and f'"{key}"' in text]
        named = min(reversed(keys), key=lambda key: text.count(f'"{key}"'), default="")
        raise Entry(path, text, named).error(first_fault(error, at="the file"), wanted) from error


def check_new(row: Row | Entry, seen: Mapping[str, object], key: str) -> None:
    """Nothing, where the key is new.

    Raises:
        DataSetError: it has been seen.
    """
    if key in seen:
        raise row.error(f"{key!r} stands twice", "every video once")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number
