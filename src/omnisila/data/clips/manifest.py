"""The ``manifest.csv`` of a data set, read strictly: an error names the file, the line and the form that was wanted."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from omnisila.data.clips.clip import Clip
from omnisila.errors import DataSetError
from omnisila.schema import Span

ROOT_VARIABLE = "OMNISILA_DATA"
MANIFEST = "manifest.csv"
T = TypeVar("T")


def data_root() -> Path:
    """The folder named by the environment variable OMNISILA_DATA, one sub-folder per data set.

    Raises:
        DataSetError: the variable is not set or names no folder.
    """
    value = os.environ.get(ROOT_VARIABLE)
    if not value:
        raise DataSetError(
            f"{ROOT_VARIABLE} is not set. Set it to the folder that holds the data sets' folders, or give --data."
        )
    if not Path(value).is_dir():
        raise DataSetError(f"{ROOT_VARIABLE}={value}: no such folder. Give the one that holds the data sets' folders.")
    return Path(value)


@dataclass(frozen=True)
class Row:
    """One line of a table, with what an error about it must say."""

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

    def media(self, set_name: str, column: str = "file") -> str:
        """Path of the row's file relative to the data root.

        Raises:
            DataSetError: the file does not exist inside the set's folder.
        """
        name = self[column]
        folder = self.table.parent
        if ".." in Path(name).parts or not (folder / name).is_file():
            raise self.error(
                f"names {name!r}, which is not in {folder}", "a file that exists there; fetch the set again"
            )
        return f"{set_name}/{name}"

    def error(self, came: str, wanted: str) -> DataSetError:
        """An error about this row, ready to be raised."""
        return DataSetError(f"{self.table}, line {self.line}: {came}. Wanted: {wanted}.")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def rows(root: Path, set_name: str, columns: Sequence[str], table: str = MANIFEST) -> Iterator[Row]:
    """The rows of a set's table, in its order.

    Args:
        root: the data root.
        set_name: the set's folder.
        columns: those the reader needs; more are welcome.

    Raises:
        DataSetError: the table is missing, not text, lacks a column, or a row is cut short.
    """
    path = root / set_name / table
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            missing = [column for column in columns if column not in (lines.fieldnames or ())]
            if missing:
                raise DataSetError(
                    f"{path}, line 1: no column {', '.join(missing)} (found: {', '.join(lines.fieldnames or ())}). "
                    f"Wanted: a header with at least {', '.join(columns)}."
                )
            for values in lines:
                row = Row(path, lines.line_num, values)
                if any(values[column] is None for column in columns):
                    raise row.error("the row is cut short", f"{len(lines.fieldnames or ())} fields")
                yield row
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Put the data set {set_name} there, with its {table}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path}: cannot be read as a table ({error}). Wanted: a UTF-8 CSV file.") from error


def whole_clips(
    root: Path, set_name: str, labels: Mapping[str, str], source_columns: Sequence[str], is_still: bool
) -> tuple[Clip, ...]:
    """The clips of a set whose ``label`` column holds one implicit label for the whole of each file.

    Args:
        root: the data root.
        set_name: the set's folder.
        labels: the set's word for a label -> the label.
        source_columns: the columns that name the footage; their texts become sources of this set.
        is_still: whether the files are pictures.

    Raises:
        DataSetError: as ``rows``, and for unknown labels and missing files.
    """
    return tuple(
        Clip(
            set_name=set_name,
            path=row.media(set_name),
            labels={"implicit": row.choice("label", labels)},
            sources=tuple(f"{set_name}:{row[column]}" for column in source_columns),
            is_still=is_still,
            licence=row["licence"],
        )
        for row in rows(root, set_name, ("file", "label", *source_columns, "licence"))
    )
