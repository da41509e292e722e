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
from typing import NamedTuple

from omnisila.data.clips.clip import Clip, Reading
from omnisila.data.clips.manifest import Row, rows

NAME = "emotion_faces"
SENTIMENTS = {"positive": "positive", "neutral": "neutral", "negative": "negative", "ambiguous": None}
# the reaction that an expression is taken for; that a smile is amusement is our assumption
REACTIONS = {
    "happiness": "Amusement", "disgust": "Disgust", "fear": "Fear", "surprise": "Surprise",
    "neutral": None, "anger": None, "sadness": None, "contempt": None,
}  # fmt: skip


class EmotionFace(NamedTuple):
    """A picture, the emotion that students saw in it, and the reaction label; None for none of the set's."""

    clip: Clip
    emotion: str
    reaction: str | None


def read(root: Path) -> Reading:
    """Face pictures with a clear sentiment."""
    clips: list[Clip] = []
    dropped: Counter[str] = Counter()
    for row in rows(root, NAME, ("file", "label", "sentiment", "source_group", "licence")):
        sentiment = row.choice("sentiment", SENTIMENTS)
        if sentiment is None:
            dropped[f"sentiment of {row['label']} is ambiguous"] += 1
            continue
        clips.append(_clip(row, {"explicit": sentiment, "implicit": "Normal"}))
    return Reading(clips=tuple(clips), dropped=dict(dropped))


def faces(root: Path) -> tuple[EmotionFace, ...]:
    """All pictures by emotion; the clips' labels are reactions, and Normal.

    Raises:
        DataSetError: as ``manifest.rows``, and for unknown emotions and missing files.
    """
    found: list[EmotionFace] = []
    for row in rows(root, NAME, ("file", "label", "source_group", "licence")):
        reaction = row.choice("label", REACTIONS)
        labels = {"implicit": "Normal", **({"reaction": reaction} if reaction else {})}
        found.append(EmotionFace(_clip(row, labels), row["label"], reaction))
    return tuple(found)


def _clip(row: Row, labels: dict[str, str]) -> Clip:
    return Clip(
        set_name=NAME,
        path=row.media(NAME),
        labels=labels,
        sources=(f"{NAME}:{row['source_group']}",),
        is_still=True,
        licence=row["licence"],
    )
