"""Faces gathered from the web, labelled with emotions by students: the explicit sentiments.

Address: https://github.com/muxspace/facial_expressions
Licence: Apache-2.0 as the repository states; the photographs' own rights are unknown.
A record (file, label, sentiment, source_group):
    happiness/Chadha_Gurinder_0001.jpg, happiness, positive, Chadha_Gurinder
A person is a source. Surprise is neither good nor bad news: its rows are ambiguous, left out and counted. That a
portrait shows no event of the implicit labels is our assumption, not an annotation.
"""

from collections import Counter
from pathlib import Path

from omnisila.data.clips.clip import Clip, Reading
from omnisila.data.clips.manifest import rows

NAME = "emotion_faces"
SENTIMENTS = {"positive": "positive", "neutral": "neutral", "negative": "negative", "ambiguous": None}


def read(root: Path) -> Reading:
    """Face pictures with a clear sentiment."""
    clips: list[Clip] = []
    dropped: Counter[str] = Counter()
    for row in rows(root, NAME, ("file", "label", "sentiment", "source_group", "licence")):
        sentiment = row.choice("sentiment", SENTIMENTS)
        if sentiment is None:
            dropped[f"sentiment of {row['label']} is ambiguous"] += 1
            continue
        clips.append(
            Clip(
                set_name=NAME,
                path=row.media(NAME),
                labels={"explicit": sentiment, "implicit": "Normal"},
                sources=(f"{NAME}:{row['source_group']}",),
                is_still=True,
                licence=row["licence"],
            )
        )
    return Reading(clips=tuple(clips), dropped=dict(dropped))
