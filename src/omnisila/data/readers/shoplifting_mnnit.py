"""MNNIT shoplifting: staged takes in a lab room, cut into clips of 3 s.

Address: https://github.com/squishybalz/retail-shoplifting-detection (footage: doi:10.17632/r3yjf35hzr.1)
Licence: CC BY 4.0 of the footage, inferred; the carrying repository states none.
A record (file, label, source_group):
    shoplifting/Shoplifting_001_f1.mp4, Shoplifting, Shoplifting_001
Every piece of a theft's take is labelled theft, also those before the hand moves; actors recur over takes.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "shoplifting_mnnit"
LABELS = {"Shoplifting": "Theft", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All clips; a take is a source."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("source_group",), is_still=False))
