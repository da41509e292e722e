"""A table of figures, and how it is written as Markdown, LaTeX (booktabs) and HTML.

Every row says where its figures come from: printed in a paper, ours (measured here, of any system), or trivial
(measured here of a system that looks at nothing).
"""

from itertools import groupby
from typing import Literal

from omnisila.config import Frozen
from omnisila.report.templates import render

Source = Literal["printed", "ours", "reference"]
SOURCE_WORDS: dict[Source, str] = {"printed": "printed", "ours": "ours", "reference": "trivial"}
UNKNOWN = "–"
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--",
    "λ": r"$\lambda$", "×": r"$\times$", "α": r"$\alpha$", "β": r"$\beta$", "…": r"\ldots{}", "\n": " ",
}  # fmt: skip


class Cell(Frozen):
    """A figure with the bounds of its 95 % interval, or a word; neither when nothing is known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    text: str | None = None


class Column(Frozen):
    """A column's heading, below a heading that neighbours may share; ``digits`` are those after the point."""

    head: str
    group: str = ""
    digits: int = 2


class Row(Frozen):
    """A row; ``names`` stand below the table's ``heads``."""

    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    source: Source | None = None


class Table(Frozen):
    """A table; ``name`` is that of its file."""

    name: str
    title: str
    heads: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def has_sources(self) -> bool:
        return any(row.source is not None for row in self.rows)

    @property
    def blocks(self) -> tuple[tuple[Source | None, tuple[Row, ...]], ...]:
        """The rows in stretches of one source."""
        stretches = (tuple(rows) for _, rows in groupby(self.rows, lambda row: row.source))
        return tuple((rows[0].source, rows) for rows in stretches)

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """The shared headings, with how many columns each spans."""
        return tuple(
            (group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)
        )


def cell_text(cell: Cell, digits: int) -> str:
    """The figure, then its interval."""
    if cell.text is not None:
        return cell.text
    if cell.value is None:
        return UNKNOWN
    text = f"{cell.value:.{digits}f}"
    return text if (bounds := interval_text(cell, digits)) is None else f"{text} {bounds}"


def interval_text(cell: Cell, digits: int) -> str | None:
    """The interval alone; None without one."""
    if cell.low is None or cell.high is None:
        return None
    return f"[{cell.low:.{digits}f}, {cell.high:.{digits}f}]"


def markdown(table: Table) -> str:
    """The table below its title, above its notes."""
    heads = [*table.heads, *(["figures"] if table.has_sources else [])]
    heads += [f"{column.group} {column.head}".strip() for column in table.columns]
    names = len(heads) - len(table.columns)
    lines = [
        f"## {table.title}",
        "",
        _markdown_row(heads),
        _markdown_row(["---"] * names + ["--:"] * len(table.columns)),
    ]
    lines += [_markdown_row(_texts(table, row)) for row in table.rows]
    lines += ["", *(f"* {_flat(note)}" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def latex(table: Table) -> str:
    """A ``table`` environment for a document with ``booktabs`` and ``graphicx``; notes stand below it."""
    names = len(table.heads) + table.has_sources
    lines = [
        r"\begin{table*}",
        r"\centering\small",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * names}{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    if any(group for group, _ in table.groups):
        lines += _latex_groups(table, names)
    heads = [*table.heads, *(["figures"] if table.has_sources else []), *(column.head for column in table.columns)]
    lines += [_latex_row(heads), r"\midrule"]
    for index, (_, rows) in enumerate(table.blocks):
        lines += [*([r"\midrule"] if index else []), *(_latex_row(_texts(table, row)) for row in rows)]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\par\raggedright\footnotesize"]
    lines += [rf"{latex_text(note)}\par" for note in table.notes]
    lines.append(r"\end{table*}")
    return "\n".join(lines) + "\n"


def html(tables: tuple[Table, ...], figures: tuple[tuple[str, bytes], ...] = (), left_out: tuple[str, ...] = ()) -> str:
    """One page that loads nothing."""
    return render(
        "tables.html",
        tables=tables,
        figures=figures,
        left_out=left_out,
        source_words=SOURCE_WORDS,
        value_text=lambda cell, digits: cell_text(cell.replace(low=None, high=None), digits),
        interval_text=interval_text,
    )


def latex_text(text: str) -> str:
    """Text in which LaTeX finds no command of its own."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _texts(table: Table, row: Row) -> list[str]:
    source = [SOURCE_WORDS[row.source] if row.source else ""] if table.has_sources else []
    cells = zip(row.cells, table.columns, strict=True)
    return [*row.names, *source, *(cell_text(cell, column.digits) for cell, column in cells)]


def _markdown_row(texts: list[str]) -> str:
    return f"| {' | '.join(_flat(text).replace('|', '&#124;') for text in texts)} |"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _latex_row(texts: list[str]) -> str:
    return " & ".join(latex_text(text) for text in texts) + r" \\"


def _latex_groups(table: Table, names: int) -> list[str]:
    heads, rules, first = ["" for _ in range(names)], "", names + 1
    for group, span in table.groups:
        heads.append(rf"\multicolumn{{{span}}}{{c}}{{{latex_text(group)}}}")
        rules += rf"\cmidrule(lr){{{first}-{first + span - 1}}}" if group else ""
        first += span
    return [" & ".join(heads) + r" \\", rules]
