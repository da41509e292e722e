"""Tables: what spreadsheets save is read, and what cannot be read is named by its line."""

from pathlib import Path

import pytest

from omnisila.errors import DataSetError, RecordError
from omnisila.tables import read_table


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_marks_line_ends_and_empty_lines_do_not_matter(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "x.csv"
    lines = ["video,cause ", 'a,"two\nlines"', "", "b,"]
    path.write_bytes(("\ufeff" + "\r\n".join(lines).replace(",", separator)).encode())
    table = read_table(path, ("video", "cause"))
    assert table.header == ("video", "cause")
    assert [(row.line, row.values["video"], row.values["cause"]) for row in table.rows] == [
        (2, "a", "two\nlines"),
        (5, "b", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"x\.csv, line 1: no column a, b \(found: none\)\. Wanted: a header with at least a, b"),
        (b"a,c\n", r"line 1: no column b \(found: a, c\)"),
        (b"a,b,b\n", "line 1: column b stands twice"),
        (b'a,b\n"1\n2",3\n1\n', "line 4: 1 fields, the header has 2"),
        (b"a,b\n1,2,3\n", "line 2: 3 fields, the header has 2"),
        (b'a,b\n1,"2\n', "after line 2: unexpected end of data"),
        (b"a,b\n\xe9,2\n", "not UTF-8 at byte 4"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    with pytest.raises(RecordError, match=message):
        read_table(path, ("a", "b"))


def test_ragged_rows_can_be_kept_and_a_missing_file_is_the_caller_s_kind_of_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1\n1,2,3\n")
    rows = read_table(path, keep_ragged=True).rows
    assert [(row.values, row.is_ragged) for row in rows] == [({"a": "1"}, True), ({"a": "1", "b": "2"}, True)]
    with pytest.raises(DataSetError, match=r"none\.csv: cannot be read"):
        read_table(tmp_path / "none.csv", failure=DataSetError)
