"""One file a data set; a new file here is a new data set, and nothing else has to know.

A reader module is named like the set's folder and has ``read(root) -> Reading``. Its docstring opens with the set's
address, its licence and one real record of its table.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from omnisila.data.clips.clip import Reading
from omnisila.data.clips.manifest import MANIFEST
from omnisila.errors import DataSetError, unknown


def set_names() -> tuple[str, ...]:
    """The data sets there are readers for, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def read_set(root: Path, set_name: str) -> Reading:
    """All clips of one data set.

    Raises:
        DataSetError: there is no reader of that name, or the set is not as its reader expects.
    """
    if set_name not in set_names():
        raise DataSetError(unknown("data set", set_name, set_names()))
    return importlib.import_module(f"{__name__}.{set_name}").read(root)


def absent_sets(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the data sets that have no table under the data root."""
    return tuple(name for name in names if not (root / name / MANIFEST).is_file())


def read_sets(root: Path, names: Sequence[str] | None = None) -> Reading:
    """The clips of several data sets, all of them by default; reasons for dropping carry the set's name.

    Raises:
        DataSetError: sets are missing, all of which are named, or as ``read_set``.
    """
    wanted = set_names() if names is None else names
    absent = absent_sets(root, wanted)
    if absent:
        raise DataSetError(
            f"{root}: {len(absent)} of {len(wanted)} data sets are missing: {', '.join(absent)}. Put each there as a "
            f"folder with its {MANIFEST}, or train with --partial on the others."
        )
    readings = {name: read_set(root, name) for name in wanted}
    return Reading(
        clips=tuple(clip for reading in readings.values() for clip in reading.clips),
        dropped={
            f"{name}: {reason}": count
            for name, reading in readings.items()
            for reason, count in reading.dropped.items()
        },
    )
