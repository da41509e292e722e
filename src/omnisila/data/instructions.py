"""What a model is asked and how it answers: every form has a ``render`` and a ``parse`` that undo each other.

Parsing never guesses: text that is not exactly of the form gives None, and the caller keeps it raw and counts it.
Labels and the wording of questions belong to the label sets; times are seconds, exact to a millisecond.

Source: Omni-SILA 3.5 and Fig. 3 (identify, locate, attribute), 3.4 (the four descriptions of scene tuning);
emotional-reaction paper 4.1 (the question for seven intensities).
"""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Literal, NamedTuple

from omnisila.labels import LABEL_SETS, REACTION, LabelSet, label_set
from omnisila.scene_registry import SCENES
from omnisila.schema import SceneName, Span

Task = Literal["identify", "locate", "attribute", "describe", "react"]

NOTHING = "nothing"

# The paper's question to the letter, "emphatic" included: other words give other scores.
REACT_QUESTION = (
    "Can you assign a score between 0 and 1 to each of these emotions based on what is expressed by the subject in the "
    "video: adoration, amusement, anxiety, disgust, emphatic pain, fear and surprise?"
)

_CLAUSE_END = "; "
_TIME = r"(\d+(?:\.\d{1,3})?)s"


class Instruction(NamedTuple):
    """One question. ``labels`` is None for descriptions, ``label`` set for attribution, ``scene`` for descriptions.

    ``react`` asks for the intensities of the label set ``reaction`` and needs nothing else.
    """

    task: Task
    labels: LabelSet | None = None
    label: str | None = None
    scene: SceneName | None = None


class Located(NamedTuple):
    """One line of a locate answer."""

    label: str
    span: Span


def render_instruction(instruction: Instruction) -> str:
    """The question's text.

    Raises:
        ValueError: the instruction lacks what its task needs.
    """
    task, labels, label, scene = instruction
    if task == "react":
        return REACT_QUESTION
    if task == "describe" and scene is not None:
        return f"Please describe the {SCENES[scene].description}."
    if task == "identify" and labels is not None:
        return labels.identify
    if task == "locate" and labels is not None:
        return labels.locate
    if task == "attribute" and labels is not None and label is not None:
        return labels.attribute.format(label=label)
    raise ValueError(f"{instruction}: describe needs a scene, the other tasks a label set, attribute a label too.")


def render_question(task: Task, instruction: str, labels: str) -> str:
    """An example's instruction for a model that was not taught its form of answer: identify and locate say it.

    Raises:
        LabelError: identify or locate of an unknown label set.
    """
    if task == "react":
        return REACT_QUESTION
    if task not in ("identify", "locate"):
        return instruction
    known = label_set(labels)
    names = ", ".join(_describe(known))
    if task == "identify":
        return f"{instruction} Answer with one of these labels and nothing else: {names}."
    return (
        f"{instruction} Answer in the form 'label from 8s to 15.25s; label from 20s to 21s' with these labels: "
        f"{names}. Answer '{NOTHING}' where there is none."
    )


def render_choices(labels: LabelSet) -> str:
    """Identify as a choice between letters, for a model whose answers are weighed by their first letter."""
    rows = (f"{letter}. {name}" for letter, name in zip(ascii_uppercase, _describe(labels), strict=False))
    return "\n".join([labels.identify, *rows, "Answer with the letter of one of these and nothing else."])


def parse_instruction(text: str, label_sets: Sequence[LabelSet] | None = None) -> Instruction | None:
    """Which instruction the text is, or None. Of two label sets with one wording the first wins; default all known."""
    if text == REACT_QUESTION:
        return Instruction("react")
    for scene in SCENES:
        if text == render_instruction(Instruction("describe", scene=scene)):
            return Instruction("describe", scene=scene)
    for labels in LABEL_SETS.values() if label_sets is None else label_sets:
        if text == labels.identify:
            return Instruction("identify", labels)
        if text == labels.locate:
            return Instruction("locate", labels)
        for label in labels.labels:
            if text == labels.attribute.format(label=label):
                return Instruction("attribute", labels, label)
    return None


def render_label(label: str) -> str:
    """The answer to identify."""
    return label


def parse_label(text: str, labels: LabelSet) -> str | None:
    """The label that the text is, or None; case and a final full stop do not matter."""
    plain = text.strip().removesuffix(".").casefold()
    return next((label for label in labels.labels if label.casefold() == plain), None)


def render_located(found: Sequence[Located]) -> str:
    """The answer to locate: ``Fighting from 8s to 15.25s; Fire from 20s to 21s``, or that there is nothing."""
    return _CLAUSE_END.join(
        f"{label} from {_seconds(span.start_s)} to {_seconds(span.end_s)}" for label, span in found
    ) or NOTHING  # fmt: skip


def parse_located(text: str, labels: LabelSet) -> tuple[Located, ...] | None:
    """What a locate answer says, or None if any part of it is not of the form or runs backwards in time."""
    plain = text.strip().removesuffix(".")
    if plain == NOTHING:
        return ()
    names = "|".join(re.escape(label) for label in sorted(labels.labels, key=len, reverse=True))
    pattern = re.compile(f"({names}) from {_TIME} to {_TIME}")
    found: list[Located] = []
    at = 0
    while True:
        match = pattern.match(plain, at)
        if match is None or float(match[3]) <= float(match[2]):
            return None
        found.append(Located(match[1], Span(start_s=float(match[2]), end_s=float(match[3]))))
        at = match.end()
        if at == len(plain):
            return tuple(found)
        if not plain.startswith(_CLAUSE_END, at):
            return None
        at += len(_CLAUSE_END)


def render_clauses(clauses: Sequence[str]) -> str:
    """The answer to attribute and describe: plain clauses, or that there is nothing to say.

    Raises:
        ValueError: a clause is empty, holds the mark between clauses, or is the word for none.
    """
    for clause in clauses:
        if not clause.strip() or clause != clause.strip() or ";" in clause or clause == NOTHING:
            raise ValueError(f"clause {clause!r} cannot be told apart in an answer. Give one phrase without ';'.")
    return _CLAUSE_END.join(clauses) or NOTHING


def clauses_of(text: str) -> tuple[str, ...]:
    """Free text as clauses that ``render_clauses`` takes: cut at each ';', white space made plain, empty parts gone.

    Text that says only the word for none has no clauses.
    """
    parts = (" ".join(part.split()) for part in text.split(";"))
    return tuple(part for part in parts if part and part != NOTHING)


def render_intensities(intensities: Mapping[str, float], labels: LabelSet = REACTION) -> str:
    """The answer to react, exact to four decimals: ``Adoration: 0.25; Amusement: 0; ...``, every label in its order.

    Raises:
        ValueError: a label has no intensity, or one lies outside [0, 1].
    """
    wrong = [label for label in labels.labels if not 0 <= intensities.get(label, -1.0) <= 1]
    if wrong:
        raise ValueError(f"no intensity in [0, 1] for {', '.join(wrong)}. Give one for each of {labels.labels}.")
    return _CLAUSE_END.join(f"{label}: {_plain(intensities[label], 4)}" for label in labels.labels)


def _describe(labels: LabelSet) -> tuple[str, ...]:
    """Its labels, each with its line where it has one."""
    return tuple(
        f"{label} ({labels.descriptions[label]})" if label in labels.descriptions else label for label in labels.labels
    )


def _seconds(time_s: float) -> str:
    return f"{_plain(time_s, 3)}s"


def _plain(number: float, decimals: int) -> str:
    return f"{number:.{decimals}f}".rstrip("0").rstrip(".")
