"""Surveillance Camera Fight Dataset: clips of about 2 s from street, shop and office cameras.

Address: https://github.com/seymanurakti/fight-detection-surv-dataset (Akti, Tataroglu and Ekenel, IPTA 2019)
Licence: MIT as the repository states; the footage comes from YouTube, CamNet and Synopsis.
A record (file, label, source_group, split_group):
    fight/fi001.mp4, Fighting, youtube:7q6KJoSgxmY, 7q6KJoSgxmY
Split by ``split_group``: it joins channels that show the same scene.
"""

from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import whole_clips

NAME = "fight_surv"
LABELS = {"Fighting": "Fighting", "Normal": "Normal"}


def read(root: Path) -> Reading:
    """All clips, fights and calm scenes of the same cameras."""
    return Reading(clips=whole_clips(root, NAME, LABELS, ("split_group", "source_group"), is_still=False))
