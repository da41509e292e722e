"""Stills of walls with graffiti, and clean walls.

Address: https://github.com/smr2002/graffiti
Licence: CC BY 4.0 as the uploader states.
A record (file, label, group):
    Graffiti/graf_IMG_0092_c525e6.jpg, Graffiti, graf:IMG_0092
They show the mark, not the act: weak evidence of vandalism.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "vandalism_graffiti"
LABELS = {"Graffiti": "Vandalism", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All stills; a painted wall counts as Vandalism."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("group",), is_still=True))
