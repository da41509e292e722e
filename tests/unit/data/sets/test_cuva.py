"""CUVA: questions in three file forms and the raw sheet; what cannot be read is listed, never guessed."""

import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.sets import read_set
from omnisila.data.sets.cuva import seconds
from omnisila.errors import DataSetError

HEADER = ["video_id", "X1 (5-1)", "X2 - reason", "X2 -  result", "X3 - moment", "X3 - description", "X4", "Annotator"]
SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def _questions(video: str, kind: str, moments: str, keys: tuple[str, str] = ("visual_input", "output")) -> list[dict]:
    answers = {
        "Detection": "Yes", "Classification": kind, "Timestamp": moments, "Description": "A van hits a bus.",
        "Cause": "The van was too fast.", "Result": "Two are hurt.",
    }  # fmt: skip
    return [
        {"ID": str(number), "task": task, "instruction": "?", keys[0]: video, keys[1]: answer}
        for number, (task, answer) in enumerate(answers.items())
    ]


def _workbook(path: Path, lines: list[list[str]]) -> Path:
    """A workbook whose texts are shared strings, the first of them in two runs, and whose numbers are numbers."""
    texts: list[str] = []
    rows = []
    for number, line in enumerate(lines, start=1):
        cells = []
        for column, text in zip("ABCDEFGH", line, strict=False):
            if text.isdigit():
                cells.append(f'<c r="{column}{number}"><v>{text}</v></c>')
            elif text:
                cells.append(f'<c r="{column}{number}" t="s"><v>{len(texts)}</v></c>')
                texts.append(text)
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    runs = [f"<si><r><t>{escape(text[:3])}</t></r><r><t>{escape(text[3:])}</t></r></si>" for text in texts]
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("xl/sharedStrings.xml", f"<sst {SPACE}>{''.join(runs)}</sst>")
        parts.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {SPACE}><sheetData>{''.join(rows)}</sheetData></worksheet>"
        )
    return path


def test_moments_are_minutes_and_seconds():
    assert (seconds("0118"), seconds("0000"), seconds("2738")) == (78.0, 0.0, 1658.0)


@given(st.integers(0, 99), st.integers(0, 59))
def test_every_moment_of_four_digits_is_read(minute: int, second: int):
    assert seconds(f"{minute:02d}{second:02d}") == 60 * minute + second


@pytest.mark.parametrize("moment", ["118", "00118", "0160", "01:8", "", "-118", "٠١١٨"])
def test_no_other_moment_is_guessed(moment: str):
    with pytest.raises(ValueError, match="moment"):
        seconds(moment)


def test_flat_questions_by_video_with_the_test_split_apart(tmp_path: Path):
    one = _questions("00001.mp4", "Traffic accidents.", "[0052,0114] [0118, 0144]")
    two = _questions("00002.mp4", "[8-2,4]", "[0000,0010]")
    odd = _questions("00003.mp4", "Pedestrian Incidents", "[0012,20]")
    (tmp_path / "cuva_gt_cleaned.json").write_text(json.dumps([*one, *two, *odd], indent=1))
    (tmp_path / "cuva_test.json").write_text(json.dumps(two))
    read = read_set("cuva", tmp_path)
    videos = {video.id: video for video in read.videos}
    first = videos["00001"]
    assert [(e.span.start_s, e.span.end_s, e.label) for e in first.truth or ()] == [
        (52.0, 74.0, "Traffic Accidents"),
        (78.0, 104.0, "Traffic Accidents"),
    ]
    assert {event.cause for event in first.truth or ()} == {"The van was too fast."}
    assert (first.label_set, first.split, first.note) == ("implicit", "train", "A van hits a bus.")
    assert (videos["00002"].split, (videos["00002"].truth or ())[0].label) == ("test", "Pedestrian Incidents")
    (left_out,) = read.malformed
    assert left_out.file == "cuva_gt_cleaned.json"
    assert left_out.line == 1 + 1 + 12 * 7 + 4
    assert left_out.reason.startswith("00003.mp4: moments '[0012,20]'. Wanted: [MMSS,MMSS] for each event")


def test_columns_of_the_newer_layout_in_json_lines_and_parquet(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    full = _questions("00001", "Robbery", "[0001,0002]", ("video_name", "answer"))
    test = _questions("00002", "Burning", "[0001,0002]", ("video_name", "answer"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "full.jsonl").write_text("\n".join(json.dumps(item) for item in full))
    parquet.write_table(arrow.Table.from_pylist(test), tmp_path / "data" / "test-00000-of-00001.parquet")
    second, first = read_set("cuva", tmp_path).videos
    assert (first.path, first.split, (first.truth or ())[0].label) == ("00001.mp4", "train", "Robbery")
    assert (second.path, second.split, (second.truth or ())[0].label) == ("00002.mp4", "test", "Forbidden to Burn")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"video_name": "a", "task": "Cause"}', r"full\.jsonl, line 2: item with video_name, task\. Wanted: items"),
        ('["a"]', r"full\.jsonl, line 2: item with list"),
        ("{", r"full\.jsonl, line 2: no JSON"),
    ],
)
def test_a_question_of_another_form_names_its_line(tmp_path: Path, text: str, said: str):
    (tmp_path / "full.jsonl").write_text(f"\n{text}\n")
    with pytest.raises(DataSetError, match=said):
        read_set("cuva", tmp_path)


def test_a_file_of_which_nothing_can_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "cuva_test.json").write_text(json.dumps(_questions("1.mp4", "A quarrel", "[0001,0002]")))
    with pytest.raises(DataSetError, match=r"none of 1 videos can be read\. The first: 1\.mp4: class 'A quarrel'"):
        read_set("cuva", tmp_path)


def test_raw_sheet_lists_the_rows_it_cannot_read(tmp_path: Path):
    lines = [
        HEADER,
        ["example", "[5-1,5]", "why", "so what", "[0000,0023]", "[text]"],
        ["1", "[7-1,5]", "Locks & bolts were weak.", "Loss", "[0118,0144][0052,0114]", "[They enter][They run]"],
        ["2", "[10-1,5]", "Haste", "Loss", "[0000,0010]", "[A car]"],
        ["19-1", "[8-1,5]", "Haste", "Loss", "[0000,0010]", "[A man]"],
        ["4", "[1-1,5]", "Haste", "Loss", "[0005,]", "[A man]"],
        ["5", "枪战", "Haste", "Loss", "[0001,0005]", "[A man]"],
        ["6", "[12-1,5]", "Haste", "Loss", "[0001,0005]", "[A man]"],
        ["7", "[1-1,5]", "Haste", "Loss", "[0009,0005]", "[A man]"],
        ["8", "[1-1,5]", "Haste", "Loss", "[,]", "[A man]"],
    ]
    _workbook(tmp_path / "annotations.xlsx", lines)
    read = read_set("cuva", tmp_path)
    first, violation, part = read.videos
    assert [(e.span.start_s, e.span.end_s) for e in first.truth or ()] == [(52.0, 74.0), (78.0, 104.0)]
    assert ((first.truth or ())[0].label, (first.truth or ())[0].cause) == ("Theft", "Locks & bolts were weak.")
    assert (first.path, first.note) == ("00001.mp4", "They enter They run")
    assert (violation.truth or ())[0].label == "Traffic Violations"
    assert ((part.truth or ())[0].label, part.path, part.group) == ("Pedestrian Incidents", "00019-1.mp4", "00019")
    assert [row.line for row in read.malformed] == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([["id", *HEADER[1:]]], r"annotations\.xlsx, line 1: column A is 'id'\. Wanted: a header that starts with"),
        ([HEADER, ["one", "[7-1,5]"]], r"annotations\.xlsx, line 2: video_id 'one'"),
        ([HEADER, ["1", "[7-1,5]", "", "", "[0001,0002]"], ["1", "[7-1,5]"]], r"line 3: '00001\.mp4' stands twice"),
    ],
)
def test_a_sheet_of_another_form_names_its_line(tmp_path: Path, lines: list[list[str]], said: str):
    _workbook(tmp_path / "annotations.xlsx", lines)
    with pytest.raises(DataSetError, match=said):
        read_set("cuva", tmp_path)


def test_a_file_that_is_no_workbook_is_named(tmp_path: Path):
    (tmp_path / "annotations.xlsx").write_bytes(b"not a zip")
    with pytest.raises(DataSetError, match=r"annotations\.xlsx: no \.xlsx workbook"):
        read_set("cuva", tmp_path)


@pytest.mark.data
def test_the_published_sheet():
    folder = Path(os.environ.get("OMNISILA_DATA", "")) / "annotations" / "cuva"
    if not (folder / "annotations.xlsx").exists():
        pytest.skip("OMNISILA_DATA names no folder with annotations/cuva/annotations.xlsx")
    read = read_set("cuva", folder)
    assert (len(read.videos), len(read.malformed)) == (922, 84)
    assert sum(": moments" in row.reason for row in read.malformed) == 24
    assert Counter(len(video.truth or ()) for video in read.videos) == {1: 881, 2: 38, 3: 3}
