"""Surveillance Camera Fight Dataset: clips of about 2 s from street, shop and office cameras.

Address: https://github.com/seymanurakti/fight-detection-surv-dataset (Akti, Tataroglu and Ekenel, IPTA 2019)
Licence: MIT as the repository states; the footage comes from YouTube, CamNet and Synopsis.
A record (file, label, source_group, split_group):
    fight/fi001.mp4, Fighting, youtube:7q6KJoSgxmY, 7q6KJoSgxmY
Split by ``split_group``: it joins channels that show the same scene.
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Fighting": "Fighting", "Normal": "Normal"}
SET = whole_files(
    WORDS,
    ("split_group", "source_group"),
    is_still=False,
    trains={
        "implicit": Teaching(1.2, WORDS),
        "anomaly": Teaching(1.2, WORDS),
    },
    is_act=True,
)
