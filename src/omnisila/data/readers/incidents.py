"""Untrimmed clips of many cameras, phones and films with the times of what happens in them.

Address: each row of the manifest names its repository
Licence: per row; for most of the footage none is stated.
A record (file, label, events, group):
    Fire/l0kxh_035.mp4, Fire, 16.5-34, lok_fire3
Times were set by eye, to about half a second. Groups ``test`` and ``test4`` are videos of ``traffic_accident``.
"""

from pathlib import Path

from omnisila.data.clips.clip import Clip, Reading
from omnisila.data.clips.manifest import Row, rows
from omnisila.data.readers.traffic_accident import video_sources

NAME = "incidents"
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
_SHARED = ("test", "test4")


def read(root: Path) -> Reading:
    """All clips; what lies outside the events is quiet."""
    return Reading(clips=tuple(_clip(row) for row in rows(root, NAME, ("file", "label", "events", "group", "licence"))))


def _clip(row: Row) -> Clip:
    group = row["group"]
    return Clip(
        set_name=NAME,
        path=row.media(NAME),
        labels=row.choice("label", LABELS),
        events=None if row["label"] == "Normal" else row.spans(row["events"]),
        sources=video_sources(group) if group in _SHARED else (f"{NAME}:{group}",),
        is_still=False,
        licence=row["licence"],
    )
