"""TSL-300: 300 web videos with their segments of positive and of negative sentiment; uncovered time is neutral.

Address: https://github.com/nku-zhichengzhang/TSL300, folder dataset/VideoSenti (Zhang et al., ACM MM 2022)
Licence: Apache-2.0 for the annotations; the videos are given out on request for research.
A record of videosenti_gt.json:
    "346_CMU_MOSEI_-egA8-b7-3M": {"subset": "train", "annotations": [
        {"segment": ["22.46", "24.63"], "label": "p"}, {"segment": ["35.36", "40.83"], "label": "p"}]}
``gt.json`` beside it holds the segments of the test half alone and is not read. Durations are taken from
``len_duration_dict.json`` where it is there; 11 segments end up to 0.1 s later and are left as published.
"""

from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Entry, Stated, read_json
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import in_time_order, make_event
from omnisila.labels import EXPLICIT

FORM = '{"database": {id: {"subset": "train" or "test", "annotations": [{"segment": [s, s], "label": "p" or "n"}]}}}'


class _Segment(Stated):
    segment: tuple[float, float]
    label: Literal["p", "n"]


class _Video(Stated):
    subset: Literal["train", "test"]
    annotations: tuple[_Segment, ...]


class _File(Stated):
    database: dict[str, _Video]


def read(folder: Path) -> AnnotatedSet:
    """All videos of both splits."""
    path = folder / "videosenti_gt.json"
    file, text = read_json(path, TypeAdapter(_File).validate_python, FORM)
    lengths = folder / "len_duration_dict.json"
    durations_s: dict[str, float] = {}
    if lengths.exists():
        durations_s, _ = read_json(lengths, TypeAdapter(dict[str, float]).validate_python, "{id: seconds}")
    videos = [
        AnnotatedVideo(
            id=name,
            path=f"{name}.mp4",
            labels={EXPLICIT.name: None},
            truth=in_time_order(
                make_event(Entry(path, text, name), *segment.segment, EXPLICIT.published[segment.label])
                for segment in video.annotations
            ),
            duration_s=durations_s.get(name),
            split=video.subset,
            sources=(_source(name),),
        )
        for name, video in file.database.items()
    ]
    return AnnotatedSet(videos=tuple(videos))


def _source(name: str) -> str:
    """The clip's name in the set it was taken from, without TSL-300's running number."""
    number, _, source = name.partition("_")
    return source if number.isdigit() and source else name


SET = DataSet(read, untrained=BY_EXAMPLES)
