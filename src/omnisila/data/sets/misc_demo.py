"""Nine everyday clips of 2 to 110 s that demonstrate other software: people, sport, crowds, hands at work.

Address: https://github.com/open-mmlab/mmaction2 and others; each row of the manifest names its own
Licence: per row: Apache-2.0, MIT or CC BY 4.0.
A record (file, label, group):
    Normal/ask_baseball.mp4, Normal, ask_baseball
Hard negatives: fast motion and people close together, and nothing wrong. Checked by eye, not annotated.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Normal": "Normal"}
SET = whole_files(
    WORDS, ("source_group",), is_still=False, trains={"implicit": Teaching(0.2, WORDS), "anomaly": Teaching(0.2, WORDS)}
)
