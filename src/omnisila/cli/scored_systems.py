"""What commands that score share: examples of a split and files of systems in, figures out."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

if TYPE_CHECKING:
    from omnisila.schema import Example, Scores
    from omnisila.systems import System

SPLIT_HELP = "The split: train, val or test. Default: test, or the only one there is."


class Asked(NamedTuple):
    """The examples of a split, those of the others, and the split's name."""

    examples: "tuple[Example, ...]"
    others: "tuple[Example, ...]"
    split: str


def asked_examples(path: Path, split: str | None) -> Asked:
    """The examples of the split asked for; by default of test, or of the only split there is.

    Raises:
        InputError: there is no example of it; the message says which splits there are.
    """
    from omnisila.records import records
    from omnisila.schema import Example

    everything = tuple(records(path, Example))
    there = Counter(str(example.split) for example in everything)
    chosen = split or ("test" if "test" in there or len(there) != 1 else next(iter(there)))
    _check(path, chosen, there)
    mine = tuple(example for example in everything if example.split == chosen)
    return Asked(mine, tuple(example for example in everything if example.split != chosen), chosen)


def check_split(path: Path, split: str) -> None:
    """Be sure, before any long work, that there are examples of a split.

    Raises:
        InputError: there are none; the message says which splits there are.
    """
    from omnisila.records import records
    from omnisila.schema import Example

    _check(path, split, Counter(str(example.split) for example in records(path, Example)))


def _check(path: Path, split: str, there: Counter[str]) -> None:
    from omnisila.errors import InputError

    if split not in there:
        counted = ", ".join(f"{name} ({count})" for name, count in there.items())
        raise InputError(f"{path}: no example of split {split!r}. Choose with --split from: {counted or 'none'}.")


def asked_and_said(
    examples: Path, predictions: list[Path], split: str | None
) -> "tuple[tuple[Example, ...], list[System]]":
    """The examples of a split, and the systems that answered them.

    Raises:
        InputError: a file is not as expected, or holds no example of the split.
    """
    from omnisila.predictions.read import read_predictions

    asked = asked_examples(examples, split)
    return asked.examples, [read_predictions(path, asked.examples, others=asked.others) for path in predictions]


def echo_scores(result: "tuple[Scores, ...]") -> None:
    """One line a figure."""
    for system in result:
        typer.echo(system.system)
        for score in system.scores:
            value = "-" if score.value is None else f"{score.value:.4g}"
            between = "" if score.low is None or score.high is None else f" [{score.low:.4g}, {score.high:.4g}]"
            note = f" ({score.note})" if score.note else ""
            typer.echo(f"  {score.metric}: {value}{between} of {score.count}  {score.variant}{note}")
