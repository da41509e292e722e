"""Readers of published annotations, against the counts of the real files."""

import os
from collections import Counter
from pathlib import Path

import pytest

from omnisila.data.annotated import AnnotatedSet
from omnisila.data.sets import read_set

pytestmark = pytest.mark.data


@pytest.fixture
def published() -> Path:
    folder = Path(os.environ.get("OMNISILA_DATA", "")) / "annotations"
    if not os.environ.get("OMNISILA_DATA") or not folder.is_dir():
        pytest.skip("OMNISILA_DATA names no folder with annotations/ in it")
    return folder


def _events(read: AnnotatedSet, split: str | None = None) -> Counter[str]:
    return Counter(event.label for video in read.videos if split in (None, video.split) for event in video.truth or ())


def _of(published: Path, name: str, *files: str) -> Path:
    for folder in (published / name, *sorted(path for path in published.iterdir() if path.is_dir())):
        if all((folder / file).exists() for file in files):
            return folder
    pytest.skip(f"{name}: no folder of {published} holds {', '.join(files)}")


def test_tsl300(published: Path):
    read = read_set("tsl300", _of(published, "tsl300", "videosenti_gt.json"))
    assert Counter(video.split for video in read.videos) == {"train": 200, "test": 100}
    assert _events(read) == {"positive": 952, "negative": 690}
    assert _events(read, "test") == {"positive": 352, "negative": 232}
    assert sum(video.duration_s or 0 for video in read.videos) == pytest.approx(77_472, abs=1)
    assert all(
        event.span.end_s <= (video.duration_s or 0) + 0.1 for video in read.videos for event in video.truth or ()
    )
    assert sum(video.truth == () for video in read.videos) == 2
    assert not read.malformed


def test_ucf_crime(published: Path):
    read = read_set("ucf_crime", _of(published, "ucf_crime", "Temporal_Anomaly_Annotation.txt", "Anomaly_Train.txt"))
    test = [video for video in read.videos if video.split == "test"]
    train = [video for video in read.videos if video.split == "train"]
    assert (len(test), sum(video.truth == () for video in test)) == (290, 150)
    assert sum(_events(read).values()) == 156
    assert _events(read)["Accident"] == sum(bool(v.truth) and v.truth[0].label == "Accident" for v in test) == 23
    assert sum(len(video.truth or ()) == 2 for video in test) == 16
    assert (len(train), sum(video.truth is None for video in train)) == (1610, 810)
    assert Counter(video.video_label for video in train)["Accident"] == 127
    first = test[0]
    assert (first.path, first.truth and first.truth[0].span.start_s) == ("Abuse/Abuse028_x264.mp4", 5.5)


def test_xd_violence(published: Path):
    folder = _of(published, "xd_violence", "annotations_multiclasses.txt")
    read = read_set("xd_violence", folder)
    assert (len(read.videos), len(read.malformed)) == (400, 100)
    assert _events(read) == {"Accident": 494, "Fighting": 245, "Shooting": 214, "Explosion": 149, "Abuse": 14}
    assert all("riot" in row.reason for row in read.malformed)
    whole = [video for video in read.videos if video.id == "Salt.2010__#01-06-27_01-07-07_label_G-B2-0"]
    assert [(event.label, event.span.start_s) for event in whole[0].truth or ()][:2] == [
        ("Explosion", pytest.approx(25 / 24)),
        ("Shooting", pytest.approx(50 / 24)),
    ]


def test_hivau70k(published: Path):
    read = read_set("hivau70k", _of(published, "hivau70k", "HIVAU-70k"))
    assert len(read.videos) == 251
    assert sum(video.truth == () for video in read.videos) == 123
    assert (sum(_events(read).values()), len(read.malformed)) == (138, 6)
    assert all(event.cause for video in read.videos for event in video.truth or ())
    assert all(video.note for video in read.videos)
