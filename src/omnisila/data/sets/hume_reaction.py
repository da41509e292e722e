"""Hume-Reaction: webcam clips of people watching videos, with the intensity of seven emotional reactions each.

Address: https://github.com/EIHW/MuSe2022 for the form (Christ et al., 2022); ABAW5 gave out the same clips
Licence: an agreement with Hume AI, for research.
A record of labels.csv (MuSe; a line of partition.csv with the same id has the split in its last column):
    File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise
    [12345],0.0,0.71,0.02,0.0,0.0,0.01,0.25
data_info.csv (ABAW5) is the same with a column ``Split``. The brackets belong to the writing, not to the id. The labels
of the test split are private: its clips have no intensities. Subjects are not named, so a clip is its own group and
only the published split keeps people apart.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Split
from omnisila.data.annotation_files import Row, check_new, read_rows
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import footage_path
from omnisila.errors import DataSetError
from omnisila.labels import REACTION

SPLITS: dict[str, Split] = {
    "train": "train", "Train": "train", "devel": "val", "Val": "val", "val": "val", "test": "test", "Test": "test",
}  # fmt: skip
PRIVATE = {"", "nan"}
COLUMNS = {label: (label, label.replace(" ", "-")) for label in REACTION.labels}

_NAMED = 10  # faulty clips that a message names before it counts the rest


def read(folder: Path) -> AnnotatedSet:
    """All clips, from whichever of the two layouts is there."""
    if (folder / "data_info.csv").exists():
        lines = _with_split(folder)
    elif (folder / "labels.csv").exists() or (folder / "partition.csv").exists():
        lines = _with_partition(folder)
    else:
        raise DataSetError(f"{folder}: no data_info.csv, and no labels.csv with partition.csv. Put them there.")
    videos: dict[str, AnnotatedVideo] = {}
    faults: dict[str, DataSetError] = {}
    for row, labelled, split in lines:
        name = _id(row)
        check_new(row, videos, name)
        if labelled is None and split != "test":
            raise row.error(f"clip {name} has no line in labels.csv", "one for every clip that is not of the test")
        try:
            intensities = _intensities(labelled, split) if labelled is not None else None
        except DataSetError as error:
            faults[name] = error
            continue
        videos[name] = AnnotatedVideo(
            id=name,
            path=footage_path(row, f"{name}.mp4"),
            labels={REACTION.name: None},
            truth=None,
            intensities=intensities,
            split=split,
            sources=(name,),
        )
    if faults:
        first = next(iter(faults.values()))
        names = ", ".join(list(faults)[:_NAMED]) + (", ..." if len(faults) > _NAMED else "")
        raise first if len(faults) == 1 else DataSetError(f"{first} {len(faults)} clips are so: {names}.")
    return AnnotatedSet(videos=tuple(videos.values()))


def of_subjects(videos: Iterable[AnnotatedVideo], table: Path) -> tuple[AnnotatedVideo, ...]:
    """The clips with the person they show as their group, where somebody knows whom; unlabelled ones stay as they are.

    Args:
        videos: as ``read`` gives them.
        table: CSV with the columns ``clip`` and ``subject``.

    Raises:
        DataSetError: the table is none, names a clip twice, or lacks a labelled clip.
    """
    subjects: dict[str, str] = {}
    for row in read_rows(table, ("clip", "subject")):
        check_new(row, subjects, name := row["clip"].removeprefix("[").removesuffix("]"))
        subjects[name] = row["subject"]
    chosen = list(videos)
    lacking = [video.id for video in chosen if video.intensities is not None and video.id not in subjects]
    if lacking:
        raise DataSetError(
            f"{table}: no subject of clip {lacking[0]}, and of {len(lacking) - 1} other labelled clips. Wanted: a line "
            "for each, with the columns clip and subject."
        )
    return tuple(video.replace(sources=(subjects.get(video.id, video.group),)) for video in chosen)


def _with_split(folder: Path) -> Iterator[tuple[Row, Row | None, Split]]:
    for row in read_rows(folder / "data_info.csv", ("File_ID", "Split")):
        yield row, row, row.choice("Split", SPLITS)


def _with_partition(folder: Path) -> Iterator[tuple[Row, Row | None, Split]]:
    labelled: dict[str, Row] = {}
    for row in read_rows(folder / "labels.csv", ("File_ID",)):
        check_new(row, labelled, _id(row))
        labelled[_id(row)] = row
    for row in read_rows(folder / "partition.csv", ("File_ID",)):
        yield row, labelled.pop(_id(row), None), row.choice(list(row.values)[-1], SPLITS)
    for row in labelled.values():
        raise row.error(f"clip {_id(row)} is not in partition.csv", "every labelled clip to have a split there")


def _id(row: Row) -> str:
    return row["File_ID"].removeprefix("[").removesuffix("]")


def _intensities(labelled: Row, split: Split) -> dict[str, float] | None:
    texts = {label: _text(labelled, label) for label in REACTION.labels}
    if split == "test" and all(text.lower() in PRIVATE for text in texts.values()):
        return None
    intensities: dict[str, float] = {}
    for label, text in texts.items():
        try:
            intensities[label] = float(text)
        except ValueError:
            intensities[label] = -1.0
        if not 0 <= intensities[label] <= 1:
            wanted = "an intensity from 0 to 1; only a whole test line may be empty"
            raise labelled.error(f"{label} is {text!r}", wanted)
    return intensities


def _text(row: Row, label: str) -> str:
    for column in COLUMNS[label]:
        if column in row.values:
            return (row.values[column] or "").strip()
    raise row.error(f"no column {' or '.join(COLUMNS[label])}", f"the columns {', '.join(REACTION.labels)}")


SET = DataSet(read, untrained=BY_EXAMPLES)
