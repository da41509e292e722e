"""Stills of walls with graffiti, and clean walls.

Address: https://github.com/smr2002/graffiti
Licence: CC BY 4.0 as the uploader states.
A record (file, label, group):
    Graffiti/graf_IMG_0092_c525e6.jpg, Graffiti, graf:IMG_0092
They show the mark, not the act: weak evidence of vandalism.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Graffiti": "Vandalism", "Normal": "Normal"}  # a painted wall counts as Vandalism
SET = whole_files(
    WORDS,
    ("group",),
    is_still=True,
    trains={
        "implicit": Teaching(0.1, WORDS),
        "anomaly": Teaching(0.1, {"Vandalism": "Vandalism", "Normal": "Normal"}),
    },
)
