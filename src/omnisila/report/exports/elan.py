"""ELAN (.eaf): one tier a label set, with the cause and the score of each finding in tiers that depend on it.

Annotations of an ELAN tier may not overlap, so findings that do go to a further tier of the same type; the type, not
the tier's name, says which label set it is. Times are whole milliseconds. XML cannot hold control characters: they
stand as ``\\uXXXX``, and so does a backslash that would be taken for the start of one.
Source: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

import mimetypes
import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from omnisila.labels import LABEL_SETS
from omnisila.predictions.span_files import ELAN_CAUSE, ELAN_LABELS, ELAN_SCORE
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis, Finding

SUFFIX = "eaf"
_ONE_TO_ONE = "Symbolic_Association"
_LANGUAGE = "eng"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_DATE = "1970-01-01T00:00:00Z"  # the form asks for one; without the clock the same findings give the same file
_CANNOT_STAND = re.compile(
    r"\\(?=u[0-9a-f]{4})|[\x00-\x08\x0b\x0c\r\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
)  # XML 1.0, section 2.2, and the line end that parsers change


class _Tier(NamedTuple):
    name: str
    labels: str
    numbers: list[int]


def export(analysis: Analysis) -> str:
    """The findings as tiers; label sets without findings have empty tiers, ready for a person's own."""
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"{analysis.model.name} {analysis.model.version}",
            "DATE": _DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_INSTANCE}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    _add_header(root, analysis)
    _add_times(root, analysis.findings)
    tiers = _tiers(analysis)
    names = {tier.name for tier in tiers}
    for tier in tiers:
        _add_tiers(root, tier, analysis.findings, names)
    _add_types(root, list(dict.fromkeys(tier.labels for tier in tiers)))
    ElementTree.register_namespace("xsi", _INSTANCE)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {name: _xml_text(value) for name, value in attributes.items()})


def _add_header(root: ElementTree.Element, analysis: Analysis) -> None:
    path = analysis.video.path.replace("\\", "/")
    header = _add(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    name = path.rpartition("/")[2]
    absolute = path.startswith("/") or re.match(r"[A-Za-z]:/", path)
    url = f"file:///{path.removeprefix('/')}" if absolute else f"./{path}"  # ELAN takes paths as they are, unquoted
    kind = mimetypes.guess_type(path, strict=False)[0] or "video/*"
    _add(header, "MEDIA_DESCRIPTOR", MEDIA_URL=url, MIME_TYPE=kind, RELATIVE_MEDIA_URL=f"./{name}")
    _add(header, "PROPERTY", NAME="sha256").text = analysis.video.sha256
    _add(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(3 * len(analysis.findings))


def _add_times(root: ElementTree.Element, findings: Sequence[Finding]) -> None:
    """Two slots a finding: a person who moves one finding's border moves no other's. They stand in time order."""
    slots = [
        (time_ms, name)
        for number, finding in enumerate(findings)
        for time_ms, name in zip(whole_milliseconds(finding.span), _slots(number), strict=True)
    ]
    order = _add(root, "TIME_ORDER")
    for time_ms, name in sorted(slots, key=lambda slot: slot[0]):
        _add(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time_ms))


def _slots(number: int) -> tuple[str, str]:
    return f"ts{2 * number + 1}", f"ts{2 * number + 2}"


def _tiers(analysis: Analysis) -> list[_Tier]:
    """The findings' numbers in tiers without overlap, at least one tier a label set."""
    tiers: list[_Tier] = []
    taken: set[str] = set()
    asked = dict.fromkeys((*analysis.labels, *(finding.labels for finding in analysis.findings)))
    for labels in asked:
        rows: list[tuple[int, list[int]]] = []  # the end of a row, and the numbers in it
        mine = [(whole_milliseconds(finding.span), number) for number, finding in enumerate(analysis.findings)]
        for (start_ms, end_ms), number in sorted(mine):
            if analysis.findings[number].labels != labels:
                continue
            row = next((index for index, (last_ms, _) in enumerate(rows) if last_ms <= start_ms), len(rows))
            rows[row : row + 1] = [(end_ms, [*(rows[row][1] if row < len(rows) else ()), number])]
        for numbers in [numbers for _, numbers in rows] or [[]]:
            tiers.append(_Tier(_unused_name(labels, taken), labels, numbers))
    return tiers


def _unused_name(name: str, taken: set[str]) -> str:
    free = next(
        candidate for candidate in (name, *(f"{name} {k}" for k in range(2, len(taken) + 3))) if candidate not in taken
    )
    taken.add(free)
    return free


def _add_tiers(root: ElementTree.Element, tier: _Tier, findings: Sequence[Finding], names: set[str]) -> None:
    """A tier of labels and, below it, one of causes and one of scores."""
    main = _add(root, "TIER", TIER_ID=tier.name, LINGUISTIC_TYPE_REF=ELAN_LABELS + tier.labels)
    for number in tier.numbers:
        begin, end = _slots(number)
        holder = _add(main, "ANNOTATION")
        aligned = _add(
            holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=_id(number, 1), TIME_SLOT_REF1=begin, TIME_SLOT_REF2=end
        )
        _add(aligned, "ANNOTATION_VALUE").text = _xml_text(findings[number].label)
    for place, kind in enumerate((ELAN_CAUSE, ELAN_SCORE), start=2):
        name = _unused_name(f"{kind}@{tier.name}", names)
        below = _add(root, "TIER", TIER_ID=name, PARENT_REF=tier.name, LINGUISTIC_TYPE_REF=kind)
        for number in tier.numbers:
            value = findings[number].cause if kind == ELAN_CAUSE else repr(findings[number].score)
            if value:
                holder = _add(below, "ANNOTATION")
                said = _add(holder, "REF_ANNOTATION", ANNOTATION_ID=_id(number, place), ANNOTATION_REF=_id(number, 1))
                _add(said, "ANNOTATION_VALUE").text = _xml_text(value)


def _id(number: int, place: int) -> str:
    return f"a{3 * number + place}"


def _add_types(root: ElementTree.Element, label_sets: Sequence[str]) -> None:
    """The types of tiers; those of built-in label sets give the labels to choose from, so that none is mistyped."""
    known = [labels for labels in label_sets if labels in LABEL_SETS]
    for labels in label_sets:
        choice = {"CONTROLLED_VOCABULARY_REF": labels} if labels in known else {}
        _add(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=ELAN_LABELS + labels, TIME_ALIGNABLE="true", **choice)
    for kind in (ELAN_CAUSE, ELAN_SCORE):
        _add(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=kind, TIME_ALIGNABLE="false", CONSTRAINTS=_ONE_TO_ONE)
    _add(root, "LANGUAGE", LANG_ID=_LANGUAGE, LANG_LABEL="English (eng)")
    _add(root, "CONSTRAINT", STEREOTYPE=_ONE_TO_ONE, DESCRIPTION="1-1 association with a parent annotation")
    for labels in known:
        vocabulary = _add(root, "CONTROLLED_VOCABULARY", CV_ID=labels)
        for number, label in enumerate(LABEL_SETS[labels].reportable, start=1):
            entry = _add(vocabulary, "CV_ENTRY_ML", CVE_ID=f"{labels}{number}")
            _add(entry, "CVE_VALUE", LANG_REF=_LANGUAGE).text = label


def _xml_text(text: str) -> str:
    """Text that XML can hold."""
    return _CANNOT_STAND.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
