"""CMU-MOSEI: sentiment and six emotions of people who speak to a camera; scene tuning's faces.

Address: http://multicomp.cs.cmu.edu/resources/cmu-mosei-dataset (Zadeh et al., ACL 2018)
Licence: the labels as CMU's SDK gives them out, for research; the videos remain their uploaders' on YouTube.
A record of CMU_MOSEI_Labels.csd (HDF5; under "All Labels/data/<video id>", one row a segment):
    -3g5yACwYnA: intervals [[0.6905, 12.7662], ...] in seconds,
    features [[1.0, 0.6667, 0.6667, 0.0, 0.0, 0.0, 0.3333], ...]
        (sentiment -3 to 3, then happiness, sadness, anger, surprise, disgust, fear, each 0 to 3)
The file holds no split. The standard folds are lists of ids in the SDK's source: beside the file, ``train.txt``,
``val.txt`` and ``test.txt`` with one id a line are read. Where they are missing every video trains, and ``--resplit``
splits by video.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from omnisila.data.annotated import AnnotatedSet, Described, Malformed, Split
from omnisila.data.annotation_files import only_file, read_words
from omnisila.data.sets import DataSet
from omnisila.errors import DataSetError, needing

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
SPLITS: tuple[Split, ...] = ("train", "val", "test")
FORM = "HDF5 with <root>/data/<video id>/features (segments, 7) and intervals (segments, 2)"
# The SDK rounds sentiment to seven classes; these are their names.
SENTIMENTS = ("highly negative", "negative", "weakly negative", "neutral", "weakly positive", "positive",
              "highly positive")  # fmt: skip
DEGREES = ("slight", "moderate", "strong")  # of an emotion up to 1, 2 and 3


def read(folder: Path) -> AnnotatedSet:
    """All segments, their sentiment and emotions in words."""
    with needing("h5py", "CMU-MOSEI", "data"):
        import h5py
    path = only_file(folder, ".csd")
    split_of: dict[str, Split] = {video: split for split in SPLITS for video in _ids(path.parent / f"{split}.txt")}
    described: list[Described] = []
    malformed: list[Malformed] = []
    try:
        with h5py.File(path) as file:
            # one root, whose name differs between releases
            roots = [root for root in file.values() if hasattr(root, "keys") and "data" in root]
            if len(roots) != 1 or not hasattr(roots[0]["data"], "items"):
                raise DataSetError(f"{path}: {len(roots)} groups with data (found: {', '.join(file)}). Wanted: {FORM}.")
            for video, segments in roots[0]["data"].items():
                features, intervals = _arrays(path, video, segments)
                for index, (row, span) in enumerate(zip(features, intervals, strict=True)):
                    if _is_sound(row, span):
                        described.append(
                            Described(
                                id=f"{video}-{index}",
                                source=f"{video}.mp4",
                                medium="video",
                                scene="face",
                                text=in_words(row.tolist()),
                                start_s=float(span[0]),
                                end_s=float(span[1]),
                                split=split_of.get(video, "train"),
                                group=video,
                            )
                        )
                    else:
                        reason = f"{video}, segment {index}: values {row.tolist()} over {span.tolist()}"
                        malformed.append(Malformed(file=path.name, line=None, reason=reason))
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read as HDF5 ({error}). Wanted: {FORM}.") from error
    return AnnotatedSet(described=tuple(described), malformed=tuple(malformed))


def in_words(values: Sequence[float]) -> str:
    """A segment's seven values as a description: ``weakly positive sentiment, slight happiness, slight fear``.

    Args:
        values: sentiment in [-3, 3], then the six emotions in [0, 3].
    """
    sentiment = SENTIMENTS[int(np.floor(values[0] + 0.5)) + 3]
    shown = [
        f"{DEGREES[min(int(np.ceil(value)), 3) - 1]} {name}"
        for name, value in zip(EMOTIONS, values[1:], strict=True)
        if value > 0
    ]
    return ", ".join([f"{sentiment} sentiment", *(shown or ["no emotion"])])


def _arrays(
    path: Path, video: str, segments: Any
) -> tuple[Float[np.ndarray, "segments 7"], Float[np.ndarray, "segments 2"]]:
    """A video's labels and times.

    Raises:
        DataSetError: one is missing or of another shape.
    """
    if not hasattr(segments, "keys") or not {"features", "intervals"} <= set(segments):
        raise DataSetError(f"{path}: {video} lacks features or intervals. Wanted: {FORM}.")
    features, intervals = (np.asarray(segments[name], dtype=np.float64) for name in ("features", "intervals"))
    if features.ndim != 2 or features.shape[1] != 7 or intervals.shape != (len(features), 2):
        raise DataSetError(
            f"{path}: {video} has features of shape {features.shape} and intervals of shape {intervals.shape}. "
            f"Wanted: {FORM}. Other .csd files hold features, not labels."
        )
    return features, intervals


def _is_sound(row: Float[np.ndarray, "7"], span: Float[np.ndarray, "2"]) -> bool:
    if not (np.isfinite(row).all() and np.isfinite(span).all()):
        return False
    emotions = row[1:]
    return bool(abs(row[0]) <= 3 and (emotions >= 0).all() and (emotions <= 3).all() and 0 <= span[0] < span[1])


def _ids(path: Path) -> Iterator[str]:
    if path.is_file():
        for row, words in read_words(path, "one video id a line"):
            if len(words) != 1:
                raise row.error(f"{' '.join(words)!r}", "one video id a line")
            yield words[0]


SET = DataSet(read, untrained="its descriptions tune scenes (prepare scene-tuning) and hold no label")
