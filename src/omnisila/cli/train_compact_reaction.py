"""``omnisila train compact-reaction``: the embedded reaction model, from still faces."""

from pathlib import Path
from typing import Annotated

import typer


def compact_reaction(
    data: Annotated[
        Path | None,
        typer.Option(help="Data root with the set emotion_faces [$OMNISILA_DATA].", exists=True, file_okay=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder: model, card, and the states to resume from.")] = Path(
        "runs/compact-reaction"
    ),
    features: Annotated[Path | None, typer.Option(help="Feature cache. Default: <out>/../features.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train the compact reaction model on still faces, and measure it on people that it did not see.

    Takes some minutes; run it again to go on after a kill.
    """
    from omnisila.data.clips.manifest import data_root

    root = data or data_root()

    from omnisila.recipes.compact_reaction import CompactReaction
    from omnisila.recipes.compact_reaction_card import train_compact_reaction

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    train_compact_reaction(CompactReaction(), root, out, features or out.parent / "features", say)
