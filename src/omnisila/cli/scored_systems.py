"""What commands that score share: examples of a split and files of systems in, figures out."""

from pathlib import Path
from typing import TYPE_CHECKING

from omnisila.cli.telling import tell

if TYPE_CHECKING:
    from omnisila.schema import Example, Scores
    from omnisila.systems import System


def read_asked_and_said(
    examples: Path, predictions: list[Path], split: str | None
) -> "tuple[tuple[Example, ...], list[System]]":
    """The examples of a split, and the systems that answered them.

    Raises:
        InputError: a file is not as expected, or holds no example of the split.
    """
    from omnisila.data.asked_examples import read_asked
    from omnisila.predictions.read import read_predictions

    asked = read_asked(examples, split)
    return asked.examples, [read_predictions(path, asked.examples, others=asked.others) for path in predictions]


def echo_scores(result: "tuple[Scores, ...]") -> None:
    """One line a figure."""
    from omnisila.systems import short_names

    names = short_names([system.system for system in result])
    for system in result:
        tell(names[system.system])
        for score in system.scores:
            value = "-" if score.value is None else f"{score.value:.4g}"
            between = "" if score.low is None or score.high is None else f" [{score.low:.4g}, {score.high:.4g}]"
            note = f" ({score.note})" if score.note else ""
            tell(f"  {score.metric}: {value}{between} of {score.count}  {score.variant}{note}")
