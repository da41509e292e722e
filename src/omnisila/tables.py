"""Tables in text files: CSV with a header, read strictly; an error names file, line and what was wanted."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import InputError, RecordError

_SEPARATORS = (",", ";", "\t")  # spreadsheets save with the separator of their language


class TableRow(NamedTuple):
    """One row: the line that it begins on, its texts by column, and whether it has more or fewer than the header."""

    line: int
    values: dict[str, str]
    is_ragged: bool


class Table(NamedTuple):
    """A header and its rows in order."""

    header: tuple[str, ...]
    rows: tuple[TableRow, ...]


def read_table(
    path: Path, columns: Sequence[str] = (), *, failure: type[InputError] = RecordError, keep_ragged: bool = False
) -> Table:
    """A CSV file in UTF-8, with or without a byte-order mark; comma, semicolon or tab separate its fields.

    Args:
        columns: those that the header must have; more are welcome.
        keep_ragged: give rows with more or fewer fields than the header, marked, where each is to be named by itself.

    Raises:
        failure: the file is missing, not UTF-8 or no CSV, lacks a column, has one twice, or a row is ragged.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise failure(f"{path}: cannot be read ({error.strerror or error}). Give a CSV table.") from None
    except UnicodeDecodeError as error:
        raise failure(f"{path}: not UTF-8 at byte {error.start}. Save the table as CSV in UTF-8.") from None
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[TableRow] = []
    try:
        header = tuple(name.strip() for name in next(reader, ()))
        twice = [name for name in columns if header.count(name) > 1]
        missing = [name for name in columns if name not in header]
        if missing or twice:
            fault = f"no column {', '.join(missing)}" if missing else f"column {twice[0]} stands twice"
            raise failure(
                f"{path}, line 1: {fault} (found: {', '.join(header) or 'none'}). "
                f"Wanted: a header with at least {', '.join(columns)}."
            )
        line = reader.line_num + 1
        for fields in reader:
            is_ragged = len(fields) != len(header)
            if fields and is_ragged and not keep_ragged:
                raise failure(
                    f"{path}, line {line}: {len(fields)} fields, the header has {len(header)}. "
                    "Wanted: as many; put text with separators in double quotes."
                )
            if fields:
                rows.append(TableRow(line, dict(zip(header, fields, strict=False)), is_ragged))
            line = reader.line_num + 1
    except csv.Error as error:
        raise failure(f"{path}, after line {reader.line_num}: {error}. Save the table as CSV again.") from None
    return Table(header, tuple(rows))
