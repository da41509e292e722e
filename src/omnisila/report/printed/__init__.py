"""The figures that the papers print, one JSON file a paper, and which of our scores each column compares with.

A ``variant`` that ends with ``*`` is the first score whose variant begins like it: what follows names a model or a
number of raters. ``scale`` turns our figures into the paper's unit.
"""

from importlib.resources import files

from pydantic import TypeAdapter

from omnisila.config import Frozen

PAPERS = ("icm", "hawkeye", "reaction")


class PrintedColumn(Frozen):
    """A printed column, and the score that it compares with."""

    group: str
    head: str
    metric: str
    variant: str
    digits: int
    scale: float


class PrintedRow(Frozen):
    """A printed row: a system or an ablation."""

    name: str
    values: tuple[float, ...]


class PrintedTable(Frozen):
    """A table as its paper prints it; ``systems`` heads its first column, ``notes`` hold errata and readings."""

    name: str
    title: str
    systems: str
    columns: tuple[PrintedColumn, ...]
    rows: tuple[PrintedRow, ...]
    notes: tuple[str, ...]


_TABLES = TypeAdapter(tuple[PrintedTable, ...])


def printed_tables() -> tuple[PrintedTable, ...]:
    """All tables, paper by paper."""
    folder = files(__name__)
    return tuple(
        table for paper in PAPERS for table in _TABLES.validate_json(folder.joinpath(f"{paper}.json").read_bytes())
    )
