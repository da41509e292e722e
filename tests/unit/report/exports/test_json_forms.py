"""ActivityNet's and FiftyOne's JSON as their programs read it."""

import json
from types import ModuleType

import pytest

from omnisila.report.exports import activitynet, fiftyone


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
