"""Anyone's own videos: a folder and one CSV file that says what happens in them and when.

Address: none; the file is the user's.
Licence: the user's.
A record (video,start_s,end_s,label and, where wanted, cause,split,group):
    gate/monday.mp4,12.5,19,Fighting,Two men strike each other at the gate.,train,gate
One line an event; a video with several has several lines. Without times, a line gives the label of the whole video: the
quiet label (Normal, neutral) says that nothing happens in it, any other that it happens at an unknown time. A video
without a line is not read: nobody said that it is calm. ``split`` is train where it is not given, ``group`` the video.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Split
from omnisila.data.annotations._tables import fitting_labels, footage, in_time_order, only_file, truth
from omnisila.data.clips.manifest import Row, rows
from omnisila.labels import LabelSet, label_set

NAME = "folder_csv"
COLUMNS = ("video", "start_s", "end_s", "label")
OPTIONAL = ("cause", "split", "group")
TEMPLATE = "annotations.csv"


def read(folder: Path, labels: str | None = None) -> AnnotatedSet:
    """All videos that the folder's one CSV file names, in its order.

    Args:
        folder: the folder, or the file itself; videos are relative to where the file lies.
        labels: the label set; None: the only built-in one that has all the labels.

    Raises:
        DataSetError: the file is missing, or a line is not of the form.
        LabelError: the label set does not exist or lacks a label.
    """
    path = only_file(folder, ".csv")
    table = list(rows(path.parent, "", COLUMNS, path.name))
    videos: dict[str, list[Row]] = {}
    for row in table:
        if None in row.values:
            raise row.error("more fields than the header", "text with commas in double quotes")
        videos.setdefault(footage(row, row["video"]), []).append(row)
    known = label_set(fitting_labels(path, labels, [row["label"] for row in table]))
    return AnnotatedSet(name=NAME, videos=tuple(_video(name, lines, known) for name, lines in videos.items()))


def template(videos: Sequence[str], labels: str | None = None) -> str:
    """The table with a line for each video, whose label stays to be filled in; one without a label is an error."""
    del labels  # the labels that are written tell the set
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow((*COLUMNS, *OPTIONAL))
    table.writerows((video, *("",) * (len(COLUMNS) + len(OPTIONAL) - 1)) for video in videos)
    return text.getvalue()


def _video(name: str, lines: list[Row], labels: LabelSet) -> AnnotatedVideo:
    first = lines[0]
    for line in lines[1:]:
        for column in ("split", "group"):
            if _optional(line, column) != _optional(first, column):
                raise line.error(f"another {column} than line {first.line} for {name}", "one for a video")
    untimed = [line for line in lines if not _optional(line, "start_s") and not _optional(line, "end_s")]
    if untimed and len(lines) > 1:
        raise untimed[0].error(f"no times, and {len(lines)} lines for {name}", "times, or one line for the video")
    is_weak = bool(untimed) and first["label"] != labels.quiet
    events = [
        truth(line, line.seconds("start_s"), line.seconds("end_s"), line["label"], _optional(line, "cause"))
        for line in lines
        if line not in untimed and line["label"] != labels.quiet
    ]
    return AnnotatedVideo(
        id=name,
        video=name,
        labels=labels.name,
        truth=None if is_weak else in_time_order(events),
        video_label=first["label"] if is_weak else None,
        split=_split(first),
        group=_optional(first, "group") or name,
        note=_optional(first, "cause") if untimed else None,
    )


def _optional(row: Row, column: str) -> str | None:
    return (row.values.get(column) or "").strip() or None


def _split(row: Row) -> Split:
    if _optional(row, "split") is None:
        return "train"
    return row.choice("split", {name: name for name in get_args(Split)})
