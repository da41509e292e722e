"""MNNIT shoplifting: staged takes in a lab room, cut into clips of 3 s.

Address: https://github.com/squishybalz/retail-shoplifting-detection (footage: doi:10.17632/r3yjf35hzr.1)
Licence: CC BY 4.0 of the footage, inferred; the carrying repository states none.
A record (file, label, source_group):
    shoplifting/Shoplifting_001_f1.mp4, Shoplifting, Shoplifting_001
Every piece of a theft's take is labelled theft, also those before the hand moves. The set names no actor beyond "all
other actors". Takes next to each other often show the same ones, so ten in a row are one source.
"""

import re
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Row, read_rows
from omnisila.data.sets import MANIFEST, DataSet, Teaching
from omnisila.data.sets._footage import footage_video

WORDS = {"Shoplifting": "Theft", "Normal": "Normal"}
TAKES_IN_A_ROW = 10
_TAKE = re.compile(r"\w+_(?P<number>\d+)")


def read(folder: Path) -> AnnotatedSet:
    """All clips; a take and its neighbours are sources."""
    rows = read_rows(folder / MANIFEST, ("file", "label", "source_group", "licence"))
    return AnnotatedSet(videos=tuple(_video(row) for row in rows))


def _video(row: Row) -> AnnotatedVideo:
    take = row["source_group"]
    sources = [f"shoplifting_mnnit:{take}"]
    if match := _TAKE.fullmatch(take):
        first = int(match["number"]) // TAKES_IN_A_ROW * TAKES_IN_A_ROW
        sources.insert(0, f"shoplifting_mnnit:takes {first}-{first + TAKES_IN_A_ROW - 1}")
    return footage_video(row, {"implicit": row.choice("label", WORDS)}, sources)


SET = DataSet(
    read,
    trains={
        "implicit": Teaching(1.0, WORDS),
        "anomaly": Teaching(1.0, {"Theft": "Shoplifting", "Normal": "Normal"}),  # all in a shop
    },
    is_footage=True,
)
