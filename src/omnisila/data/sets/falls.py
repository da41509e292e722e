"""Falls and daily life of four people at home, staged for a study (GMDCSA-24).

Address: https://github.com/ekramalam/GMDCSA24-A-Dataset-for-Human-Fall-Detection-in-Videos
Licence: MIT as the repository states.
A record (file, label, start_s, end_s, group):
    Fall/ekramalam_106.mp4, Fall, 0.4, 4, Subject1
No built-in label set has a label for a fall, so all of it is Normal, and the times of falls are not read: hard
negatives, above all for Fighting.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Normal": "Normal"}
SET = whole_files(
    {"Fall": "Normal", "Normal": "Normal"},
    ("group",),
    is_still=False,
    trains={
        "implicit": Teaching(0.1, WORDS),
        "anomaly": Teaching(0.1, WORDS),
    },
)
