"""Spans in the files of other programs: what people changed comes back, and what is malformed is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from omnisila.errors import RecordError
from omnisila.predictions.places import Place
from omnisila.predictions.read import read_predictions
from omnisila.predictions.span_files import read_spans
from omnisila.predictions.spans import StatedSpan
from omnisila.report.exports import csv, elan, fiftyone, label_studio
from omnisila.schema import Analysis, Example, Finding, Span

MakeAnalysis = Callable[..., Analysis]
MakeFinding = Callable[..., Finding]
Read = Callable[[str, str], list[StatedSpan]]
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ANNOTATION_DOCUMENT><TIER LINGUISTIC_TYPE_REF="labels: implicit">&b;</TIER></ANNOTATION_DOCUMENT>"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """``read(ending, text)``: the spans of a file of one video."""

    def spans(ending: str, text: str) -> list[StatedSpan]:
        path = tmp_path / f"x.{ending}"
        path.write_text(text, encoding="utf-8", newline="")
        return [span for _, found in read_spans(path, Place(path.name, "spans")) for span in found]

    return spans


@pytest.fixture
def record(make_analysis: MakeAnalysis, make_finding: MakeFinding) -> Analysis:
    """Four findings of a video with 12 frames a second."""
    return make_analysis(
        make_finding(1, 2, score=0.5), make_finding(3, 4, score=0.6), make_finding(5, 6, "negative", score=0.7),
        make_finding(7, 8, "Fire", score=0.8),
    )  # fmt: skip


def region(name: str, first: int, last: int, label: str, labels: str = "implicit", **more: Any) -> dict[str, Any]:
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [label]}
    return {
        "id": name,
        "type": "timelinelabels",
        "from_name": f"labels:{labels}",
        "to_name": "video",
        "value": value,
    } | more


def exported(task: dict[str, Any], *results: dict[str, Any], **more: Any) -> str:
    """The task as the project's JSON export holds it after a person submitted an annotation."""
    return json.dumps([{"id": 7, **task, "annotations": [{"id": 3, "result": list(results), **more}]}])


def test_a_person_corrects_a_label_moves_a_border_and_adds_one(
    make_analysis: MakeAnalysis, make_finding: MakeFinding, read: Read
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
    first, second, third = read("eaf", ElementTree.tostring(root, encoding="unicode"))
    assert (first.label, first.times_s, first.score) == ("Robbery", (1.0, 5.25), 0.4)
    assert first.cause == "Two people close to each other at 1 s."
    assert second.label == "Fighting"
    assert (third.label, third.times_s, third.score, third.cause) == ("Fire", (10.5, 11.0), 1.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"document type \(lolz\)"),
        ("no xml", "no XML .*line 1"),
        ("<html></html>", "no tier of a label set"),
        ("<ANNOTATION_DOCUMENT/>", "no tier of a label set"),
    ],
)
def test_what_is_no_elan_file_of_ours_is_refused(read: Read, text: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read("eaf", text)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (' TIME_VALUE="5000"', "", "annotation a1: times 1000 and None ms"),
        (">0.9<", ">high<", "annotation a1: .*score high"),
    ],
)
def test_a_malformed_annotation_is_named(
    make_analysis: MakeAnalysis, make_finding: MakeFinding, read: Read, before: str, after: str, message: str
) -> None:
    text = elan.export(make_analysis(make_finding(1, 5)))
    assert before in text
    with pytest.raises(RecordError, match=message):
        read("eaf", text.replace(before, after))


def test_an_unchecked_task_holds_what_was_predicted(record: Analysis, read: Read) -> None:
    found = read("json", label_studio.export(record))
    assert [span.times_s for span in found] == [(one.span.start_s, one.span.end_s) for one in record.findings]
    assert [span.score for span in found] == [one.score for one in record.findings]


def test_a_person_lets_stand_corrects_takes_away_and_adds(record: Analysis, read: Read) -> None:
    (task,) = json.loads(label_studio.export(record))
    by_id = {(one["id"], one["type"]): one for one in task["predictions"][0]["result"]}
    kept = [by_id["omnisila-1", "timelinelabels"], by_id["omnisila-1", "textarea"]]
    moved = region("omnisila-2", 37, 54, "Robbery", origin="prediction-changed")
    cause = by_id["omnisila-2", "textarea"] | {"value": {"text": ["He takes the bag.", "“Give it!”"]}}
    reworded = [
        by_id["omnisila-3", "timelinelabels"],
        by_id["omnisila-3", "textarea"] | {"value": {"text": "A shout."}},
    ]
    relation = {"type": "relation", "from_id": "omnisila-1", "to_id": "n3w", "direction": "right"}
    new = region("n3w", 121, 132, "Theft")
    text = exported(task, *kept, moved, cause, *reworded, relation, new, updated_at="2026-01-02T00:00:00Z")
    stands, corrected, quieter, added = read("json", text)
    assert stands.score == 0.5
    assert (corrected.label, corrected.times_s, corrected.score) == ("Robbery", (3.0, 4.5), 1.0)
    assert corrected.cause == "He takes the bag.\n“Give it!”"
    assert (quieter.labels, quieter.cause, quieter.score) == ("explicit", "A shout.", 1.0)
    assert (added.label, added.times_s, added.score) == ("Theft", (10.0, 11.0), 1.0)


def test_the_latest_annotation_that_was_not_skipped_counts(record: Analysis, read: Read) -> None:
    (task,) = json.loads(label_studio.export(record))
    annotations = [
        {"result": [region("b", 1, 12, "Fire")], "updated_at": "2026-01-03T00:00:00Z"},
        {"result": [region("a", 1, 12, "Theft")], "updated_at": "2026-01-02T00:00:00Z"},
        {"result": [], "updated_at": "2026-01-04T00:00:00Z", "was_cancelled": True},
    ]
    (found,) = read("json", json.dumps([task | {"annotations": annotations}]))
    assert found.label == "Fire"


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([region("r", 1, 2, "Fire") | {"value": {"timelinelabels": ["Fire"]}}], "region 'r': 0 ranges and 1 labels"),
        ([region("r", 1, 2, "Fire"), region("r", 3, 4, "Fire")], "region 'r': the region stands twice"),
        ([{"id": "r"}], r"annotations\.0\.result\.0\.type"),
    ],
)
def test_a_malformed_region_is_named(record: Analysis, read: Read, results: list[dict[str, Any]], message: str) -> None:
    (task,) = json.loads(label_studio.export(record))
    with pytest.raises(RecordError, match=message):
        read("json", exported(task, *results))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"video": "x.mp4", "timelineLabels": []}]', "task 1: data: missing"),
        ('{"data": {"video": "x.mp4", "fps": 0}}', "0 frames a second"),
        ('{"labels": {"v1": [{"label": "Arson", "timestamps": [1]}]}}', r"labels\.v1\.0\.timestamps"),
        ('{"results":\n\n{,}}', "line 3: no JSON"),
        ('{"results": {"a": [], "a": []}}', "'a' stands twice"),
        ("7", "task 1: .*valid dictionary"),
        ('{"results": {"v1": [{"label": "Arson"}]}}', r"results\.v1\.0\.segment: missing"),
        ('{"results": {"v1": [{"label": "Arson", "segment": [1, 2]}]}}', "video 'v1', entry 1: no score"),
        ('{"results": ' + '{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_malformed_json_is_named(read: Read, text: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read("json", text)


def test_ground_truth_and_detections_without_a_confidence_count_as_certain(read: Read) -> None:
    truth = {"database": {"v1": {"subset": "testing", "annotations": [{"segment": [1, 2.5], "label": "Arson"}]}}}
    assert [(span.label, span.times_s, span.score) for span in read("json", json.dumps(truth))] == [
        ("Arson", (1.0, 2.5), 1.0)
    ]
    detections = {"labels": {"v1": [{"label": "Arson", "timestamps": [1, 2.5]}], "v2": None}}
    assert [span.score for span in read("json", json.dumps(detections))] == [1.0]


def test_measured_intensities_of_a_table_are_no_findings(make_analysis: MakeAnalysis, read: Read) -> None:
    text = csv.export(make_analysis(intensities={"Fear": 0.5}))
    assert "Fear" in text
    assert read("csv", text) == []


@pytest.mark.parametrize("form", [csv, elan, fiftyone, label_studio])
def test_a_folder_of_one_program_s_files_is_one_system(
    tmp_path: Path, make_analysis: MakeAnalysis, make_finding: MakeFinding, form: Any
) -> None:
    videos = ("a/clip.mp4", "b/clip.mp4")
    for number, video in enumerate(videos):
        text = form.export(make_analysis(make_finding(1 + number, 3 + number), path=video))
        (tmp_path / f"{number}.{form.SUFFIX}").write_text(text, encoding="utf-8", newline="")
    values: dict[str, Any] = {"instruction": "?", "answer": "?", "split": "test", "start_s": 0.0, "end_s": 20.0}
    asked = [Example(id=v, video=v, task="locate", labels="implicit", group=v, **values) for v in videos]
    found = read_predictions(tmp_path, asked, "people")
    assert found.strangers == ()
    assert [[one.span for one in said.findings] for said in found.predictions] == [
        [Span(start_s=1.0, end_s=3.0)],
        [Span(start_s=2.0, end_s=4.0)],
    ]
