"""``omnisila rate``: stated causes in a table for people to rate from 1 to 6, and their ratings as scores (Atr-R)."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import SPLIT_HELP, Draws, Quiet, file_option
from omnisila.cli.telling import tell


def rate(
    examples: Annotated[
        Path | None, typer.Argument(metavar="EXAMPLES", help="With --sheet: an examples.jsonl, as prepare writes it.")
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PREDICTIONS...", help="With --sheet: one file a system, of any form that score takes."),
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a CSV table here; give each rater a copy.")] = None,
    read: Annotated[
        list[Path] | None, file_option("A rated table, named after its rater; once for each rater.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            help="Which systems each row is from; not for raters. By default SHEET.key.jsonl; --read finds the one "
            "beside the rated tables."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="With --read: put the scores into this scores.json; where a judge's stand there, the sum too."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help=f"With --sheet. {SPLIT_HELP}")] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --sheet: orders the rows and makes their ids.")] = 0,
    draws: Draws = 1000,
    quiet: Quiet = False,
) -> None:
    """Write stated causes as a table without their systems' names (--sheet), or score the rated tables (--read).

    Exit status: 0 done, 2 wrong usage or files that are not as expected.
    """
    from omnisila.errors import InputError

    if (sheet is None) == (not read):
        raise InputError("give either --sheet with examples and predictions, or --read for each rated table.")
    if sheet is not None:
        if examples is None or not predictions:
            raise InputError(f"--sheet {sheet}: no causes to rate. Give an examples.jsonl and predictions.")
        from omnisila.evaluation.rating_tables import KEY_SUFFIX

        _write(examples, predictions, sheet, key or sheet.with_suffix(KEY_SUFFIX), split, seed, quiet)
        return
    _score(key, read or [], scores, draws, quiet)


def _write(
    examples: Path, predictions: list[Path], sheet: Path, key: Path, split: str | None, seed: int, quiet: bool
) -> None:
    from omnisila.cli.scored_systems import read_asked_and_said
    from omnisila.evaluation.answers import stated_causes
    from omnisila.evaluation.rating_tables import rating_sheet

    rows = rating_sheet(sheet, key, stated_causes(*read_asked_and_said(examples, predictions, split)), seed)
    if not quiet:
        tell(f"{sheet}: {rows} causes to rate from 1 (completely wrong) to 6 (completely correct)")
        tell(f"{key}: keep it beside the rated tables; omnisila rate --read RATED.csv needs it")


def _score(key: Path | None, sheets: list[Path], scores: Path | None, draws: int, quiet: bool) -> None:
    from omnisila.cli.scored_systems import echo_scores
    from omnisila.evaluation.mean_ratings import add_scores, sum_ratings
    from omnisila.evaluation.rating_tables import key_of, rating_scores, read_ratings
    from omnisila.evaluation.score_files import read_scores

    result = rating_scores(read_ratings(key or key_of(sheets), sheets), draws)
    if scores is not None:
        known = {system.system: system for system in read_scores(scores)} if scores.exists() else {}
        result = tuple(
            system.replace(scores=(*system.scores, *sum_ratings(known[system.system], system)))
            if system.system in known
            else system
            for system in result
        )
        add_scores(scores, result)
    if not quiet:
        echo_scores(result)
