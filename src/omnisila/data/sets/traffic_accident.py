"""Frames of street cameras before, during and after crashes.

Address: https://github.com/shubhankar-shandilya-india/Accident-Detection-Model
Licence: CC BY 4.0 as the uploader states; the footage was compiled from the web.
A record (file, label, group):
    Normal/accident_test16_5_de68bc.jpg, Normal, accident:test15_1
The group joins videos of one camera. The file's name tells the video, which ``accident_seq`` may hold as a clip: both
names are sources, so that a frame and its clip stay together.
"""

import re
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet
from omnisila.data.annotation_files import Row, read_rows
from omnisila.data.sets import MANIFEST, DataSet, Teaching
from omnisila.data.sets._footage import footage_video

LABELS = {"TrafficAccident": "Traffic Accidents", "Normal": "Normal"}
ANOMALY = {"Traffic Accidents": "Accident", "Normal": "Normal"}
_FRAME = re.compile(r"accident_(?P<video>\w+?)_\d+__?[0-9a-f]{6}\.jpg")
_SAME_CAMERA = {"acc1": "5", "test16": "test15", "test23": "test14"}  # as this set's groups join them


def read(folder: Path) -> AnnotatedSet:
    """All frames; a camera and a video are sources."""
    return AnnotatedSet(
        videos=tuple(
            footage_video(
                row,
                {"implicit": row.choice("label", LABELS)},
                (f"traffic_accident:{row['group']}", *video_sources(_video(row))),
                is_still=True,
            )
            for row in read_rows(folder / MANIFEST, ("file", "label", "group", "licence"))
        )
    )


def video_sources(video: str) -> tuple[str, ...]:
    """The source names of one of these videos, in whatever set it stands: its own, and another's of its camera."""
    names = dict.fromkeys((video, _SAME_CAMERA.get(video, video)))
    return tuple(f"traffic_accident:video {name}" for name in names)


def _video(row: Row) -> str:
    match = _FRAME.fullmatch(Path(row["file"]).name)
    if match is None:
        raise row.error(f"file {row['file']!r} does not tell its video", "accident_<video>_<frame>_<6 hex digits>.jpg")
    return match["video"]


SET = DataSet(read, trains={"implicit": Teaching(1.0, LABELS), "anomaly": Teaching(1.0, ANOMALY)}, is_footage=True)
