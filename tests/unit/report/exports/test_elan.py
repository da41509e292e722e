"""ELAN files: tiers without overlap, what a person changes, and nothing that expands."""

from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from omnisila.report.exports import elan
from omnisila.schema import Analysis, Finding

MakeAnalysis = Callable[..., Analysis]
MakeFinding = Callable[..., Finding]


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
