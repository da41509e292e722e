"""The causes that systems stated, as a judge or a rater gets them. Source: Omni-SILA 4.3 (Atr-R)."""

from collections.abc import Sequence
from typing import NamedTuple

from omnisila.errors import InputError
from omnisila.evaluation.answers import match_answers
from omnisila.schema import Example
from omnisila.systems import System


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
