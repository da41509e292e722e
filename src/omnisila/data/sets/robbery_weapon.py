"""Stills of people with a gun or a knife, from cameras and staged.

Address: https://github.com/TanmaySafal04/Crime_Detection_YOLOv8
Licence: CC BY 4.0 as the uploader states; the footage was compiled from the web.
A record (file, label, group):
    RobberyWeapon/crime_penembakan_frame_0001_e4aa77.jpg, RobberyWeapon, shoot_A_gaspump
A weapon is weak evidence of robbery, and the calm stills come from two scenes: train with other sets' calm stills.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"RobberyWeapon": "Robbery", "Normal": "Normal"}  # a held weapon counts as Robbery
SET = whole_files(
    WORDS,
    ("group",),
    is_still=True,
    trains={
        "implicit": Teaching(0.1, WORDS),
        "anomaly": Teaching(0.1, {"Robbery": "Robbery", "Normal": "Normal"}),
    },
)
