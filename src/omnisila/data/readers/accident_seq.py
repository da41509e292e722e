"""Ordered clips of street cameras with the times of crashes, at their true 6 frames a second.

Address: https://github.com/krishrustagi/Accident-Detection-System (Kaggle ckay16/accident-detection-from-cctv-footage)
Licence: none stated by the carrier; the footage was compiled from the web.
A record (file, label, start_s, end_s, group); times of several crashes are parted by semicolons:
    test13.mp4, TrafficAccident, 0.00;1.50, 0.17;4.17, test13
They are the videos of ``traffic_accident``, so a frame there and a clip here are one source.
"""

from itertools import zip_longest
from pathlib import Path

from omnisila.data.clips.clip import Clip, Reading
from omnisila.data.clips.manifest import Row, rows
from omnisila.data.readers.traffic_accident import video_sources

NAME = "accident_seq"
LABELS = {"TrafficAccident": "Traffic Accidents", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All clips; street traffic outside the crashes is Normal."""
    return Reading(clips=tuple(_clip(row) for row in rows(root, NAME, _COLUMNS)))


_COLUMNS = ("file", "label", "start_s", "end_s", "group", "licence")


def _clip(row: Row) -> Clip:
    label = row.choice("label", LABELS)
    starts, ends = (row.values[column].split(";") for column in ("start_s", "end_s"))
    times = ";".join(f"{start}-{end}" for start, end in zip_longest(starts, ends, fillvalue=""))
    return Clip(
        set_name=NAME,
        path=row.media(NAME),
        labels={"implicit": label},
        events=None if label == "Normal" else row.spans(times),
        sources=video_sources(row["group"]),
        is_still=False,
        licence=row["licence"],
    )
