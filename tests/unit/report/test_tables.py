"""Tables as Markdown, LaTeX and HTML: every figure arrives, and no text can act as markup."""

from collections.abc import Callable

import pytest

from omnisila.report.tables import Cell, Column, Row, Table, cell_text, html, latex, latex_text, markdown

TABLE = Table(
    name="one",
    title="A & B",
    heads=("system",),
    columns=(Column(head="Acc", group="Explicit"), Column(head="FNR↓", group="Explicit"), Column(head="n")),
    rows=(
        Row(names=("theirs",), cells=(Cell(value=71.4), Cell(value=33.38), Cell()), source="printed"),
        Row(
            names=("a|b_<i>",),
            cells=(Cell(value=2 / 3), Cell(value=1, low=0.5, high=1.25), Cell(text="7")),
            source="ours",
        ),
    ),
    notes=("50 % off",),
)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(value=0.125), "0.12"),
        (Cell(value=1.0, low=0.5, high=2.0), "1.00 [0.50, 2.00]"),
        (Cell(), "–"),
        (Cell(text="none"), "none"),
    ],
)
def test_cell_text(cell: Cell, text: str) -> None:
    assert cell_text(cell, 2) == text


def test_markdown_has_a_row_for_each_row() -> None:
    assert markdown(TABLE).splitlines() == [
        "## A & B",
        "",
        "| system | figures | Explicit Acc | Explicit FNR↓ | n |",
        "| --- | --- | --: | --: | --: |",
        "| theirs | printed | 71.40 | 33.38 | – |",
        "| a&#124;b_<i> | ours | 0.67 | 1.00 [0.50, 1.25] | 7 |",
        "",
        "* 50 % off",
    ]


def test_latex_groups_rules_and_escapes() -> None:
    text = latex(TABLE)
    assert r" &  & \multicolumn{2}{c}{Explicit} & \multicolumn{1}{c}{} \\" in text
    assert r"\cmidrule(lr){3-4}" in text
    assert r"\cmidrule(lr){5" not in text
    assert r"a|b\_<i> & ours & 0.67 & 1.00 [0.50, 1.25] & 7 \\" in text
    assert text.count(r"\midrule") == 2
    assert text.index(r"\end{tabular}") < text.index(r"50 \% off")


def test_latex_text_escapes_each_sign_once() -> None:
    assert latex_text(r"\{_}") == r"\textbackslash{}\{\_\}"


def test_html_marks_printed_rows_and_escapes(parsed: Callable[[str], str]) -> None:
    text = html((TABLE,), (("Curve", b"<svg/>"),), ("Losses: no log",))
    assert '<tbody class="printed">' in text
    assert "<i>" not in text
    assert "data:image/svg+xml;base64,PHN2Zy8+" in text
    shown = parsed(text)
    assert "a|b_<i> ours 0.67 1.00 [0.50, 1.25] 7" in shown
    assert "Losses: no log" in shown


@pytest.fixture
def parsed() -> Callable[[str], str]:
    from html.parser import HTMLParser

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.texts: list[str] = []

        def handle_data(self, data: str) -> None:
            self.texts.append(data)

    def of(page: str) -> str:
        reader = Text()
        reader.feed(page)
        return " ".join(" ".join(reader.texts).split())

    return of
