"""Predictions beside the examples they answer, and what every measurable part of them offers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from omnisila.evaluation.tables import SpanRow
from omnisila.schema import Example, Prediction, Score

Chosen = Int[np.ndarray, "chosen"]
Strays = Mapping[str, Sequence[SpanRow]]
NO_STRAYS: Strays = MappingProxyType({})
FLAG_ALL, FLAG_NONE, CHANCE = "flag all", "flag none", "chance"


class Answers(NamedTuple):
    """Each example's prediction, None where there is none, and what fits none.

    Attributes:
        pairs: in the examples' order.
        strangers: predictions of no example.
        repeated: further predictions of one example.
        stale: predictions of another version of their example.
        strays: spans that no prediction can hold, by label set: of no example's video, or not running forward.
    """

    pairs: tuple[tuple[Example, Prediction | None], ...]
    strangers: int
    repeated: int
    stale: int
    strays: Strays

    def of(self, task: str, labels: str) -> list[tuple[Example, Prediction | None]]:
        """The pairs of one task and label set."""
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


def matched(examples: Iterable[Example], predictions: Iterable[Prediction], strays: Strays = NO_STRAYS) -> Answers:
    """Bring predictions to their examples; of several for one example the first counts, stale ones never."""
    examples = tuple(examples)
    known = {example.id: example for example in examples}
    said: dict[str, Prediction] = {}
    strangers = repeated = stale = 0
    for prediction in predictions:
        if prediction.example_id not in known:
            strangers += 1
        elif prediction.is_stale(known[prediction.example_id]):
            stale += 1
        elif prediction.example_id in said:
            repeated += 1
        else:
            said[prediction.example_id] = prediction
    return Answers(tuple((example, said.get(example.id)) for example in examples), strangers, repeated, stale, strays)


def window_ids(examples: Iterable[Example]) -> frozenset[str]:
    """The examples that ask about a window of their video, by id; the others ask about the whole of it.

    A window is numbered (``set/video#12``, also where it is a short video's only one), or it leaves out a part of what
    the examples of its video cover together. How long it lasts does not matter.
    """
    examples = tuple(examples)
    end_s: dict[str, float] = {}
    for example in examples:
        end_s[example.video] = max(end_s.get(example.video, 0.0), example.end_s)
    return frozenset(
        example.id
        for example in examples
        if example.id.rpartition("#")[2].isdecimal() or example.start_s > 0 or example.end_s < end_s[example.video]
    )


def named(labels: str, scores: Iterable[Score]) -> tuple[Score, ...]:
    """Scores whose variant begins with the label set."""
    return tuple(score.replace(variant=f"{labels}; {score.variant}") for score in scores)


def numbered(names: Iterable[str]) -> Int[np.ndarray, "items"]:
    """Each name's number, in order of first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
