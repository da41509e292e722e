"""The papers' tables: printed figures recompute unless a note says otherwise, and ours land in their columns."""

import pytest

from omnisila.evaluation.answers import FLAG_ALL
from omnisila.report.paper_tables import paper_table
from omnisila.report.printed import PrintedTable, printed_tables
from omnisila.schema import Score, Scores

PRINTED = {table.name: table for table in printed_tables()}
GRID = "frames, micro; 8 Hz grid"


def scores(system: str, *values: tuple[str, str, float]) -> Scores:
    return Scores(
        system=system,
        scores=tuple(Score(metric=metric, variant=variant, value=value, count=3) for metric, variant, value in values),
    )


@pytest.mark.parametrize("table", PRINTED.values(), ids=PRINTED)
def test_rows_are_as_wide_as_the_table(table: PrintedTable) -> None:
    assert {len(row.values) for row in table.rows} == {len(table.columns)}


def test_only_averages_named_in_the_notes_do_not_recompute() -> None:
    wrong = set()
    for name, places in (("icm-1", (3, 10)), ("hawkeye-1", (2, 9))):
        table = PRINTED[name]
        for row in table.rows:
            for place in places:
                *parts, mean = row.values[place : place + 4]
                if abs(sum(parts) / 3 - mean) > 0.035:
                    wrong.add((name, row.name, mean))
                    assert f"{mean:.2f}" in " ".join(table.notes)
    assert wrong == {
        ("icm-1", "VideoChat", 22.63),
        ("icm-1", "ICM", 25.21),
        ("icm-1", "ICM", 27.88),
        ("icm-1", "ICM w/o SBM", 23.68),
        ("hawkeye-1", "VideoChat", 22.63),
    }


def test_single_atr_r_column_is_the_sum_of_table_2() -> None:
    second = {row.name: row.values for row in PRINTED["icm-2"].rows}["ICM"]
    third = {row.name: row.values for row in PRINTED["icm-3"].rows}["ICM"]
    assert (third[5], third[11]) == pytest.approx((second[3] + second[4], second[8] + second[9]))


def test_only_the_emotions_average_named_in_the_notes_does_not_recompute() -> None:
    table = PRINTED["reaction-5"]
    wrong = [row for row in table.rows if abs(sum(row.values[:-1]) / 7 - row.values[-1]) > 1e-4]
    assert [row.name for row in wrong] == ["Video-LLaVA 2"]
    assert "0.3011, recomputes to 0.3014" in table.notes[0]


def test_ours_stand_below_printed_rows_in_percent() -> None:
    fnr = Score(metric="FNR", variant=f"anomaly; Arson; {GRID}", value=0.25, low=0.1, high=0.5, count=4)
    table = paper_table(
        PRINTED["hawkeye-2"],
        [scores(FLAG_ALL, ("FNR", f"anomaly; Arson; {GRID}", 0.0)), Scores(system="mine", scores=(fnr,))],
    )
    assert table is not None
    assert [(row.names[0], row.source) for row in table.rows[-3:]] == [
        ("Hawkeye", "printed"),
        ("mine", "ours"),
        (FLAG_ALL, "reference"),
    ]
    arson = [column.head for column in table.columns].index("Arson")
    cell = table.rows[-2].cells[arson]
    assert (cell.value, cell.low, cell.high) == (25.0, 10.0, 50.0)
    assert [cell.value for cell in table.rows[-2].cells].count(None) == 12
    assert any(
        note.startswith("Ours, FNR↓ Arson: FNR (anomaly; the column's label; frames, micro; 8 Hz grid), x 100")
        for note in table.notes
    )


def test_open_variants_take_the_first_that_begins_alike() -> None:
    table = paper_table(
        PRINTED["icm-2"],
        [
            scores(
                "mine",
                ("Atr-R", "explicit; LLM judge 1-10 + human 1-6, x", 12.0),
                ("Atr-R", "explicit; LLM judge 1-10, some model, prompt 1", 8.0),
                ("Sem-C", "explicit; cosine x 100, minilm", 61.0),
                ("Sem-C", "explicit; cosine x 100, minilm; causes of other items", 9.0),
            )
        ],
    )
    assert table is not None
    assert [cell.value for cell in table.rows[-1].cells[:4]] == [None, 61.0, None, 8.0]


def test_table_without_any_of_our_figures_is_none() -> None:
    trivial = scores(FLAG_ALL, ("Pearson", "reaction; mean over emotions", 0.0))
    other = scores("mine", ("accuracy", "explicit; window level", 0.5))
    assert paper_table(PRINTED["reaction-3"], [trivial, other]) is None


def test_differences_are_no_system() -> None:
    difference = scores("b minus a", ("difference of Pearson", "reaction; mean over emotions", 0.1))
    own = scores("a", ("Pearson", "reaction; mean over emotions", 0.3))
    table = paper_table(PRINTED["reaction-3"], [own, difference])
    assert table is not None
    assert [row.names[0] for row in table.rows if row.source != "printed"] == ["a"]
