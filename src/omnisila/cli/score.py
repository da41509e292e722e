"""``omnisila score``: any system's predictions against prepared examples, as named numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from omnisila.evaluation.attributing import SentenceEncoder

_SHOWN = 5  # strangers named one by one


def score(
    examples: Annotated[
        Path,
        typer.Argument(
            metavar="EXAMPLES", help="An examples.jsonl, as prepare writes it.", exists=True, dir_okay=False
        ),
    ],
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="PREDICTIONS...",
            help="One file a system, or NAME=FILE: predictions.jsonl, the folder of analyze, ActivityNet JSON, a CSV "
            "of spans, raw answers.",
        ),
    ],
    split: Annotated[str, typer.Option(help="The split that is scored: train, val or test.")] = "test",
    out: Annotated[Path, typer.Option(help="Where the scores go.")] = Path("scores.json"),
    draws: Annotated[int, typer.Option(min=0, help="Draws of the bootstrap over videos; 0: no intervals.")] = 1000,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder for Sem-C: a model's folder, or minilm for the packaged one.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Score systems beside flag-all, flag-none and chance; every later system is also compared with the first.

    Exit status: 0 scored, 2 wrong usage or files that are not as expected.
    """
    from omnisila.errors import InputError
    from omnisila.evaluation.score_files import write_scores
    from omnisila.evaluation.scored import System, scored
    from omnisila.records import records
    from omnisila.report.imports import predictions_from
    from omnisila.schema import Example

    asked = [example for example in records(examples, Example) if example.split == split]
    if not asked:
        raise InputError(f"{examples}: no example of split {split!r}. Choose another with --split.")
    said = [predictions_from(path, asked, name) for name, path in map(_named, predictions)]
    systems = [System(one.system, one.predictions, len(one.strangers)) for one in said]
    write_scores(out, scored(asked, systems, draws, None if encoder is None else _sentence_encoder(encoder)))
    if quiet:
        return
    for one in said:
        typer.echo(f"{one.system}: {len(one.predictions)} predictions of {len(asked)} examples")
        for stranger in one.strangers[:_SHOWN]:
            typer.echo(f"  no example: {stranger}")
        if len(one.strangers) > _SHOWN:
            typer.echo(f"  and {len(one.strangers) - _SHOWN} more without an example")
    typer.echo(f"{out}: tables and figures with omnisila report {out}")


def _named(argument: str) -> tuple[str | None, Path]:
    name, equals, path = argument.partition("=")
    return (name, Path(path)) if equals and name and not Path(argument).exists() else (None, Path(argument))


def _sentence_encoder(name: str) -> "SentenceEncoder":
    """Imported only when asked for: it takes transformers."""
    from omnisila.evaluation.sentence_encoder import sentence_encoder

    return sentence_encoder(name)
