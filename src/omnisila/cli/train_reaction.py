"""``omnisila train reaction``: a row of the reaction paper's tables, from cached features."""

from pathlib import Path
from typing import Annotated

import typer


def _print_rows(wanted: bool) -> None:
    if wanted:
        from omnisila.recipes.reaction import ROWS

        typer.echo("querying: a Video-LLM's own answers, given with --answers")
        for name, row in ROWS.items():
            typer.echo(f"{name}: {row().name}")
        raise typer.Exit


def reaction(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Hume-Reaction's labels, in either layout.")],
    row: Annotated[str, typer.Option(help="A row of the paper's tables; see --rows.")],
    out: Annotated[Path, typer.Option(help="Run folder: model, predictions, scores, and the state to resume from.")],
    features: Annotated[Path | None, typer.Option(help="Folder with a table of features a stream.")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="For --row querying: the predictions.jsonl of the system that was asked.")
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Columns clip and subject: the epoch is then chosen, and intervals are drawn, by person, not by clip.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most; by default as the row has it.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and held-out clips.", min=0)] = 0,
    rows: Annotated[
        bool, typer.Option("--rows", is_eager=True, callback=_print_rows, help="List the rows and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train a model of emotional reaction intensity and score it on the development split.

    Run it again to go on after a kill.
    """
    del rows  # handled by its callback
    from omnisila.errors import InputError
    from omnisila.recipes.reaction import chosen_row
    from omnisila.recipes.reaction_training import querying, reactions, train_row

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    if row == "querying":
        if answers is None:
            raise InputError("row querying needs --answers FILE: what omnisila predict wrote of the asked Video-LLM.")
        querying(reactions(data, subjects), answers, out, say=say)
        return
    chosen = chosen_row(row)
    if features is None:
        raise InputError(f"row {row} needs --features FOLDER with a table of each of {', '.join(chosen.streams)}.")
    training = chosen.training.replace(seed=seed, epochs=epochs or chosen.training.epochs)
    chosen = chosen.replace(training=training)
    train_row(chosen, reactions(data, subjects), features, out, say=say)
