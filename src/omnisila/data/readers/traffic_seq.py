"""Short clips of street cameras with the times of crashes, put together from the frames of ``traffic_accident``.

Address: https://github.com/shubhankar-shandilya-india/Accident-Detection-Model
Licence: CC BY 4.0 as the uploader states; the footage was compiled from the web.
A record of manifest.csv (file, label, group) and one of events.csv (file, label, start_s, end_s):
    TrafficAccident/test10.mp4, TrafficAccident, test10
    TrafficAccident/test10.mp4, TrafficAccident, 0.917, 3.667
The true frame rate is unknown; 12 Hz is assumed, so that speeds are too.
"""

from collections import defaultdict
from pathlib import Path

from omnisila.data.clips.clip import Clip, Reading
from omnisila.data.clips.manifest import rows
from omnisila.data.readers.traffic_accident import video_source
from omnisila.schema import Span

NAME = "traffic_seq"
LABELS = {"TrafficAccident": "Traffic Accidents"}


def read(root: Path) -> Reading:
    """All clips with the spans of their crashes; street traffic outside them is Normal."""
    events = _events(root)
    return Reading(
        clips=tuple(
            Clip(
                set_name=NAME,
                path=row.media(NAME),
                labels={"implicit": row.choice("label", LABELS)},
                events=tuple(events[row["file"]]),
                sources=(video_source(row["group"]),),
                is_still=False,
                licence=row["licence"],
            )
            for row in rows(root, NAME, ("file", "label", "group", "licence"))
        )
    )


def _events(root: Path) -> dict[str, list[Span]]:
    events: dict[str, list[Span]] = defaultdict(list)
    for row in rows(root, NAME, ("file", "label", "start_s", "end_s"), "events.csv"):
        row.choice("label", LABELS)
        start_s, end_s = row.seconds("start_s"), row.seconds("end_s")
        if end_s <= start_s:
            raise row.error(f"the event runs from {start_s} to {end_s} s", "end_s after start_s")
        events[row["file"]].append(Span(start_s=start_s, end_s=end_s))
    return events
