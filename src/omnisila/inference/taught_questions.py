"""The questions that a model without a pretrained language model was taught: it understands no others."""

from collections.abc import Mapping, Sequence

from omnisila.data.instructions import Instruction, render_instruction
from omnisila.errors import InputError
from omnisila.labels import label_set


class TaughtQuestions:
    """What can be asked.

    Args:
        labels: label set -> the labels that the model was trained on.
    """

    def __init__(self, labels: Mapping[str, Sequence[str]]) -> None:
        asked = [instruction for name, trained in labels.items() for instruction in _instructions(name, trained)]
        self._taught = {_plain(render_instruction(example)): example for example in asked}

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(render_instruction, self._taught.values()))

    def instruction(self, question: str) -> Instruction:
        """What a question asks; case, spaces and the mark at its end do not matter.

        Raises:
            InputError: the model was not taught it; the message lists those that it was taught.
        """
        if (asked := self._taught.get(_plain(question))) is None:
            raise InputError(f"{question!r}: the model was not taught this. Ask one of: {' '.join(self.texts)}")
        return asked


def _instructions(name: str, trained: Sequence[str]) -> list[Instruction]:
    labels = label_set(name)
    why = [Instruction("attribute", labels, label) for label in trained if label != labels.quiet]
    return [Instruction("identify", labels), Instruction("locate", labels), *why]


def _plain(question: str) -> str:
    return " ".join(question.split()).casefold().rstrip("?.! ")
