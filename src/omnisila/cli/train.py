"""``omnisila train``: a model from data sets, in one command that can be killed and repeated."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Train a model.")


@app.callback()
def _train() -> None:
    """Keeps ``train compact`` a sub-command while there is only one model to train."""


@app.command()
def compact(
    data: Annotated[Path | None, typer.Option(help="Data root with one folder a set. Default: $OMNISILA_DATA.")] = None,
    out: Annotated[Path, typer.Option(help="Run folder: the model, and the state to resume from.")] = Path(
        "runs/compact"
    ),
    features: Annotated[Path | None, typer.Option(help="Feature store. Default: <out>/../features.")] = None,
    copies: Annotated[int, typer.Option(help="Pixel-augmented copies of every clip, 0 to 3.", min=0, max=3)] = 0,
    folds: Annotated[
        bool, typer.Option("--folds", help="Also measure on folds by source, with all ablations (about an hour).")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes of one thread each.", min=1)] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train the compact ICM on the data sets under the data root; run it again to go on after a kill."""
    from omnisila.errors import InputError
    from omnisila.recipes.shipping import train_compact

    root = data or (Path(os.environ["OMNISILA_DATA"]) if "OMNISILA_DATA" in os.environ else None)
    if root is None:
        raise InputError("no data root. Set OMNISILA_DATA or give --data FOLDER with one folder a data set.")
    train_compact(
        root,
        out,
        features or out.parent / "features",
        copies=copies,
        with_folds=folds,
        workers=workers,
        say=None if quiet else lambda line: typer.echo(line, err=True),
    )
