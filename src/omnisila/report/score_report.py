"""A report of scores: every table and figure that its inputs allow, and why the others are left out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import InputError, needing
from omnisila.files import check_writable, write_atomically
from omnisila.labels import LABEL_SETS
from omnisila.report.paper_tables import paper_table
from omnisila.report.printed import printed_tables
from omnisila.report.score_tables import all_scores, differences, is_difference, per_label, per_label_table
from omnisila.report.tables import Table, html, latex, markdown
from omnisila.report.timing import inference_time
from omnisila.schema import Example, Prediction, Score, Scores
from omnisila.systems import short_names

FORMATS = ("markdown", "latex", "html")


class Material(NamedTuple):
    """What a report is made of; all but the scores may be empty."""

    scores: tuple[Scores, ...]
    examples: tuple[Example, ...] = ()
    predictions: Mapping[str, Sequence[Prediction]] = {}
    logs: tuple[Path, ...] = ()


class Written(NamedTuple):
    """The files of a report, and what it lacks and why."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_score_report(
    material: Material, folder: Path, formats: Sequence[str] = FORMATS, video: str | None = None
) -> Written:
    """Write ``tables.md``, ``tables/*.tex``, ``index.html`` and ``figures/*.svg`` and ``.png`` into a folder.

    Args:
        folder: made when missing; files of an earlier report are replaced.
        formats: of ``FORMATS``; figures are drawn in any case.
        video: the one that systems are shown side by side on; by default the one they differ on most.

    Raises:
        InputError: matplotlib is missing, or ``video`` is no eventful one with a locate example.
        OutputError: the folder cannot be written to.
    """
    check_writable(folder)
    material = _with_short_names(material)
    systems = with_inference_time(material)
    tables, left_out = tables_of(systems)
    drawn = _figures(systems, material, folder / "figures", video)
    left_out += drawn.left_out
    files = list(drawn.files)
    if "markdown" in formats:
        files.append(_put(folder / "tables.md", "\n".join(markdown(table) for table in tables)))
    if "latex" in formats:
        files += [_put(folder / "tables" / f"{table.name}.tex", latex(table)) for table in tables]
    if "html" in formats:
        pictures = tuple((title, path.read_bytes()) for title, path in drawn.shown)
        files.append(_put(folder / "index.html", html(tables, pictures, left_out)))
    return Written(tuple(files), left_out)


def tables_of(systems: Sequence[Scores]) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """The papers' tables that any figure fits, those of each label, differences, all scores; and what is left out."""
    papers = [(printed, paper_table(printed, systems)) for printed in printed_tables()]
    compared = differences(systems)
    tables = (
        *(table for _, table in papers if table is not None),
        *(per_label_table(figures) for figures in per_label(systems)),
        *([compared] if compared is not None else []),
        all_scores(systems),
    )
    absent = [f"{printed.title}: none of its figures was measured" for printed, table in papers if table is None]
    if compared is None:
        absent.append("Differences between systems: the scores are not of several systems scored together")
    return tables, tuple(absent)


def join_score_files(files: Sequence[tuple[Path, Sequence[Scores]]]) -> tuple[Scores, ...]:
    """The scores of several files, one entry a system.

    A figure without a label set (a count of answers) that two files give differently is told apart by its file.

    Raises:
        InputError: two files give a system different values of one figure of a label set.
    """
    found: dict[str, dict[tuple[str, str], Score]] = {}
    for path, systems in files:
        for system in systems:
            known = found.setdefault(system.system, {})
            for score in system.scores:
                known |= _add_score(known, system.system, score, path)
    return tuple(Scores(system=name, scores=tuple(scores.values())) for name, scores in found.items())


def with_inference_time(material: Material) -> tuple[Scores, ...]:
    """The scores, with the inference time of the systems whose predictions say it."""
    known = {system.system: system for system in material.scores}
    for system, predictions in material.predictions.items():
        before = known.get(system, Scores(system=system, scores=()))
        known[system] = before.replace(scores=(*before.scores, *inference_time(material.examples, predictions)))
    return tuple(known.values())


def _with_short_names(material: Material) -> Material:
    own = [system.system for system in material.scores if not is_difference(system)]
    names = short_names([*own, *material.predictions])
    pairs = {f"{late} minus {first}": f"{names[late]} minus {names[first]}" for late in names for first in names}
    return material._replace(
        scores=tuple(
            system.replace(system={**names, **pairs}.get(system.system, system.system)) for system in material.scores
        ),
        predictions={names[name]: predictions for name, predictions in material.predictions.items()},
    )


class _Drawn(NamedTuple):
    files: tuple[Path, ...]
    shown: tuple[tuple[str, Path], ...]
    left_out: tuple[str, ...]


def _figures(systems: Sequence[Scores], material: Material, folder: Path, video: str | None) -> _Drawn:
    with needing("matplotlib", "a report with figures", "evaluate"):
        from omnisila.report.figures.gallery import gallery
        from omnisila.report.figures.style import look, write_figure

    files: list[Path] = []
    shown, left_out = [], []
    with look():
        for picture in gallery(systems, material.examples, material.predictions, material.logs, video):
            if picture.figure is None:
                left_out.append(f"{picture.title}: {picture.reason}")
                continue
            paths = write_figure(picture.figure, folder, picture.name)
            files += paths
            shown.append((picture.title, paths[0]))
    return _Drawn(tuple(files), tuple(shown), tuple(left_out))


def _add_score(
    known: Mapping[tuple[str, str], Score], system: str, score: Score, path: Path
) -> dict[tuple[str, str], Score]:
    before = known.get((score.metric, score.variant))
    if before is None or before == score:
        return {(score.metric, score.variant): score}
    if score.variant.partition("; ")[0] in LABEL_SETS:
        raise InputError(
            f"{path}: {system} has {score.metric} ({score.variant}) {score.value}, but {before.value} in a file before "
            "it. They are of different examples: make a report of each."
        )
    variant = f"{score.variant}; {path}"
    return {(score.metric, variant): score.replace(variant=variant)}


def _put(path: Path, text: str) -> Path:
    write_atomically(path, text)
    return path
