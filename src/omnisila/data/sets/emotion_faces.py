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

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed
from omnisila.data.annotation_files import read_rows
from omnisila.data.sets import MANIFEST, DataSet, Teaching
from omnisila.data.sets._footage import footage_video

SENTIMENTS = {"positive": "positive", "neutral": "neutral", "negative": "negative", "ambiguous": None}
CALM = {"positive": "Normal", "neutral": "Normal", "negative": "Normal"}


def read(folder: Path) -> AnnotatedSet:
    """Face pictures with a clear sentiment."""
    videos: list[AnnotatedVideo] = []
    ambiguous: Counter[str] = Counter()
    for row in read_rows(folder / MANIFEST, ("file", "label", "sentiment", "source_group", "licence")):
        sentiment = row.choice("sentiment", SENTIMENTS)
        if sentiment is None:
            ambiguous[row["label"]] += 1
        else:
            labels = {"explicit": sentiment, "implicit": "Normal"}
            videos.append(footage_video(row, labels, (f"emotion_faces:{row['source_group']}",), is_still=True))
    left_out = (
        Malformed(file="emotion_faces", line=None, reason=f"sentiment of {emotion} is ambiguous ({count})")
        for emotion, count in ambiguous.items()
    )
    return AnnotatedSet(videos=tuple(videos), malformed=tuple(left_out))


SET = DataSet(
    read,
    trains={
        "explicit": Teaching(2.4, {label: label for label in CALM}),
        "implicit": Teaching(0.2, CALM),
        "anomaly": Teaching(0.2, CALM),
    },
    is_footage=True,
)
