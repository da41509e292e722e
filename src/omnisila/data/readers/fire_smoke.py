"""Stills with fire or smoke, and without: cameras, news, photographs; red lamps as hard negatives.

Address: https://github.com/Abonia1/YOLOv8-Fire-and-Smoke-Detection and
    https://github.com/SathurshanPrabaharan/Fire_and_smoke_detector
Licence: CC BY 4.0 as the uploaders state; the footage was compiled from the web.
A record (file, label, group):
    FireSmoke/firesm_Fire121_909a5a.jpg, FireSmoke, firesm:Fire121
The two collections share footage, and the groups do not know it: ``data.duplicates`` joins what they miss.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "fire_smoke"
LABELS = {"FireSmoke": "Fire", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All stills; smoke counts as fire."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("group",), is_still=True))
