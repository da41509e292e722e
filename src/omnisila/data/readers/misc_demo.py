"""Nine everyday clips of 2 to 110 s that demonstrate other software: people, sport, crowds, hands at work.

Address: https://github.com/open-mmlab/mmaction2 and others; each row of the manifest names its own
Licence: per row: Apache-2.0, MIT or CC BY 4.0.
A record (file, label, group):
    Normal/ask_baseball.mp4, Normal, ask_baseball
Hard negatives: fast motion and people close together, and nothing wrong. Checked by eye, not annotated.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "misc_demo"
LABELS = {"Normal": "Normal"}


def read(root: Path) -> Reading:
    """All clips; all of them Normal."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("source_group",), is_still=False))
