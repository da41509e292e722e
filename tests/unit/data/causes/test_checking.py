"""The table that people check: out, edited as spreadsheets do, and back into the annotations."""

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.causes.annotator import Exchange, WrittenCause
from omnisila.data.causes.checking import apply_causes, read_sheet, write_sheet
from omnisila.errors import RecordError
from omnisila.schema import Span, Truth

HEADER = "id,video,start_s,end_s,labels,label,cause,verdict,adjusted\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text == text.strip())


def _written(start_s: float, cause: str | None) -> WrittenCause:
    exchange = Exchange(prompt="why?", pictures=0, answer="-", model="m", prompt_tokens=None, completion_tokens=None)
    return WrittenCause(
        id=f"tsl300/a#{round(start_s * 1000)}-{round(start_s * 1000) + 1000}-negative", video="a.mp4",
        labels="explicit", span=Span(start_s=start_s, end_s=start_s + 1), label="negative", cause=cause,
        frame_times_s=(start_s,), base_url="http://localhost/v1", aspects={"face": exchange}, summary=exchange,
    )  # fmt: skip


def _edited(path: Path, verdicts: dict[int, tuple[str, str]], separator: str = ",") -> None:
    """The table as a person saves it: some rows filled in, times shortened, perhaps another separator."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    for index, (verdict, adjusted) in verdicts.items():
        rows[index][-2:] = verdict, adjusted
    for row in rows:
        row[2] = row[2].rstrip("0").rstrip(".")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([header, *rows])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_verdicts_become_causes(tmp_path: Path, separator: str) -> None:
    sheet = tmp_path / "check.csv"
    write_sheet(sheet, [_written(0, "a man runs; “far”"), _written(1, "b"), _written(2, "c"), _written(3, None)])
    _edited(sheet, {0: ("accept", ""), 1: (" Adjust", "a dog, barking\nloudly"), 2: ("reject", "")}, separator)
    checked = read_sheet(sheet)
    assert checked.malformed == ()
    assert checked.unchecked == ("tsl300/a#3000-4000-negative",)
    truths = tuple(
        Truth(span=Span(start_s=start_s, end_s=start_s + 1), label="negative", cause="old") for start_s in range(4)
    )
    video = AnnotatedVideo(id="a", path="a.mp4", labels={"explicit": None}, truth=truths, split="train", sources=("a",))
    weak = AnnotatedVideo(id="w", path="w.mp4", labels={"explicit": None}, truth=None, split="train", sources=("w",))
    back = apply_causes(AnnotatedSet(name="tsl300", videos=(video, weak)), {**checked.causes, "tsl300/z#0-1-x": "?"})
    assert [truth.cause for truth in back.annotated.videos[0].truth or ()] == [
        "a man runs; “far”", "a dog, barking\nloudly", None, "old",
    ]  # fmt: skip
    assert back.annotated.videos[1] == weak
    assert back.strangers == ("tsl300/z#0-1-x",)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_any_accepted_text_comes_back_unchanged(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder, "check.csv")
        written = [_written(index, text) for index, text in enumerate(texts)]
        write_sheet(sheet, written)
        assert read_sheet(sheet).unchecked == tuple(one.id for one in written)
        _edited(sheet, dict.fromkeys(range(len(texts)), ("accept", "")))
        assert read_sheet(sheet).causes == {one.id: one.cause for one in written}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("k,v,0,1,explicit,negative,c,yes,", "verdict 'yes'"),
        ("k,v,0,1,explicit,negative,c,adjust,", "without a text"),
        ("k,v,0,1,explicit,negative,c,accept,d", "an adjusted text with verdict 'accept'"),
        ("k,v,0,1,explicit,negative,c,,d", "an adjusted text with verdict ''"),
        ("k,v,0,1,explicit,negative,,accept,", "no cause stands"),
        (",v,0,1,explicit,negative,c,accept,", "the id is empty"),
        ("first,v,0,1,explicit,negative,c,accept,", "in an earlier row"),
        ("k,v,0,1,explicit,negative,c", "not as many fields"),
        ("k,v,0,1,explicit,negative,c,accept,,more", "not as many fields"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, row: str, says: str) -> None:
    sheet = tmp_path / "check.csv"
    first = 'first,v,0,1,explicit,negative,"two\nlines",accept,\n'
    sheet.write_text(f"{HEADER}{first}{row}\nlast,v,0,1,explicit,negative,c,reject,\n", newline="")
    checked = read_sheet(sheet)
    assert checked.causes == {"first": "two\nlines", "last": None}
    (malformed,) = checked.malformed
    assert (malformed.file, malformed.line) == (str(sheet), 4)
    assert says in malformed.reason


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    sheet = tmp_path / "check.csv"
    with pytest.raises(RecordError, match="cannot be read"):
        read_sheet(sheet)
    sheet.write_text("id,cause,adjusted\n")
    with pytest.raises(RecordError, match="no column verdict"):
        read_sheet(sheet)
    sheet.write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(RecordError, match="not UTF-8"):
        read_sheet(sheet)
