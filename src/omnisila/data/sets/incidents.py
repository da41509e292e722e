"""Untrimmed clips of many cameras, phones and films with the times of what happens in them.

Address: each row of the manifest names its repository
Licence: per row; for most of the footage none is stated.
A record (file, label, events, group):
    Fire/l0kxh_035.mp4, Fire, 16.5-34, lok_fire3
Times were set by eye, to about half a second. Groups ``test`` and ``test4`` are videos of ``traffic_accident``.
"""

from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Row, read_rows
from omnisila.data.sets import MANIFEST, DataSet, Teaching
from omnisila.data.sets._footage import footage_video
from omnisila.data.sets.traffic_accident import ANOMALY, video_sources

LABELS = {
    "Fighting": {"implicit": "Fighting"},
    "TrafficAccident": {"implicit": "Traffic Accidents"},
    "TrafficViolation": {"implicit": "Traffic Violations"},
    "Fire": {"implicit": "Fire"},
    "WaterIncident": {"implicit": "Water Incidents"},
    "Vandalism": {"implicit": "Vandalism"},
    "Accident": {"anomaly": "Accident"},  # at work: no implicit label says it
    "Normal": {"implicit": "Normal"},
}


def read(folder: Path) -> AnnotatedSet:
    """All clips; what lies outside the events is quiet."""
    columns = ("file", "label", "events", "group", "licence")
    return AnnotatedSet(videos=tuple(_video(row) for row in read_rows(folder / MANIFEST, columns)))


def _video(row: Row) -> AnnotatedVideo:
    group = row["group"]
    sources = video_sources(group) if group in ("test", "test4") else (f"incidents:{group}",)
    times = None if row["label"] == "Normal" else row["events"]
    return footage_video(row, row.choice("label", LABELS), sources, times=times)


WORDS = {label: label for label in ("Fighting", "Traffic Accidents", "Fire", "Normal")}
SET = DataSet(
    read,
    trains={
        "implicit": Teaching(0.6, WORDS),
        "anomaly": Teaching(0.6, {"Fighting": "Fighting", **ANOMALY}),
    },
    is_footage=True,
)
