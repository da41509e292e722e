"""Ratings by people: a blinded table out, filled in as spreadsheets do, and back as scores with agreement."""

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from omnisila.errors import InputError, OutputError, RecordError
from omnisila.evaluation.agreement import agreement
from omnisila.evaluation.answers import StatedCause
from omnisila.evaluation.mean_ratings import add_scores, sum_ratings
from omnisila.evaluation.rating_tables import RatedCause, rating_scores, rating_sheet, read_ratings
from omnisila.evaluation.score_files import read_scores
from omnisila.records import records
from omnisila.schema import Example, Score, Scores, Span, Truth

LABELS = ["negative", "negative", "positive"]


def _causes(**said: Sequence[str]) -> tuple[StatedCause, ...]:
    return tuple(
        StatedCause(
            name,
            Example(
                id=f"{k}#why", video=f"{k}.mp4", start_s=1.0, end_s=4.5, task="attribute", labels="explicit",
                instruction="?", answer="true", truth=(Truth(span=Span(start_s=1.0, end_s=4.5), label=LABELS[k]),),
                split="test", group=str(k),
            ),
            LABELS[k],
            cause,
        )
        for name, causes in said.items()
        for k, cause in enumerate(causes)
    )  # fmt: skip


CAUSES = _causes(ours=["he shouts", "=1+1", ""], other=["he shouts", "a dog", "they dance"])


def _rows(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _rated(sheet: Path, name: str, ratings: dict[str, str], separator: str = ",") -> Path:
    """A rater's copy: ratings by cause, the rows turned round."""
    rows = [row | {"rating": ratings.get(row["cause"], "")} for row in _rows(sheet)]
    copy = sheet.with_name(f"{name}.csv")
    with copy.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        table.writeheader()
        table.writerows(rows[::-1])
    return copy


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    rating_sheet(tmp_path / "sheet.csv", tmp_path / "key.jsonl", CAUSES, seed=3)
    return tmp_path / "sheet.csv"


@pytest.fixture
def filled(sheet: Path) -> Callable[..., Path]:
    return lambda *args: _rated(sheet, *args)


def test_a_table_tells_no_system_and_no_formula(sheet: Path, tmp_path: Path) -> None:
    rows = _rows(sheet)
    assert list(rows[0]) == ["id", "video", "start_s", "end_s", "label", "cause", "rating"]
    assert sorted(row["cause"] for row in rows) == ["'=1+1", "a dog", "he shouts", "they dance"]
    assert {row["rating"] for row in rows} == {""}
    assert (rows[0]["start_s"], rows[0]["end_s"]) == ("1.000", "4.500")
    assert "ours" not in sheet.read_text()
    assert "other" not in sheet.read_text()
    key = {one.cause: one for one in records(tmp_path / "key.jsonl", RatedCause)}
    assert key["he shouts"].systems == ("ours", "other"), "one row for the same cause"
    assert key[""].systems == ("ours",)
    assert {row["id"] for row in rows} == {one.id for one in key.values() if one.cause}


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    causes = [one for k in range(3) for one in _causes(**{f"system {k}": [f"{k}a", f"{k}b", f"{k}c"]})]
    orders = []
    for number, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{number}.csv"
        assert rating_sheet(path, path.with_suffix(".key"), causes, seed) == 9
        orders.append([(row["id"], row["cause"]) for row in _rows(path)])
    assert orders[0] == orders[1]
    assert [cause for _, cause in orders[0]] != [cause for _, cause in orders[2]]
    assert not {name for name, _ in orders[0]} & {name for name, _ in orders[2]}


def test_a_table_that_may_hold_ratings_is_not_written_over(sheet: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"sheet\.csv: exists"):
        rating_sheet(sheet, tmp_path / "other.jsonl", CAUSES)


def test_scores_are_those_worked_out_by_hand(filled: Callable[..., Path], tmp_path: Path) -> None:
    anna = filled("anna", {"he shouts": "6", "'=1+1": "2", "a dog": "1", "they dance": "4"})
    ben = filled("ben", {"he shouts": "5,0", "'=1+1": "2.0", "a dog": " 3 "}, ";")

    ours, other = rating_scores(read_ratings(tmp_path / "key.jsonl", [anna, ben]), draws=20)

    recipe = "human 1-6, mean of 2 raters"
    found = {(score.metric, score.variant): (score.value, score.count) for score in ours.scores}
    assert found["Atr-R", f"explicit; {recipe}"] == (pytest.approx((5.5 + 2 + 1) / 3), 3)
    assert found["Atr-R", f"explicit; negative; {recipe}"] == (3.75, 2)
    assert found["Atr-R", f"explicit; positive; {recipe}"] == (1.0, 1)
    assert found["empty causes", f"{recipe}; count, rated 1"] == (1, 3)
    assert found["unrated causes", f"{recipe}; count, not in the mean"] == (0, 3)
    who = "human 1-6, 2 raters, all systems' causes"
    pairs = [[6, 2, 1], [5, 2, 3]]
    wanted = krippendorff.alpha(pairs, value_domain=range(1, 7), level_of_measurement="ordinal")
    assert found["Krippendorff's alpha", f"{who}; ordinal"] == (pytest.approx(wanted), 3)
    assert found["difference of raters", f"{who}; mean over pairs of ratings"] == (1.0, 3)
    means = {score.variant: score.value for score in other.scores if score.metric == "Atr-R"}
    assert means[f"explicit; {recipe}"] == pytest.approx((5.5 + 2 + 4) / 3)


def test_a_cause_that_nobody_rated_is_counted_and_left_out(filled: Callable[..., Path], tmp_path: Path) -> None:
    ratings = read_ratings(tmp_path / "key.jsonl", [filled("anna", {"he shouts": "6", "'=1+1": "4"})])
    _, other = rating_scores(ratings, draws=0)
    assert (other.scores[0].value, other.scores[0].count) == (6.0, 1)
    found = {score.metric: score for score in other.scores}
    assert found["unrated causes"].value == 2
    assert found["Krippendorff's alpha"].value is None
    assert found["Krippendorff's alpha"].note == "a single rater: agreement needs two ratings of one cause"


def test_agreement_by_hand() -> None:
    assert agreement(np.array([[1.0, 1.0], [6.0, 6.0]]))[:3] == (1.0, 0.0, 2)
    same = agreement(np.array([[4.0, 4.0], [4.0, 4.0]]))
    assert (same.alpha, same.mean_difference) == (None, 0.0)
    assert "same number" in (same.note or "")
    apart = agreement(np.array([[1.0, np.nan], [np.nan, 6.0]]))
    assert (apart.alpha, apart.causes) == (None, 0)
    three = agreement(np.array([[1.0, 2.0, 4.0], [5.0, np.nan, 6.0]]))
    assert three.mean_difference == pytest.approx((1 + 3 + 2 + 1) / 4)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("{0},7", r"line 2: rating '7'; wanted: a whole number from 1 to 6, or empty"),
        ("{0},3.5", r"line 2: rating '3\.5'"),
        ("{0},good", r"line 2: rating 'good'"),
        ("{0},nan", r"line 2: rating 'nan'"),
        ("{0},4\n{0},4", r"line 3: id 'r[0-9a-f]+' stands in an earlier row too"),
        ("nobody,4", r"line 2: id 'nobody'; wanted: one that the key holds"),
        ("{0}", r"line 2: fewer fields"),
        ("{0},0\n{1},9", r"line 2: rating '0'.*; line 3: rating '9'"),
        ("\n".join(f"x{k},1" for k in range(7)), r"line 6: id 'x4'[^;]*; wanted[^;]*; and 2 more\. Correct"),
    ],
)
def test_rows_that_cannot_be_understood_are_named(sheet: Path, tmp_path: Path, rows: str, says: str) -> None:
    names = [row["id"] for row in _rows(sheet)]
    path = tmp_path / "anna.csv"
    path.write_text("id,rating\n" + rows.format(*names) + "\n")
    with pytest.raises(RecordError, match=says):
        read_ratings(tmp_path / "key.jsonl", [path])


def test_files_that_are_no_tables_are_named(sheet: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.jsonl"
    with pytest.raises(RecordError, match=r"none\.csv: cannot be read"):
        read_ratings(key, [tmp_path / "none.csv"])
    (tmp_path / "a.csv").write_text("id,note\n")
    with pytest.raises(RecordError, match=r"a\.csv, line 1: no column rating"):
        read_ratings(key, [tmp_path / "a.csv"])
    (tmp_path / "a.csv").write_bytes("id,rating\né,1\n".encode("latin-1"))
    with pytest.raises(RecordError, match="not UTF-8 at byte 10"):
        read_ratings(key, [tmp_path / "a.csv"])
    with pytest.raises(InputError, match="a name of its own"):
        read_ratings(key, [sheet, sheet])


def test_the_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(InputError, match=r'pip install "omnisila\[evaluate\]"'):
        agreement(np.array([[1.0, 2.0]]))


def test_the_papers_sum_and_its_place_in_a_scores_file(tmp_path: Path) -> None:
    judge = "explicit; LLM judge 1-10, seer, prompt 1"
    negative = "explicit; negative; LLM judge 1-10, seer, prompt 1"
    people = "explicit; human 1-6, mean of 3 raters"
    judged = Scores(
        system="ICM",
        scores=(
            Score(metric="Atr-R", variant=judge, value=9.02, count=30),
            Score(metric="Atr-R", variant=negative, value=8.0, count=10),
        ),
    )
    human = Scores(system="ICM", scores=(Score(metric="Atr-R", variant=people, value=4.95, count=25),))

    (both,) = sum_ratings(judged, human)

    assert both.value == pytest.approx(13.97)  # as Table 3 prints
    assert both.variant == "explicit; LLM judge 1-10 + human 1-6, seer, prompt 1, as summed in Omni-SILA Table 3"
    assert both.count == 25
    path = tmp_path / "scores.json"
    add_scores(path, [judged])
    add_scores(path, [human.replace(scores=(*human.scores, both))])
    add_scores(path, [Scores(system="ICM", scores=(judged.scores[0].replace(value=1.0),))])
    (kept,) = read_scores(path)
    assert {score.variant: score.value for score in kept.scores} == {
        judge: 1.0, negative: 8.0, people: 4.95, both.variant: both.value,
    }  # fmt: skip
    assert sum_ratings(Scores(system="ICM", scores=()), human) == ()
