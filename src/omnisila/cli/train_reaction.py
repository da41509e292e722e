"""``omnisila train reaction``: a row of the reaction paper's tables, from cached features."""

from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import Quiet, file_option, folder_argument, folder_option
from omnisila.cli.telling import tell, teller
from omnisila.recipes.rows.table import QUERYING, REACTION, reaction_row


def _print_rows(wanted: bool) -> None:
    if wanted:
        tell(f"{QUERYING}: a Video-LLM's own answers, given with --answers")
        for name, row in REACTION.items():
            tell(f"{name}: {row.title}")
        raise typer.Exit


def reaction(
    data: Annotated[Path, folder_argument("FOLDER", "Hume-Reaction's labels, in either layout.")],
    row: Annotated[str, typer.Option(help="A row of the paper's tables; see --rows.")],
    out: Annotated[Path, typer.Option(help="Run folder: model, predictions, scores, and the state to resume from.")],
    features: Annotated[Path | None, folder_option("Folder with a table of features a stream.")] = None,
    answers: Annotated[
        Path | None, file_option("For --row querying: the predictions.jsonl of the system that was asked.")
    ] = None,
    subjects: Annotated[
        Path | None,
        file_option(
            "Columns clip and subject: the epoch is then chosen, and intervals are drawn, by person, not by clip.",
            metavar="CSV",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most; by default as the row has it.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and held-out clips.", min=0)] = 0,
    rows: Annotated[
        bool, typer.Option("--rows", is_eager=True, callback=_print_rows, help="List the rows and stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model of emotional reaction intensity and score it on the development split.

    Run it again to resume.
    """
    del rows  # handled by its callback
    from omnisila.data.sets.hume_reaction import read
    from omnisila.errors import InputError
    from omnisila.files import check_writable
    from omnisila.records import records
    from omnisila.schema import Prediction
    from omnisila.tables import read_table

    if row == QUERYING and answers is None:
        raise InputError("row querying needs --answers FILE: what omnisila predict wrote of the asked Video-LLM.")
    if answers is not None:
        deque(records(answers, Prediction), maxlen=0)
    if row != QUERYING:
        streams = reaction_row(row).changes["streams"]
        if features is None:
            raise InputError(
                f"row {row} needs --features FOLDER with a table of each of {', '.join(streams.values())}."
            )

    read(data)
    if row != QUERYING and features is not None:
        tables = [features / f"{name}.safetensors" for name in reaction_row(row).changes["streams"].values()]
        if absent := [str(path) for path in tables if not path.is_file()]:
            raise InputError(f"row {row}: no {', '.join(absent)}. Make them with omnisila extract-reaction.")
    if subjects is not None:
        read_table(subjects, ("clip", "subject"))
    check_writable(out)

    say = teller(quiet)

    from omnisila.recipes.rows.reaction import reaction_recipe
    from omnisila.recipes.shipping.reaction import querying, reactions, train_row

    if answers is not None and row == QUERYING:
        querying(reactions(data, subjects), answers, out, say=say)
    elif features is not None:
        chosen = reaction_recipe(row)
        training = chosen.training.replace(seed=seed, epochs=epochs or chosen.training.epochs)
        train_row(chosen.replace(training=training), reactions(data, subjects), features, out, say=say)
