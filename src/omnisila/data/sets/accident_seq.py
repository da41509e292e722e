"""Ordered clips of street cameras with the times of crashes, at their true 6 frames a second.

Address: https://github.com/krishrustagi/Accident-Detection-System (Kaggle ckay16/accident-detection-from-cctv-footage)
Licence: none stated by the carrier; the footage was compiled from the web.
A record (file, label, start_s, end_s, group); times of several crashes are parted by semicolons:
    test13.mp4, TrafficAccident, 0.00;1.50, 0.17;4.17, test13
They are the videos of ``traffic_accident``, so a frame there and a clip here are one source.
"""

from itertools import zip_longest
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Row, read_rows
from omnisila.data.sets import MANIFEST, DataSet, Teaching
from omnisila.data.sets._footage import footage_video
from omnisila.data.sets.traffic_accident import ANOMALY, LABELS, video_sources


def read(folder: Path) -> AnnotatedSet:
    """All clips; street traffic outside the crashes is Normal."""
    columns = ("file", "label", "start_s", "end_s", "group", "licence")
    return AnnotatedSet(videos=tuple(_video(row) for row in read_rows(folder / MANIFEST, columns)))


def _video(row: Row) -> AnnotatedVideo:
    label = row.choice("label", LABELS)
    starts, ends = (row.values[column].split(";") for column in ("start_s", "end_s"))
    times = ";".join(f"{start}-{end}" for start, end in zip_longest(starts, ends, fillvalue=""))
    return footage_video(
        row, {"implicit": label}, video_sources(row["group"]), times=None if label == "Normal" else times
    )


SET = DataSet(read, trains={"implicit": Teaching(0.4, LABELS), "anomaly": Teaching(0.4, ANOMALY)}, is_footage=True)
