"""The paper map leads to code that exists and names the paper's place again."""

import importlib
import re
from pathlib import Path

import pytest

from omnisila.recipes.rows.table import BASELINES, HAWKEYE, ICM, REACTION, Row

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\|(?P<place>[^|]*)\|(?P<item>[^|]*)\|\s*`(?P<name>omnisila\.[\w.]+)`\s*\|$")
ROWS = [match for line in (DOCS / "paper_map.md").read_text().splitlines() if (match := ROW.match(line))]


def named(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_row_of_the_map_is_read() -> None:
    rows = [line for line in (DOCS / "paper_map.md").read_text().splitlines() if "`omnisila." in line]
    assert len(ROWS) == len(rows) > 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_name_exists_and_says_what_it_is(row: re.Match[str]) -> None:
    assert getattr(named(row["name"]), "__doc__", None)


@pytest.mark.parametrize("row", [row for row in ROWS if "Eq" in row["place"]], ids=lambda row: row["name"])
def test_an_equations_code_cites_the_equation(row: re.Match[str]) -> None:
    documentation = named(row["name"]).__doc__ or ""
    for number in re.findall(r"\((\d+)\)", row["place"]):
        assert f"({number})" in documentation.split("Source:")[-1]


@pytest.mark.parametrize(("paper", "equations"), [("Omni-SILA / ICM", 4), ("Hawkeye", 9)])
def test_every_equation_of_a_paper_has_a_row(paper: str, equations: int) -> None:
    _, _, after = (DOCS / "paper_map.md").read_text().partition(f"## {paper}\n")
    section, _, _ = after.partition("\n## ")
    places = " ".join(row["place"] for line in section.splitlines() if (row := ROW.match(line)))
    assert all(f"({number})" in places for number in range(1, equations + 1))


@pytest.mark.parametrize(
    ("option", "rows"),
    [
        ("train icm --recipe", ICM),
        ("train hawkeye --recipe", HAWKEYE),
        ("train baseline", BASELINES),
        ("train reaction --row", REACTION),
    ],
)
def test_every_row_of_the_tables_is_in_the_map(option: str, rows: dict[str, Row]) -> None:
    lines = set((DOCS / "paper_map.md").read_text().splitlines())
    assert {f"| {row.source} | {row.title} | `{option} {name}` |" for name, row in rows.items()} <= lines
