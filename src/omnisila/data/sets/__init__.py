"""One file a data set; a new file here is a new set: ``prepare`` reads it, and compact models train on it as it says.

A module's docstring opens with the set's address, its licence and one real record, and says what its groups are. Its
``SET`` is a ``DataSet``. Names with a leading underscore are no sets.
A fault in a file that the user wrote or fetched wrongly is an error; a row that was published faulty is left out and
listed in ``malformed``.
"""

import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.errors import DataSetError, LabelError, unknown
from omnisila.files import write_atomically
from omnisila.labels import label_set

MANIFEST = "manifest.csv"
BY_EXAMPLES = "its examples train with train icm, hawkeye or reaction; compact models train on footage sets alone"


class Teaching(NamedTuple):
    """What a set teaches of one label set.

    Attributes:
        weight: how often the set is drawn with it, relative to the other sets.
        labels: the set's own word or label -> the label that is true of the same footage.
    """

    weight: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class DataSet:
    """How a set is read, and what the compact models may learn from it.

    Attributes:
        read: from the set's folder to what it says; one whose label set the user chooses also takes ``labels``.
        trains: label set -> what it teaches there; of label sets that it was not judged by, what its own labels imply.
        untrained: why ``trains`` is empty; told whenever the set lies under the data root.
        is_act: whether its label is an act that a place's look must not give away.
        is_footage: whether it is footage of a data root, with a ``manifest.csv``.
        template: file name and writer of the annotations to fill in, for sets of one's own.
    """

    read: Callable[..., AnnotatedSet]
    trains: Mapping[str, Teaching] = field(default_factory=dict)
    untrained: str = ""
    is_act: bool = False
    is_footage: bool = False
    template: tuple[str, Callable[[Sequence[str], str | None], str]] | None = None

    def __post_init__(self) -> None:
        if bool(self.trains) == bool(self.untrained):
            raise ValueError("a data set says either what it trains, with which weight, or why it trains nothing")


def set_names() -> tuple[str, ...]:
    """The sets there are, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def data_set(name: str) -> DataSet:
    """One of the sets.

    Raises:
        DataSetError: there is no such set.
    """
    if name not in set_names():
        raise DataSetError(unknown("data set", name, set_names()))
    return importlib.import_module(f"{__name__}.{name}").SET


def read_set(name: str, folder: Path, labels: str | None = None) -> AnnotatedSet:
    """Everything that one set says.

    Args:
        name: one of ``set_names()``.
        folder: where its files lie; for the generic sets also the file itself, for footage also the data root above.
        labels: label set of a generic set (``activitynet``, ``folder_csv``); the others know their own.

    Raises:
        DataSetError: there is no such set, or a file is missing or not of the expected form.
        LabelError: a label set was given for annotations that have their own, or it does not exist.
    """
    chosen = data_set(name)
    if labels is not None:
        if "labels" not in inspect.signature(chosen.read).parameters:
            raise LabelError(f"{name}: labels={labels!r} given, but this set has a label set of its own. Leave it out.")
        label_set(labels)  # a wrong one is told before a long file is read
    place = footage_root(name, folder) / name if chosen.is_footage else folder
    read = chosen.read(place) if labels is None else chosen.read(place, labels)
    videos = tuple(video.model_copy(update={"set_name": name}) for video in read.videos)
    return read.model_copy(update={"name": name, "videos": videos})


def footage_root(name: str, folder: Path) -> Path:
    """The data root that a footage set's paths are relative to, given that or the set's own folder.

    Raises:
        DataSetError: the folder is neither.
    """
    if (folder / name).is_dir():
        return folder
    if folder.resolve().name == name and folder.is_dir():
        return folder.resolve().parent
    raise DataSetError(f"{folder}: no data set {name} here. Give the set's folder, called {name}, or the one above it.")


def read_footage(root: Path, names: Sequence[str] | None = None) -> AnnotatedSet:
    """Several footage sets as one, all of them by default.

    Raises:
        DataSetError: sets are missing, all of which are named, or as ``read_set``.
    """
    wanted = footage_sets() if names is None else names
    absent = absent_sets(root, wanted)
    if absent:
        raise DataSetError(
            f"{root}: {len(absent)} of {len(wanted)} data sets are missing: {', '.join(absent)}. Put each there as a "
            f"folder with its {MANIFEST}, or train with --partial on the others."
        )
    read = [read_set(name, root) for name in wanted]
    return AnnotatedSet(
        videos=tuple(video for part in read for video in part.videos),
        malformed=tuple(row for part in read for row in part.malformed),
    )


def footage_sets() -> tuple[str, ...]:
    """The sets that lie under a data root."""
    return tuple(name for name in set_names() if data_set(name).is_footage)


def absent_sets(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the footage sets that have no table under the data root."""
    return tuple(name for name in names if not (root / name / MANIFEST).is_file())


def set_weights(label_sets: Iterable[str]) -> dict[str, dict[str, float]]:
    """How often each set is drawn with each of the label sets that it trains."""
    trains = {name: data_set(name).trains for name in footage_sets()}
    return {
        labels: {name: taught[labels].weight for name, taught in trains.items() if labels in taught}
        for labels in label_sets
    }


def act_sets() -> tuple[str, ...]:
    """The sets whose label is an act that a place's look must not give away."""
    return tuple(name for name in footage_sets() if data_set(name).is_act)


def untrained_sets(root: Path, trained: Iterable[str]) -> dict[str, str]:
    """Why each set that lies under the data root, but is not among the trained ones, is not used."""
    reasons: dict[str, str] = {}
    for table in sorted(root.glob(f"*/{MANIFEST}")):
        name = table.parent.name
        if name not in set_names():
            reasons[name] = "no file of data/sets reads it"
        elif name not in set(trained):
            chosen = data_set(name)
            reasons[name] = chosen.untrained or f"it trains {', '.join(chosen.trains)}, which this model does not learn"
    return reasons


def with_implied_labels(videos: Sequence[AnnotatedVideo], label_sets: Iterable[str]) -> tuple[AnnotatedVideo, ...]:
    """The videos with a label of each label set that their own labels imply; those without one stay as they are."""
    result = list(videos)
    for labels in label_sets:
        for index, video in enumerate(result):
            taught = data_set(video.set_name).trains.get(labels)
            implied = taught and taught.labels.get(video.video_label or "")
            if implied and labels not in video.labels:
                result[index] = video.replace(labels={**video.labels, labels: implied})
    return tuple(result)


def count_untaught(videos: Sequence[AnnotatedVideo], taught: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many videos of each set show a label that is not among the taught ones, as ``set: label``.

    Args:
        videos: with the labels that theirs imply (``with_implied_labels``).
        taught: label set -> labels.
    """
    lost: Counter[str] = Counter()
    for video in videos:
        if not any(label in taught.get(name, ()) for name, label in video.labels.items()):
            shown = [label for name, label in video.labels.items() if name in taught] or [video.video_label]
            lost[f"{video.set_name}: {shown[0]}"] += 1
    return lost


def write_template(name: str, folder: Path, videos: Sequence[str], labels: str | None = None) -> Path:
    """Put a file to fill in into a folder of one's own videos, and tell where it is.

    Args:
        name: a generic set: ``activitynet`` or ``folder_csv``.
        videos: their paths inside it; each gets an entry that says nothing yet.

    Raises:
        DataSetError: the set's annotations are published, or the file is there already.
        LabelError: no such label set.
        OutputError: it cannot be written.
    """
    template = data_set(name).template if name in set_names() else None
    if template is None:
        own = ", ".join(other for other in set_names() if data_set(other).template)
        raise DataSetError(f"{name}: no annotations to write oneself. Choose from: {own}.")
    if labels is not None:
        label_set(labels)
    file_name, text_of = template
    path = folder / file_name
    if path.exists():
        raise DataSetError(f"{path}: exists. Fill it in, or move it away for a new one.")
    write_atomically(path, text_of(videos, labels))
    return path
