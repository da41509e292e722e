"""XD-Violence: violence in films, sport, games and street footage; the 500 violent test videos with frame spans.

Address: https://roc-ng.github.io/XD-Violence/ (Wu et al., ECCV 2020)
Licence: MIT for the annotations; the videos for research.
A record of annotations_multiclasses.txt (video, then class, first and last frame of each event, 24 frames a second):
    Salt.2010__#01-06-27_01-07-07_label_G-B2-0 B2 50 84 G 25 92 B2 119 137 B2 190 270 B2 319 526 B2 690 730
annotations.txt has the frames alone, with touching events of two classes joined; it is read where the other is
missing, and then a video's class must follow from its name.
B1 fighting, B2 shooting, B5 abuse, B6 car accident and G explosion have a name in the anomaly set. B4, riot, has
none: calling such time Normal would be false and so would calling it anything else, so the whole video is left out and
listed as malformed.
"""

import re
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed
from omnisila.data.annotation_files import Row, check_new, read_words
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import footage_path, in_time_order, make_event
from omnisila.labels import ANOMALY

RATE_HZ = 24.0
LABELS = {"B1": "Fighting", "B2": "Shooting", "B5": "Abuse", "B6": "Accident", "G": "Explosion"}
UNNAMED = {"B4": "riot"}
CLASSED_FORM = "video, then class, start frame and end frame of each event"
PLAIN_FORM = "video, then start frame and end frame of each event"


def read(folder: Path) -> AnnotatedSet:
    """The violent test videos that the anomaly set can name."""
    classed, plain = folder / "annotations_multiclasses.txt", folder / "annotations.txt"
    has_classes = classed.exists() or not plain.exists()
    path, form = (classed, CLASSED_FORM) if has_classes else (plain, PLAIN_FORM)
    videos: dict[str, AnnotatedVideo] = {}
    malformed: list[Malformed] = []
    for row, (word, *fields) in read_words(path, form):
        name = word.removesuffix(".mp4")
        check_new(row, videos, name)
        kinds = _classes(row, name)
        events = _events_with_class(row, fields) if has_classes else _events_without_class(row, fields, kinds)
        reason = _unreadable(name, [kind for kind, _, _ in events])
        if reason:
            malformed.append(Malformed(file=path.name, line=row.line, reason=reason))
        else:
            videos[name] = _video(row, name, events)
    return AnnotatedSet(videos=tuple(videos.values()), malformed=tuple(malformed))


def _video(row: Row, name: str, events: list[tuple[str, float, float]]) -> AnnotatedVideo:
    return AnnotatedVideo(
        id=name,
        path=footage_path(row, f"{name}.mp4"),
        labels={ANOMALY.name: None},
        truth=in_time_order(make_event(row, start_s, end_s, LABELS[kind]) for kind, start_s, end_s in events),
        split="test",
        sources=(name.partition("__#")[0],),
    )


def _unreadable(name: str, kinds: list[str]) -> str | None:
    unnamed = sorted({UNNAMED[kind] for kind in kinds if kind in UNNAMED})
    if unnamed:
        return f"{name}: {', '.join(unnamed)} has no name in label set {ANOMALY.name}. Wanted: {', '.join(LABELS)}."
    if "" in kinds:
        return f"{name}: several classes and no {CLASSED_FORM}. Wanted: annotations_multiclasses.txt."
    return None


def _events_with_class(row: Row, fields: list[str]) -> list[tuple[str, float, float]]:
    if not fields or len(fields) % 3:
        raise row.error(f"{len(fields)} fields after the video", CLASSED_FORM)
    events = []
    for kind, start, end in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        if kind not in LABELS and kind not in UNNAMED:
            raise row.error(f"class {kind!r}", f"one of {', '.join((*LABELS, *UNNAMED))}")
        events.append((kind, _seconds(row, start), _seconds(row, end)))
    return events


def _events_without_class(row: Row, fields: list[str], kinds: list[str]) -> list[tuple[str, float, float]]:
    """The events with their class, or with none ("") where the video's name holds several."""
    if not fields or len(fields) % 2:
        raise row.error(f"{len(fields)} fields after the video", PLAIN_FORM)
    unnamed = [kind for kind in kinds if kind in UNNAMED]
    kind = kinds[0] if len(kinds) == 1 else (unnamed or [""])[0]
    return [
        (kind, _seconds(row, start), _seconds(row, end)) for start, end in zip(fields[::2], fields[1::2], strict=True)
    ]


def _classes(row: Row, name: str) -> list[str]:
    """The classes that the video's name ends in, as in ``_label_G-B2-0``."""
    found = re.search(r"_label_([^_]+)$", name)
    kinds = [kind for kind in found.group(1).split("-") if kind != "0"] if found else []
    if not kinds or any(kind not in LABELS and kind not in UNNAMED for kind in kinds):
        raise row.error(f"video {name!r}", f"a name that ends in its classes, as in _label_{'-'.join(LABELS)}")
    return kinds


def _seconds(row: Row, frame: str) -> float:
    if not frame.isdecimal():
        raise row.error(f"frame {frame!r}", "a frame number of 0 or more")
    return int(frame) / RATE_HZ


SET = DataSet(read, untrained=BY_EXAMPLES)
