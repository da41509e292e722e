"""The papers' tables with our systems below the printed rows.

Printed figures and ours stand in one table to be looked at, not to be ranked: ours compare with the printed ones only
where they were measured on the same videos. Source: Omni-SILA Tables 1-3, Hawkeye Tables 1-2, emotional-reaction paper
Tables 3-6.
"""

from collections.abc import Iterator, Sequence

from omnisila.report.printed import PrintedColumn, PrintedTable
from omnisila.report.score_tables import is_difference, source_of
from omnisila.report.tables import Cell, Column, Row, Table
from omnisila.schema import Score, Scores

_SAME_FOOTAGE = (
    "Our rows are of the examples that were scored here; they compare with the printed ones only where these are the "
    "paper's own test videos."
)


def paper_table(printed: PrintedTable, systems: Sequence[Scores]) -> Table | None:
    """The table with the rows of all systems that have a figure for any of its columns; None without any such row."""
    ours = [row for system in systems if not is_difference(system) if (row := _row(printed, system)) is not None]
    if not any(row.source == "ours" for row in ours):
        return None
    ours.sort(key=lambda row: row.source == "reference")  # stable: systems stay in their order
    copied = [
        Row(names=(row.name,), cells=tuple(Cell(value=value) for value in row.values), source="printed")
        for row in printed.rows
    ]
    return Table(
        name=printed.name,
        title=printed.title,
        heads=(printed.systems,),
        columns=tuple(Column(head=column.head, group=column.group, digits=column.digits) for column in printed.columns),
        rows=(*copied, *ours),
        notes=(*printed.notes, _SAME_FOOTAGE, *_variants(printed, systems)),
    )


def score_of(column: PrintedColumn, scores: Sequence[Score]) -> Score | None:
    """The score that a column asks for."""
    for score in scores:
        if score.metric == column.metric and _is_variant(column.variant, score.variant):
            return score
    return None


def _is_variant(wanted: str, variant: str) -> bool:
    return variant.startswith(wanted[:-1]) if wanted.endswith("*") else variant == wanted


def _row(printed: PrintedTable, system: Scores) -> Row | None:
    cells = tuple(_cell(column, score_of(column, system.scores)) for column in printed.columns)
    known = any(cell.value is not None for cell in cells)
    return Row(names=(system.system,), cells=cells, source=source_of(system)) if known else None


def _cell(column: PrintedColumn, score: Score | None) -> Cell:
    if score is None:
        return Cell()
    value, low, high = (
        None if bound is None else bound * column.scale for bound in (score.value, score.low, score.high)
    )
    return Cell(value=value, low=low, high=high)


def _variants(printed: PrintedTable, systems: Sequence[Scores]) -> Iterator[str]:
    """What each measured column is, exactly; columns of one kind are told together."""
    told: dict[str, list[PrintedColumn]] = {}
    for column in printed.columns:
        found = (score_of(column, system.scores) for system in systems if not is_difference(system))
        for variant in dict.fromkeys(score.variant for score in found if score is not None and score.value is not None):
            which = variant.replace(f"; {column.head}", "; the column's label")
            unit = "" if column.scale == 1 else f", x {column.scale:g}"
            told.setdefault(f"{column.metric} ({which}){unit}", []).append(column)
    yield from (f"Ours, {_heads(columns, printed)}: {score}." for score, columns in told.items())


def _heads(columns: Sequence[PrintedColumn], printed: PrintedTable) -> str:
    """Their headings; the shared one alone where all that it spans are meant."""
    group = columns[0].group
    if group and len(columns) > 1 and list(columns) == [column for column in printed.columns if column.group == group]:
        return group
    return ", ".join(f"{column.group} {column.head}".strip() for column in columns)
