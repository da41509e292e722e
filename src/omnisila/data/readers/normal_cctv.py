"""Five short clips of people walking, working and shopping.

Address: https://github.com/intel-iot-devkit/sample-videos
Licence: CC BY 4.0.
A record (file, label, group):
    Normal/classroom.mp4, Normal, classroom
Previews of longer videos; two of the same shop.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "normal_cctv"
LABELS = {"Normal": "Normal"}


def read(root: Path) -> Reading:
    """All clips; all of them Normal."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("group",), is_still=False))
