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
from omnisila.data.annotation_files import Row, only_file, read_rows
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import find_label_set, footage_path, in_time_order, make_event
from omnisila.labels import LabelSet, label_set

COLUMNS = ("video", "start_s", "end_s", "label")
OPTIONAL = ("cause", "split", "group")
SPLITS: dict[str, Split] = {split: split for split in get_args(Split)}


def read(folder: Path, labels: str | None = None) -> AnnotatedSet:
    """All videos that the folder's one CSV file names, in its order.

    Args:
        folder: the folder, or the file itself; videos are relative to where the file lies.
        labels: the label set; None: the only built-in one that has all the labels.
    """
    path = only_file(folder, ".csv")
    table = list(read_rows(path, COLUMNS))
    videos: dict[str, list[Row]] = {}
    for row in table:
        videos.setdefault(footage_path(row, row["video"]), []).append(row)
    known = label_set(find_label_set(path, labels, [row["label"] for row in table]))
    return AnnotatedSet(videos=tuple(_video(name, lines, known) for name, lines in videos.items()))


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
            if line.optional(column) != first.optional(column):
                raise line.error(f"another {column} than line {first.line} for {name}", "one for a video")
    untimed = [line for line in lines if not line.optional("start_s") and not line.optional("end_s")]
    if untimed and len(lines) > 1:
        raise untimed[0].error(f"no times, and {len(lines)} lines for {name}", "times, or one line for the video")
    is_weak = bool(untimed) and first["label"] != labels.quiet
    events = [
        make_event(line, line.seconds("start_s"), line.seconds("end_s"), line["label"], line.optional("cause"))
        for line in lines
        if line not in untimed and line["label"] != labels.quiet
    ]
    return AnnotatedVideo(
        id=name,
        path=name,
        labels={labels.name: first["label"] if is_weak else None},
        truth=None if is_weak else in_time_order(events),
        split=first.choice("split", SPLITS) if first.optional("split") else "train",
        sources=(first.optional("group") or name,),
        note=first.optional("cause") if untimed else None,
    )


SET = DataSet(read, untrained=BY_EXAMPLES, template=("annotations.csv", template))
