"""Intensities read from what a language model says in its own words.

``render_intensities`` has one form, which a model that is asked the paper's question has never seen. This reader takes
what can only mean one thing and leaves the rest unsaid: an emotion's name with one number
behind it, before the next name and within a sentence; a number ``for`` or ``to`` an emotion; or seven bare numbers. A
number is from 0 to 1, a percentage, or a share (``4/10``, ``4 out of 10``); a range, such as the question's own from 0
to 1, is none.
"""

import re

from omnisila.labels import REACTION

# The question says "emphatic pain", and models correct it in their own ways.
_OTHER_NAMES = {
    "Adoration": ("adoration",),
    "Amusement": ("amusement",),
    "Anxiety": ("anxiety",),
    "Disgust": ("disgust",),
    "Empathic Pain": ("empathic pain", "emphatic pain", "empathetic pain", "empathic-pain", "emphatic-pain"),
    "Fear": ("fear",),
    "Surprise": ("surprise",),
}
_LABEL_OF = {name: label for label, names in _OTHER_NAMES.items() for name in names}
_ANY_NAME = rf"(?<![a-z])(?P<name>{'|'.join(sorted(_LABEL_OF, key=len, reverse=True))})(?![a-z])"
_ANY_NUMBER = (
    r"(?<![\w.])(?P<value>-?(?:\d+(?:[.,]\d+)?|\.\d+))"
    r"(?:\s*(?:(?P<percent>%)|(?:/|out\s+of)\s*(?P<whole>\d+(?:\.\d+)?)))?(?!\w)"
)
_BARE = r"(?<![\w.])\d+(?:[.,]\d+)?(?!\w)"
_NAME = re.compile(_ANY_NAME, re.IGNORECASE)
_NUMBER = re.compile(_ANY_NUMBER)
_NUMBER_FIRST = re.compile(rf"{_ANY_NUMBER}\s+(?:for|to|of|in)\s+(?:the\s+)?{_ANY_NAME}", re.IGNORECASE)
_RANGE = re.compile(rf"\bbetween\s+{_BARE}\s+and\s+{_BARE}|{_BARE}\s+to\s+{_BARE}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.;!?]\s+|\n+")
_MARKERS = re.compile(r"(?m)^\s*\d+[.)]\s+")  # of a numbered list


def stated_intensities(text: str) -> dict[str, float]:
    """The intensity of each emotion for which the text states one, and one only, from 0 to 1; the others are absent."""
    plain = _RANGE.sub("", _MARKERS.sub("", text))
    said: dict[str, set[float]] = {}
    for name, values in _numbers_by_name(plain):
        said.setdefault(_LABEL_OF[name.lower()], set()).update(values)
    if not said:
        found = _numbers(plain)  # seven bare numbers answer in the question's order
        if len(found) != len(REACTION.labels) or not all(0 <= value <= 1 for value in found):
            return {}
        return dict(zip(REACTION.labels, found, strict=True))
    single = {label: next(iter(values)) for label, values in said.items() if len(values) == 1}
    return {label: single[label] for label in REACTION.labels if 0 <= single.get(label, -1.0) <= 1}


def _numbers_by_name(text: str) -> list[tuple[str, list[float]]]:
    """Every name with the numbers that are its own: the one ``for`` it where there is one, else those behind it."""
    number_first = {match.start("name"): match for match in _NUMBER_FIRST.finditer(text)}
    rest = list(text)
    for name_at, match in number_first.items():
        rest[match.start() : name_at] = " " * (name_at - match.start())
    others = "".join(rest)
    names = list(_NAME.finditer(text))
    ends = [match.start() for match in names[1:]] + [len(text)]
    return [
        (
            name["name"],
            [_value(own)] if (own := number_first.get(name.start())) else _first_stated(others[name.end() : end]),
        )
        for name, end in zip(names, ends, strict=False)
    ]


def _first_stated(text: str) -> list[float]:
    """The numbers of the first sentence that has any."""
    return next((found for part in _SENTENCE_END.split(text) if (found := _numbers(part))), [])


def _numbers(text: str) -> list[float]:
    return [_value(match) for match in _NUMBER.finditer(text)]


def _value(match: re.Match[str]) -> float:
    value = float(match["value"].replace(",", "."))
    if match["percent"]:
        return value / 100
    whole = float(match["whole"]) if match["whole"] else 1.0
    return value / whole if whole > 0 else -1.0
