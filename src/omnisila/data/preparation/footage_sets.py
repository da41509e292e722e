"""The footage sets of ``data/readers`` as annotated videos, so that ``prepare`` takes them like published annotations.

A clip judged by several label sets becomes one annotated video for each. The sets publish no split: clips that share
footage stay together (``footage_groups``), one of five folds tests and another validates.
"""

from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed, Split
from omnisila.data.clips.clip import Clip
from omnisila.data.clips.folds import folds, footage_groups
from omnisila.data.readers import read_set
from omnisila.errors import DataSetError, MediaError
from omnisila.labels import label_set
from omnisila.media.video import STILL_S, probe
from omnisila.schema import Span, Truth

_FOLDS = 5
_SPLITS: tuple[Split, ...] = ("test", "val", "train", "train", "train")


def read_footage(name: str, folder: Path) -> AnnotatedSet:
    """A footage set with the durations of its files; paths are relative to the folder above the set's own.

    Args:
        name: of a reader.
        folder: the set's folder, or the data root above it.

    Raises:
        DataSetError: the folder is neither, or the set is not as its reader expects.
    """
    root = footage_root(name, folder)
    reading = read_set(root, name)
    groups = footage_groups(reading.clips)
    held = folds(reading.clips, _FOLDS)
    videos: list[AnnotatedVideo] = []
    unread = [Malformed(file=name, line=None, reason=f"{why} ({count})") for why, count in reading.dropped.items()]
    for clip, group, fold in zip(reading.clips, groups, held, strict=True):
        try:
            duration_s = STILL_S if clip.is_still else probe(clip.file(root)).duration_s
        except MediaError as error:
            unread.append(Malformed(file=clip.path, line=None, reason=str(error)))
            continue
        videos += [_video(clip, labels, duration_s, group, _SPLITS[fold]) for labels in sorted(clip.labels)]
    return AnnotatedSet(name=name, videos=tuple(videos), malformed=tuple(unread))


def footage_root(name: str, folder: Path) -> Path:
    """The data root that a footage set's paths are relative to.

    Raises:
        DataSetError: the folder is neither the set's nor the one above it.
    """
    if (folder / name).is_dir():
        return folder
    if folder.resolve().name == name and folder.is_dir():
        return folder.resolve().parent
    raise DataSetError(f"{folder}: no data set {name} here. Give the set's folder, called {name}, or the one above it.")


def _video(clip: Clip, labels: str, duration_s: float, group: str, split: Split) -> AnnotatedVideo:
    label = clip.labels[labels]
    spans = (Span(start_s=0.0, end_s=duration_s),) if clip.events is None else clip.events
    quiet = label == label_set(labels).quiet
    name = clip.path.removeprefix(f"{clip.set_name}/")
    return AnnotatedVideo(
        id=name if len(clip.labels) == 1 else f"{name}@{labels}",
        video=clip.path,
        labels=labels,
        truth=() if quiet else tuple(Truth(span=span, label=label) for span in spans),
        duration_s=duration_s,
        split=split,
        group=group,
    )
