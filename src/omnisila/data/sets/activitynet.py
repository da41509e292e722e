"""Any annotation in ActivityNet's form: a database of videos, each with its subset and its labelled segments.

Address: http://activity-net.org/download.html for the form (Caba Heilbron et al., CVPR 2015)
Licence: that of whoever wrote the file.
A record, with the fields that are read; ``cause``, ``video``, ``group`` and ``labels`` are additions to the form:
    {"labels": "anomaly", "database": {"gate_monday": {
        "subset": "training", "duration": 61.2, "video": "gate/monday.mp4", "group": "gate", "annotations": [
            {"segment": [12.5, 19.0], "label": "Fighting", "cause": "Two men strike each other."}]}}}
An empty list of annotations says that nothing happens in the video. A video without the list is one whose annotations
are withheld: its events are unknown. ``video`` is the id with .mp4 where it is not given, ``group`` the id.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Split
from omnisila.data.annotation_files import Entry, Stated, only_file, read_json
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import find_label_set, footage_path, in_time_order, make_event
from omnisila.labels import LabelSet, label_set
from omnisila.schema import Seconds

SPLITS: dict[str, Split] = {
    "training": "train", "train": "train", "validation": "val", "val": "val", "testing": "test", "test": "test",
}  # fmt: skip
FORM = '{"database": {id: {"subset": "training", "annotations": [{"segment": [s, s], "label": label}]}}}'


class _Segment(Stated):
    segment: tuple[float, float]
    label: str
    cause: str | None = None


class _Video(Stated):
    subset: Literal["training", "train", "validation", "val", "testing", "test"]
    annotations: tuple[_Segment, ...] | None = None
    duration: Seconds | None = None
    video: str | None = None
    group: str | None = None


class _File(Stated):
    labels: str | None = None
    database: dict[str, _Video]


def read(folder: Path, labels: str | None = None) -> AnnotatedSet:
    """All videos of the folder's one JSON file, in its order.

    Args:
        labels: the label set; None: the file's own ``labels``, else the only built-in one that has all the labels.
    """
    path = only_file(folder, ".json")
    file, text = read_json(path, TypeAdapter(_File).validate_python, FORM)
    words = [segment.label for video in file.database.values() for segment in video.annotations or ()]
    known = label_set(find_label_set(path, labels or file.labels, words))
    videos = tuple(_video(Entry(path, text, name), video, known) for name, video in file.database.items())
    return AnnotatedSet(videos=videos)


def template(videos: Sequence[str], labels: str | None = None) -> str:
    """The file with an entry for each video, whose annotations are withheld (null) until they are filled in."""
    database = {video: {"subset": "training", "video": video, "annotations": None} for video in videos}
    return json.dumps({"labels": labels, "database": database}, ensure_ascii=False, indent=1) + "\n"


def _video(entry: Entry, stated: _Video, labels: LabelSet) -> AnnotatedVideo:
    events = None
    if stated.annotations is not None:
        events = in_time_order(
            make_event(entry, *segment.segment, segment.label, segment.cause)
            for segment in stated.annotations
            if segment.label != labels.quiet
        )
    return AnnotatedVideo(
        id=entry.key,
        path=footage_path(entry, stated.video or f"{entry.key}.mp4"),
        labels={labels.name: None},
        truth=events,
        duration_s=stated.duration,
        split=SPLITS[stated.subset],
        sources=(stated.group or entry.key,),
    )


SET = DataSet(read, untrained=BY_EXAMPLES, template=("annotations.json", template))
