"""MNNIT shoplifting: staged takes in a lab room, cut into clips of 3 s.

Address: https://github.com/squishybalz/retail-shoplifting-detection (footage: doi:10.17632/r3yjf35hzr.1)
Licence: CC BY 4.0 of the footage, inferred; the carrying repository states none.
A record (file, label, source_group):
    shoplifting/Shoplifting_001_f1.mp4, Shoplifting, Shoplifting_001
Every piece of a theft's take is labelled theft, also those before the hand moves; actors recur over takes.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Shoplifting": "Theft", "Normal": "Normal"}
SET = whole_files(
    WORDS,
    ("source_group",),
    is_still=False,
    trains={
        "implicit": Teaching(1.0, WORDS),
        "anomaly": Teaching(1.0, {"Theft": "Shoplifting", "Normal": "Normal"}),  # all in a shop
    },
)
