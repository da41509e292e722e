"""Predictions beside the examples they answer, and what every measurable part of them offers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from omnisila.errors import InputError
from omnisila.schema import Example, Prediction, Score
from omnisila.systems import Strays, System

Chosen = Int[np.ndarray, "chosen"]
FLAG_ALL, FLAG_NONE, CHANCE = "flag all", "flag none", "chance"


def check_names(systems: Iterable[System]) -> None:
    """Whether scores can tell systems apart, from each other and from the trivial ones.

    Raises:
        InputError: two have one name.
    """
    names = [system.name for system in systems]
    if len({FLAG_ALL, FLAG_NONE, CHANCE, *names}) < len(names) + 3:
        raise InputError(f"systems named {', '.join(names)}. Give each a name of its own (NAME=FILE).")


class Answers(NamedTuple):
    """Each example's prediction, None where there is none, and what fits none.

    Attributes:
        strangers: predictions of no example.
        stale: predictions of another version of their example.
        strays: spans that no prediction can hold, by label set: of no example's video, or not running forward.
    """

    pairs: tuple[tuple[Example, Prediction | None], ...]
    strangers: int
    repeated: int
    stale: int
    strays: Strays

    def of(self, task: str, labels: str) -> list[tuple[Example, Prediction | None]]:
        return [pair for pair in self.pairs if pair[0].task == task and pair[0].labels == labels]


class PerItem(NamedTuple):
    """One value for each item of a part that a paired test may compare; NaN where an item has none."""

    metric: str
    variant: str
    values: Float[np.ndarray, "items"]


@runtime_checkable
class Part(Protocol):
    """A system's answers to one task and label set, beside the truth."""

    @property
    def groups(self) -> Int[np.ndarray, "items"]:
        """The video of each item: a bootstrap draws whole videos."""
        ...

    def scores(self, chosen: Chosen) -> tuple[Score, ...]:
        """What can be said of the items at these positions, which may repeat; always the same metrics in one order."""
        ...

    def details(self) -> tuple[Score, ...]:
        """What is said once of all items, without intervals: figures per label, counts."""
        ...

    def per_item(self) -> PerItem:
        """The values that a t-test compares."""
        ...

    def trivial(self) -> "Iterator[tuple[str, Part]]":
        """The same part as answered by systems that look at nothing, by name."""
        ...


def match_answers(examples: Iterable[Example], system: System) -> Answers:
    """Bring a system's predictions to their examples; of several for one example the first counts, stale ones never."""
    examples = tuple(examples)
    known = {example.id: example for example in examples}
    said: dict[str, Prediction] = {}
    strangers, stale, repeated = len(system.strangers), system.stale, 0
    for prediction in system.predictions:
        if prediction.example_id not in known:
            strangers += 1
        elif prediction.is_stale(known[prediction.example_id]):
            stale += 1
        elif prediction.example_id in said:
            repeated += 1
        else:
            said[prediction.example_id] = prediction
    pairs = tuple((example, said.get(example.id)) for example in examples)
    return Answers(pairs, strangers, repeated, stale, system.strays)


def with_label_set(labels: str, scores: Iterable[Score]) -> tuple[Score, ...]:
    """Scores whose variant begins with the label set."""
    return tuple(score.replace(variant=f"{labels}; {score.variant}") for score in scores)


def number_names(names: Iterable[str]) -> Int[np.ndarray, "items"]:
    """Each name's number, in order of first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


class StatedCause(NamedTuple):
    """What a system said about one attribute example; an empty ``cause`` is none: missing, malformed or blank."""

    system: str
    example: Example
    label: str
    cause: str


def stated_causes(examples: Sequence[Example], systems: Sequence[System]) -> tuple[StatedCause, ...]:
    """One for each system and attribute example, in their order; the label is the true one, empty where unknown.

    Raises:
        InputError: no attribute example, or two systems of one name.
    """
    asked = [example for example in examples if example.task == "attribute"]
    if not asked:
        raise InputError("no example asks for a cause. Prepare attribute examples, or choose another split.")
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise InputError(f"systems named {', '.join(names)}. Give each a name of its own.")
    return tuple(
        StatedCause(
            system=system.name,
            example=example,
            label=example.truth[0].label if example.truth else "",
            cause=said.answer.strip() if said is not None and said.parse_ok else "",
        )
        for system in systems
        for example, said in match_answers(asked, system).pairs
    )
