"""ELAN files: tiers without overlap, what a person changes, and nothing that expands."""

from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from omnisila.errors import RecordError
from omnisila.report.exports import elan
from omnisila.schema import Analysis, Finding, Span

MakeAnalysis = Callable[..., Analysis]
MakeFinding = Callable[..., Finding]
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ANNOTATION_DOCUMENT><TIER LINGUISTIC_TYPE_REF="labels: implicit">&b;</TIER></ANNOTATION_DOCUMENT>"""


def overlapping(tier: ElementTree.Element, times_ms: dict[str, int]) -> bool:
    spans = sorted(
        (times_ms[one.attrib["TIME_SLOT_REF1"]], times_ms[one.attrib["TIME_SLOT_REF2"]])
        for one in tier.iter("ALIGNABLE_ANNOTATION")
    )
    return any(after[0] < before[1] for before, after in pairwise(spans))


def test_findings_that_overlap_stand_in_tiers_of_one_type(
    make_analysis: MakeAnalysis, make_finding: MakeFinding
) -> None:
    found = (
        make_finding(1, 5),
        make_finding(3, 4, "Robbery"),
        make_finding(5, 6, "Fire"),
        make_finding(2, 8, "negative"),
    )
    root = ElementTree.fromstring(elan.export(make_analysis(*found)))
    times_ms = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    types = {tier.attrib["TIER_ID"]: tier.attrib["LINGUISTIC_TYPE_REF"] for tier in root.iter("TIER")}
    assert {name for name, kind in types.items() if kind == "labels: implicit"} == {"implicit", "implicit 2"}
    assert not any(overlapping(tier, times_ms) for tier in root.iter("TIER"))
    assert list(times_ms.values()) == sorted(times_ms.values()), "ELAN wants slots in time order"
    ids = [one.attrib["ANNOTATION_ID"] for one in root.iter() if "ANNOTATION_ID" in one.attrib]
    assert len(ids) == len(set(ids))
    declared = {one.attrib["LINGUISTIC_TYPE_ID"] for one in root.iter("LINGUISTIC_TYPE")}
    assert set(types.values()) <= declared
    order = list(dict.fromkeys(child.tag for child in root))
    assert order == [
        "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY",
    ], "as the schema wants it"  # fmt: skip


def test_a_label_set_without_findings_has_a_tier_to_fill(make_analysis: MakeAnalysis) -> None:
    root = ElementTree.fromstring(elan.export(make_analysis()))
    assert {"implicit", "explicit"} <= {tier.attrib["TIER_ID"] for tier in root.iter("TIER")}
    choices = {one.text for one in root.iter("CVE_VALUE")}
    assert {"Fighting", "positive"} <= choices
    assert not {"Normal", "neutral"} & choices, "nothing to report is never a finding"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/data/my clip.mp4", "file:///data/my clip.mp4"),
        ("C:\\videos\\clip.mp4", "file:///C:/videos/clip.mp4"),
        ("a/clip.mp4", "./a/clip.mp4"),
    ],
)
def test_the_video_is_linked(make_analysis: MakeAnalysis, path: str, url: str) -> None:
    media = next(ElementTree.fromstring(elan.export(make_analysis(path=path))).iter("MEDIA_DESCRIPTOR"))
    assert media.attrib["MEDIA_URL"] == url
    assert media.attrib["RELATIVE_MEDIA_URL"] == f"./{url.rpartition('/')[2]}"
    assert media.attrib["MIME_TYPE"] == "video/mp4"


def test_a_person_corrects_a_label_moves_a_border_and_adds_one(
    make_analysis: MakeAnalysis, make_finding: MakeFinding
) -> None:
    root = ElementTree.fromstring(elan.export(make_analysis(make_finding(1, 5, score=0.4), make_finding(7, 9))))
    tier = next(one for one in root.iter("TIER") if one.attrib["TIER_ID"] == "implicit")
    next(tier.iter("ANNOTATION_VALUE")).text = "Robbery"
    next(one for one in root.iter("TIME_SLOT") if one.attrib["TIME_VALUE"] == "5000").set("TIME_VALUE", "5250")
    order = next(root.iter("TIME_ORDER"))
    for name, value in (("x1", "10500"), ("x2", "11000")):
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=value)
    added = ElementTree.SubElement(
        ElementTree.SubElement(tier, "ANNOTATION"),
        "ALIGNABLE_ANNOTATION", ANNOTATION_ID="a99", TIME_SLOT_REF1="x1", TIME_SLOT_REF2="x2",
    )  # fmt: skip
    ElementTree.SubElement(added, "ANNOTATION_VALUE").text = "Fire"
    other = ElementTree.SubElement(root, "TIER", TIER_ID="my notes", LINGUISTIC_TYPE_REF="default-lt")
    other.append(tier[0])
    first, second, third = elan.read(ElementTree.tostring(root, encoding="unicode"))
    assert (first.label, first.span, first.score) == ("Robbery", Span(start_s=1.0, end_s=5.25), 0.4)
    assert first.cause == "Two people close to each other at 1 s."
    assert second.label == "Fighting"
    assert (third.label, third.span, third.score, third.cause) == ("Fire", Span(start_s=10.5, end_s=11.0), 1.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"document type \(lolz\)"),
        ("no xml", "line 1: no XML"),
        ("<html></html>", "<html> instead of"),
        ("<ANNOTATION_DOCUMENT/>", "no tier of a label set"),
    ],
)
def test_what_is_no_elan_file_of_ours_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        elan.read(text)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('TIME_VALUE="5000"', 'TIME_VALUE="500"', "annotation a1: span .* inverted"),
        (' TIME_VALUE="5000"', "", "annotation a1: times 1000 and None ms"),
        (">0.9<", ">high<", "annotation a1: .*score high"),
        (">0.9<", ">7<", "annotation a1: score: .*less than or equal to 1"),
    ],
)
def test_a_malformed_annotation_is_named(
    make_analysis: MakeAnalysis, make_finding: MakeFinding, before: str, after: str, message: str
) -> None:
    text = elan.export(make_analysis(make_finding(1, 5)))
    assert before in text
    with pytest.raises(RecordError, match=message):
        elan.read(text.replace(before, after))
