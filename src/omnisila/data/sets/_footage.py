"""Footage sets: short clips and stills under a data root, each set a folder with a ``manifest.csv``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Row, read_rows
from omnisila.data.sets import MANIFEST, DataSet
from omnisila.errors import DataSetError
from omnisila.schema import Truth

ROOT_VARIABLE = "OMNISILA_DATA"


def data_root() -> Path:
    """The folder named by the environment variable OMNISILA_DATA, one sub-folder per data set.

    Raises:
        DataSetError: the variable is not set or names no folder.
    """
    value = os.environ.get(ROOT_VARIABLE)
    if not value:
        raise DataSetError(
            f"{ROOT_VARIABLE} is not set. Set it to the folder that holds the data sets' folders, or give --data."
        )
    if not Path(value).is_dir():
        raise DataSetError(f"{ROOT_VARIABLE}={value}: no such folder. Give the one that holds the data sets' folders.")
    return Path(value)


def footage_video(
    row: Row, labels: Mapping[str, str], sources: Sequence[str], *, is_still: bool = False, times: str | None = None
) -> AnnotatedVideo:
    """A file of a manifest; its labels hold throughout, or at the times that are given (``Row.spans``)."""
    path = row.media()
    label = next(iter(labels.values()))
    return AnnotatedVideo(
        id=path.partition("/")[2],
        path=path,
        labels=dict(labels),
        truth=None if times is None else tuple(Truth(span=span, label=label) for span in row.spans(times)),
        throughout=times is None,
        sources=tuple(sources),
        is_still=is_still,
        licence=row["licence"],
    )


def whole_files(words: Mapping[str, str], sources: Sequence[str], *, is_still: bool, **said: Any) -> DataSet:
    """A footage set whose ``label`` column holds one implicit label for the whole of each file.

    Args:
        words: the set's word for a label -> the label.
        is_still: whether the files are pictures.
        said: what else ``DataSet`` says.
    """

    def read(folder: Path) -> AnnotatedSet:
        return AnnotatedSet(
            videos=tuple(
                footage_video(
                    row,
                    {"implicit": row.choice("label", words)},
                    [f"{folder.name}:{row[column]}" for column in sources],
                    is_still=is_still,
                )
                for row in read_rows(folder / MANIFEST, ("file", "label", *sources, "licence"))
            )
        )

    return DataSet(read, is_footage=True, **said)
