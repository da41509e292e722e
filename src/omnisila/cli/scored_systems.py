"""What commands that rate causes share: files of systems in, figures out."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from omnisila.evaluation.scored import System
    from omnisila.schema import Example, Scores


def asked_and_said(examples: Path, predictions: list[Path], split: str) -> "tuple[list[Example], list[System]]":
    """The examples of a split, and the systems that answered them.

    Raises:
        InputError: a file is not as expected, or holds no example of the split.
    """
    from omnisila.errors import InputError
    from omnisila.evaluation.scored import System
    from omnisila.records import records
    from omnisila.report.imports import predictions_from
    from omnisila.schema import Example

    asked = [example for example in records(examples, Example) if example.split == split]
    if not asked:
        raise InputError(f"{examples}: no example of split {split!r}. Choose another with --split.")
    said = [predictions_from(path, asked) for path in predictions]
    return asked, [System(one.system, one.predictions, len(one.strangers)) for one in said]


def echo_scores(result: "tuple[Scores, ...]") -> None:
    """One line a figure."""
    for one in result:
        typer.echo(one.system)
        for score in one.scores:
            value = "-" if score.value is None else f"{score.value:.4g}"
            between = "" if score.low is None or score.high is None else f" [{score.low:.4g}, {score.high:.4g}]"
            note = f" ({score.note})" if score.note else ""
            typer.echo(f"  {score.metric}: {value}{between} of {score.count}  {score.variant}{note}")
