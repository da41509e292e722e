"""Stills of people with a gun or a knife, from cameras and staged.

Address: https://github.com/TanmaySafal04/Crime_Detection_YOLOv8
Licence: CC BY 4.0 as the uploader states; the footage was compiled from the web.
A record (file, label, group):
    RobberyWeapon/crime_penembakan_frame_0001_e4aa77.jpg, RobberyWeapon, shoot_A_gaspump
A weapon is weak evidence of robbery, and the calm stills come from two scenes: train with other sets' calm stills.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "robbery_weapon"
LABELS = {"RobberyWeapon": "Robbery", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All stills; a held weapon counts as Robbery."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("group",), is_still=True))
