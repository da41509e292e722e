"""Five short clips of people walking, working and shopping.

Address: https://github.com/intel-iot-devkit/sample-videos
Licence: CC BY 4.0.
A record (file, label, group):
    Normal/classroom.mp4, Normal, classroom
Previews of longer videos; two of the same shop.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Normal": "Normal"}
SET = whole_files(
    WORDS, ("group",), is_still=False, trains={"implicit": Teaching(0.1, WORDS), "anomaly": Teaching(0.1, WORDS)}
)
