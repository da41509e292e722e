"""``omnisila report``: scores as tables beside the papers' printed ones, and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisila.cli.arguments import LabelFiles, Quiet, ScoredSplit, file_argument, file_option, split_names
from omnisila.cli.telling import tell
from omnisila.labels import known_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omnisila.data.asked_examples import Asked
    from omnisila.schema import Prediction


def report(
    scores: Annotated[list[Path], file_argument("SCORES...", "scores.json files of omnisila score.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    examples: Annotated[
        Path | None, typer.Option(help="The examples.jsonl that were scored: for figures of single videos and items.")
    ] = None,
    predictions: Annotated[
        list[Path] | None, typer.Option(help="A system's predictions, in any form that score takes; repeat it.")
    ] = None,
    split: ScoredSplit = None,
    labels: LabelFiles = None,
    log: Annotated[
        list[Path] | None, file_option("losses.jsonl of a run folder, for loss curves; repeat it to compare.")
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Shown side by side. Default: the one that systems differ on most.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Of tables, with commas between: markdown, latex, html.")
    ] = "markdown,latex,html",
    quiet: Quiet = False,
) -> None:
    """Write tables, with the papers' printed figures marked as printed, and the figures that the inputs allow.

    Exit status: 0 written, 2 wrong usage or files that are not as expected.
    """
    from omnisila.data.asked_examples import Asked, read_asked
    from omnisila.errors import InputError, check_known
    from omnisila.evaluation.score_files import read_scores
    from omnisila.files import check_writable
    from omnisila.report.score_report import FORMATS, Material, join_score_files, write_score_report

    known_sets(labels or ())
    check_writable(out)
    wanted = split_names([formats])
    check_known("format", wanted, FORMATS)
    if predictions and examples is None:
        raise InputError("--predictions without the examples that they answer. Give --examples too.")
    asked = Asked((), (), "") if examples is None else read_asked(examples, split)
    said = _read_predictions(predictions or [], asked)
    material = Material(
        join_score_files([(path, read_scores(path)) for path in scores]), asked.examples, said, tuple(log or ())
    )
    written = write_score_report(material, out, wanted, video)
    if quiet:
        return
    for reason in written.left_out:
        tell(f"left out: {reason}")
    tell(f"{out}: {len(written.files)} files")


def _read_predictions(paths: "list[Path]", asked: "Asked") -> "dict[str, Sequence[Prediction]]":
    """Each system's predictions.

    Raises:
        InputError: two files of one system.
    """
    from omnisila.errors import InputError
    from omnisila.predictions.read import read_predictions

    said: dict[str, Sequence[Prediction]] = {}
    for path in paths:
        system = read_predictions(path, asked.examples, others=asked.others)
        if system.name in said:
            raise InputError(
                f"{path}: predictions of {system.name}, as in a file before it. Give each system one file."
            )
        said[system.name] = system.predictions
    return said
