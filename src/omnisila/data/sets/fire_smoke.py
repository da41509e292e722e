"""Stills with fire or smoke, and without: cameras, news, photographs; red lamps as hard negatives.

Address: https://github.com/Abonia1/YOLOv8-Fire-and-Smoke-Detection and
    https://github.com/SathurshanPrabaharan/Fire_and_smoke_detector
Licence: CC BY 4.0 as the uploaders state; the footage was compiled from the web.
A record (file, label, group):
    FireSmoke/firesm_Fire121_909a5a.jpg, FireSmoke, firesm:Fire121
The two collections share footage, and the groups do not know it: ``clips/duplicates.py`` joins what they miss.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"FireSmoke": "Fire", "Normal": "Normal"}  # smoke counts as fire
SET = whole_files(
    WORDS,
    ("group",),
    is_still=True,
    trains={
        "implicit": Teaching(0.8, WORDS),
        "anomaly": Teaching(0.1, {"Normal": "Normal"}),  # Arson has an intent, and no fire here is known to be one
    },
)
