"""What an answer's text says, as a prediction."""

import re
from collections.abc import Mapping, Sequence

from omnisila.data.instructions import Located, parse_label, parse_located, render_label, render_located
from omnisila.labels import REACTION, label_set
from omnisila.schema import Example, Finding, Prediction, Span

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
    """The intensity of each emotion for which the text states one, and one only, from 0 to 1; the others are absent.

    ``render_intensities`` has one form, which a model that is asked the paper's question has never seen. What can only
    mean one thing is taken: an emotion's name with one number behind it, before the next name and within a sentence; a
    number ``for`` or ``to`` an emotion; or seven bare numbers. A number is from 0 to 1, a percentage, or a share
    (``4/10``, ``4 out of 10``); a range, such as the question's own from 0 to 1, is none.
    """
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
            [_value(own)] if (own := number_first.get(name.start())) else _find_first_scores(others[name.end() : end]),
        )
        for name, end in zip(names, ends, strict=False)
    ]


def _find_first_scores(text: str) -> list[float]:
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


def parsed_answer(example: Example, answer: str, name: str) -> Prediction:
    """An answer's text as a prediction of the system ``name``; what is not of the form stays raw, ``parse_ok`` false.

    The text of ``attribute`` and ``describe`` is free.
    """
    said = Prediction(example_id=example.id, system=name, answer=answer)
    if example.task == "react":
        intensities = stated_intensities(answer)
        return said.replace(intensities=intensities or None, parse_ok=bool(intensities))
    if example.task not in ("identify", "locate"):
        return said
    labels = label_set(example.labels)
    located: Sequence[Located] | None
    if example.task == "locate":
        located = parse_located(answer, labels)
    else:
        label = parse_label(answer, labels)
        whole = Span(start_s=example.start_s, end_s=example.end_s)
        located = None if label is None else [Located(label, whole)] if label != labels.quiet else []
    return said.replace(findings=located_findings(located or (), labels.name), parse_ok=located is not None)


def located_findings(located: Sequence[Located], labels: str, score: float = 1.0) -> tuple[Finding, ...]:
    """What was located as findings of one label set, all with one score."""
    score = min(max(score, 0.0), 1.0)
    return tuple(Finding(span=span, label=label, labels=labels, score=score, cause=None) for label, span in located)


def posterior_prediction(example: Example, name: str, posterior: Mapping[str, float]) -> Prediction:
    """A posterior over an example's labels as the answer to identify; the likeliest label is said."""
    labels = label_set(example.labels)
    shares = {label: min(max(share, 0.0), 1.0) for label, share in posterior.items()}
    best = max(shares, key=shares.__getitem__)
    located = () if best == labels.quiet else (Located(best, Span(start_s=example.start_s, end_s=example.end_s)),)
    return Prediction(
        example_id=example.id,
        system=name,
        answer=render_label(best),
        findings=located_findings(located, labels.name, shares[best]),
        anomaly=1.0 - shares[labels.quiet] if labels.quiet in shares else None,
        posterior=shares,
    )


def located_within(example: Example, name: str, findings: Sequence[Finding]) -> Prediction:
    """What was found in the example's stretch of the video; spans are cut to it."""
    mine: list[Finding] = []
    for finding in findings:
        start_s, end_s = max(finding.span.start_s, example.start_s), min(finding.span.end_s, example.end_s)
        if finding.labels == example.labels and start_s < end_s:
            mine.append(finding.replace(span=Span(start_s=start_s, end_s=end_s)))
    answer = render_located([Located(finding.label, finding.span) for finding in mine])
    return Prediction(example_id=example.id, system=name, answer=answer, findings=tuple(mine))
