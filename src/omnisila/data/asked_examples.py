"""Which examples of a file are asked about: those of a split."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import InputError
from omnisila.records import records
from omnisila.schema import Example


class Asked(NamedTuple):
    """The examples of a split, those of the others, and the split's name."""

    examples: tuple[Example, ...]
    others: tuple[Example, ...]
    split: str


def read_asked(path: Path, split: str | None) -> Asked:
    """The examples of the split asked for; by default of test, or of the only split there is.

    Raises:
        InputError: there is no example of it; the message says which splits there are.
        RecordError: the file is missing, or a line is no example.
    """
    everything = tuple(records(path, Example))
    there = Counter(str(example.split) for example in everything)
    chosen = split or ("test" if "test" in there or len(there) != 1 else next(iter(there)))
    if chosen not in there:
        raise _none(path, chosen, there)
    mine = tuple(example for example in everything if example.split == chosen)
    return Asked(mine, tuple(example for example in everything if example.split != chosen), chosen)


def check_examples(path: Path, split: str | None = None, answered: Collection[str] | None = None) -> None:
    """Be sure, before any long work, that there are examples, or examples of a split; no more is read than that takes.

    Args:
        answered: label sets that the model was trained on, of which one must be asked; None: it takes any.

    Raises:
        InputError: there are none; the message says which splits or label sets there are.
        RecordError: the file is missing, or a line is no example.
    """
    there: Counter[str] = Counter()
    strange: dict[str, None] = {}
    for example in records(path, Example):
        if split in (None, example.split):
            if answered is None or example.labels in answered or example.task == "describe":
                return
            strange[example.labels] = None
        there[str(example.split)] += 1
    if strange:
        raise InputError(
            f"{path}: its examples are of label set {', '.join(strange)}, the model was trained on "
            f"{', '.join(answered or ())}. Give another --model, or examples of those."
        )
    raise _none(path, split, there)


def _none(path: Path, split: str | None, there: Mapping[str, int]) -> InputError:
    if not there:
        return InputError(f"{path}: holds no example. Make it again with omnisila prepare.")
    counted = ", ".join(f"{name} ({count})" for name, count in there.items())
    return InputError(f"{path}: no example of split {split!r}. Choose with --split from: {counted}.")
