"""ActivityNet's and FiftyOne's JSON as their programs write it, and what is refused."""

import json
from types import ModuleType

import pytest

from omnisila.errors import RecordError
from omnisila.report.exports import activitynet, fiftyone
from omnisila.schema import Finding, Span


def results(**videos: list[dict[str, object]]) -> str:
    return json.dumps({"version": "VERSION 1.3", "results": videos, "external_data": {"used": False}})


def detection(label: str = "Arson", score: float = 0.5, segment: tuple[float, float] = (1.0, 2.5)) -> dict[str, object]:
    return {"label": label, "score": score, "segment": list(segment)}


ARSON = Finding(span=Span(start_s=1.0, end_s=2.5), label="Arson", labels="anomaly", score=0.5, cause=None)


def test_results_of_another_system_get_the_label_set_that_holds_their_labels() -> None:
    assert activitynet.read(results(v1=[detection()])) == (ARSON,)
    assert activitynet.read_videos(results(v1=[detection()], v2=[])) == {"v1": (ARSON,), "v2": ()}
    assert activitynet.read(results(v1=[detection()]), "mine") == (ARSON.replace(labels="mine"),)


def test_ground_truth_is_read_as_certain() -> None:
    truth = {"database": {"v1": {"subset": "testing", "annotations": [{"segment": [1, 2.5], "label": "Arson"}]}}}
    assert activitynet.read(json.dumps(truth)) == (ARSON.replace(score=1.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"results":\n\n{,}}', "line 3: no JSON"),
        ('{"results": {"a": [], "a": []}}', "'a' stands twice"),
        ("[1]", "valid dictionary"),
        ("{}", "neither results nor a database"),
        (results(v1=[{"label": "Arson"}]), r"results\.v1\.0\.segment: Field required"),
        (results(v1=[detection(), detection(segment=(2, 1))]), "video 'v1', entry 2: span .* inverted"),
        (results(v1=[detection(segment=(1, float("nan")))]), "segment.*finite"),
        (results(v1=[{"label": "Arson", "segment": [1, 2]}]), "video 'v1', entry 1: no score"),
        (results(v1=[detection(score=3.5)]), "video 'v1', entry 1: score"),
        (results(v1=[detection("Fighting")]), "Fighting are those of implicit and anomaly; say which"),
        (results(v1=[detection("Cooking")]), "Cooking are those of no label set"),
        (results(v1=[detection()], v2=[]), "2 videos .* read_videos"),
        ('{"results": ' + '{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_malformed_results_are_named(text: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        activitynet.read(text)


def test_detections_in_frames_and_class_numbers() -> None:
    labels = {"classes": ["Abuse", "Arson"], "labels": {"v1": [{"label": 1, "support": [11, 25]}], "v2": None}}
    text = json.dumps(labels)
    assert fiftyone.read_videos(text, rate_hz=10.0) == {"v1": (ARSON.replace(score=1.0),), "v2": ()}
    with pytest.raises(RecordError, match="its times are frames; say how many"):
        fiftyone.read_videos(text)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ({"label": "Arson"}, "video 'v1', detection 1: neither timestamps nor support"),
        ({"label": 0, "timestamps": [1, 2]}, "label 0 is no position in classes"),
        ({"label": "Arson", "timestamps": [2, 1]}, "detection 1: span .* inverted"),
        ({"label": "Arson", "timestamps": [1]}, r"labels\.v1\.0\.timestamps"),
    ],
)
def test_malformed_detections_are_named(one: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        fiftyone.read(json.dumps({"labels": {"v1": [one]}}))


@pytest.mark.parametrize(
    ("form", "path", "key"),
    [
        (activitynet, "a/clip.v2.mp4", "clip.v2"),
        (activitynet, "C:\\videos\\clip.mp4", "clip"),
        (fiftyone, "a/clip.mp4", "a/clip"),
        (fiftyone, "/data/clip.mp4", "/data/clip.mp4"),
        (fiftyone, "C:\\videos\\clip.mp4", "C:\\videos\\clip.mp4"),
    ],
)
def test_videos_are_called_as_the_other_program_looks_them_up(
    make_analysis, form: ModuleType, path: str, key: str
) -> None:
    file = json.loads(form.export(make_analysis(path=path)))
    assert list(file["labels" if form is fiftyone else "results"]) == [key]
