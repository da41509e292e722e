"""How all figures look: colours that the colour-blind tell apart, each with a line style and marker of its own."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omnisila.files import write_atomically

# Okabe and Ito's, without yellow, which white paper swallows
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P", "X")
TRUTH_COLOUR, QUIET_COLOUR = "#4d4d4d", "#8c8c8c"
_LOOK: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.titlesize": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e3e3e3", "grid.linewidth": 0.7, "legend.frameon": False, "lines.linewidth": 1.6,
    "lines.markersize": 5, "svg.fonttype": "path", "svg.hashsalt": "omnisila", "figure.facecolor": "white",
    "savefig.facecolor": "white",
}  # fmt: skip
_PNG_DPI = 160
_PLACE, _DIGEST = re.compile(r"(?<![^:])[^:]*/"), re.compile(r"@[0-9a-f]{12}$")


class Line(NamedTuple):
    """What tells one system from the others."""

    color: str
    linestyle: str
    marker: str


def line_of(index: int) -> Line:
    """The look of the system at a position; no two of the first 28 are alike."""
    return Line(
        COLOURS[index % len(COLOURS)],
        _LINES[(index % len(COLOURS) + index // len(COLOURS)) % len(_LINES)],
        _MARKERS[index % len(_MARKERS)],
    )


@contextmanager
def look() -> Iterator[None]:
    """Figures made and written within have the common look; the caller's own settings stay."""
    with mpl.rc_context(_LOOK):
        yield


def canvas(width_in: float, height_in: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure that needs no screen, with its axes row by row."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def legend_above(figure: Figure, *panels: Axes, columns: int = 4) -> None:
    """The panels' labelled things, each label once, above all axes: as many in a row as fit; rows make it higher."""
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels)
    found = {label: handle for pair in pairs for handle, label in pair}
    for count in range(min(columns, len(found)), 0, -1):
        legend = figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=count)
        extent, rows = legend.get_window_extent(), -(-len(found) // count)
        if count == 1 or extent.width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi * (1 - 1 / rows))
            return
        legend.remove()


def shorten_names(texts: Sequence[str], most: int = 28) -> list[str]:
    """Names of systems that fit beside an axis: without folders and digests, where they stay apart without them."""
    plain = [_PLACE.sub("", _DIGEST.sub("", text)) for text in texts]
    names = plain if len(set(plain)) == len(texts) else list(texts)
    return [text if len(text) <= most else f"…{text[1 - most :]}" for text in names]


def write_figure(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """The figure as SVG and PNG, the same bytes for the same figure.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = folder / f"{name}.svg", folder / f"{name}.png"
    for path, metadata in zip(paths, ({"Date": None}, {"Software": None}), strict=True):
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], dpi=_PNG_DPI, metadata=metadata)
        write_atomically(path, content.getvalue())
    return paths
