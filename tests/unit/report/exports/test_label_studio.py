"""Label Studio: predictions go out as a task, a person's judgement comes back."""

import json
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from omnisila.report.exports import label_studio
from omnisila.schema import Analysis, Finding

MakeAnalysis = Callable[..., Analysis]
MakeFinding = Callable[..., Finding]


@pytest.fixture
def record(make_analysis: MakeAnalysis, make_finding: MakeFinding) -> Analysis:
    """Four findings of a video with 12 frames a second."""
    return make_analysis(
        make_finding(1, 2, score=0.5), make_finding(3, 4, score=0.6), make_finding(5, 6, "negative", score=0.7),
        make_finding(7, 8, "Fire", score=0.8),
    )  # fmt: skip


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
