"""Label Studio: predictions go out as a task, a person's judgement comes back."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from omnisila.errors import RecordError
from omnisila.report.exports import label_studio
from omnisila.schema import Analysis, Finding, Span

MakeAnalysis = Callable[..., Analysis]
MakeFinding = Callable[..., Finding]


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


def test_a_task_has_regions_in_frames_and_causes_of_regions(record: Analysis) -> None:
    (task,) = json.loads(label_studio.export(record))
    first, cause, *_ = task["predictions"][0]["result"]
    assert first["value"] == {"ranges": [{"start": 13, "end": 24}], "timelinelabels": ["Fighting"]}
    assert (cause["id"], cause["type"], cause["value"]["text"]) == (first["id"], "textarea", [record.findings[0].cause])
    assert task["data"]["fps"] == 12.0
    assert task["predictions"][0]["score"] == 0.8


def test_the_interface_knows_every_control_that_the_prediction_names(record: Analysis) -> None:
    (task,) = json.loads(label_studio.export(record))
    view = ElementTree.fromstring(task["data"]["interface"])
    controls = {one.attrib["name"]: one for one in view if "toName" in one.attrib}
    for result in task["predictions"][0]["result"]:
        labels = {one.attrib["value"] for one in controls[result["from_name"]].iter("Label")}
        assert set(result["value"].get("timelinelabels", ())) <= labels
        assert result["to_name"] == controls[result["from_name"]].attrib["toName"] == "video"


def test_an_unchecked_task_holds_what_was_predicted(record: Analysis) -> None:
    (one,) = label_studio.read_checked(label_studio.export(record))
    assert not one.checked
    assert [finding.span for finding in one.findings] == [finding.span for finding in record.findings]


def test_a_person_lets_stand_corrects_takes_away_and_adds(record: Analysis) -> None:
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
    (one,) = label_studio.read_checked(text)
    assert one.checked
    assert [finding.score for finding in one.kept] == [0.5]
    (before, after), (_, quieter) = one.corrected
    assert (before.label, after.label, after.score) == ("Fighting", "Robbery", 1.0)
    assert after.span == Span(start_s=3.0, end_s=4.5)
    assert after.cause == "He takes the bag.\n“Give it!”"
    assert (quieter.labels, quieter.cause) == ("explicit", "A shout.")
    assert [finding.label for finding in one.removed] == ["Fire"]
    assert [(finding.label, finding.span) for finding in one.added] == [("Theft", Span(start_s=10.0, end_s=11.0))]
    assert label_studio.read(text) == one.findings
    assert len(one.findings) == 4


def test_the_latest_annotation_that_was_not_skipped_counts(record: Analysis) -> None:
    (task,) = json.loads(label_studio.export(record))
    annotations = [
        {"result": [region("b", 1, 12, "Fire")], "updated_at": "2026-01-03T00:00:00Z"},
        {"result": [region("a", 1, 12, "Theft")], "updated_at": "2026-01-02T00:00:00Z"},
        {"result": [], "updated_at": "2026-01-04T00:00:00Z", "was_cancelled": True},
    ]
    (found,) = label_studio.read(json.dumps([task | {"annotations": annotations}]))
    assert found.label == "Fire"


def test_a_path_that_was_changed_for_label_studio_does_not_rename_the_video(record: Analysis) -> None:
    (task,) = json.loads(label_studio.export(record))
    task["data"]["video"] = "/data/local-files/?d=clip.mp4"
    assert label_studio.read_checked(json.dumps([task]))[0].video == "a/clip.mp4"


def test_a_project_that_omnisila_did_not_set_up_is_read_too() -> None:
    task = {
        "data": {"video": "x.mp4", "fps": 10},
        "annotations": [{"result": [region("r", 1, 10, "Fire") | {"from_name": "mine"}]}],
    }
    assert label_studio.read(json.dumps(task)) == (
        Finding(span=Span(start_s=0.0, end_s=1.0), label="Fire", labels="mine", score=1.0, cause=None),
    )


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([region("r", 20, 10, "Fire")], "task 1, region 'r': span .* inverted"),
        ([region("r", 1, 2, "Fire") | {"value": {"timelinelabels": ["Fire"]}}], "region 'r': 0 ranges and 1 labels"),
        ([region("r", 1, 2, "Fire"), region("r", 3, 4, "Fire")], "region 'r': the region stands twice"),
        ([{"id": "r"}], r"annotations\.0\.result\.0\.type"),
    ],
)
def test_a_malformed_region_is_named(record: Analysis, results: list[dict[str, Any]], message: str) -> None:
    (task,) = json.loads(label_studio.export(record))
    with pytest.raises(RecordError, match=message):
        label_studio.read(exported(task, *results))


def test_other_exports_are_refused(record: Analysis) -> None:
    (task,) = json.loads(label_studio.export(record))
    with pytest.raises(RecordError, match=r"task 1: data: Field required.*not 'JSON-MIN'"):
        label_studio.read('[{"video": "x.mp4", "timelineLabels": []}]')
    with pytest.raises(RecordError, match=r"task 2: 'a/clip\.mp4' has a task already"):
        label_studio.read(json.dumps([task, task]))
    with pytest.raises(RecordError, match="0 frames a second"):
        label_studio.read(json.dumps(task | {"data": {"video": "x.mp4", "fps": 0}}))
