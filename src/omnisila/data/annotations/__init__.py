"""One file a published annotation; a new file here is a new one, and nothing else has to know.

A module has ``read(folder) -> AnnotatedSet``; one whose label set the user chooses has ``read(folder, labels)``, and
``template(videos, labels)``, the file to fill in, which ``TEMPLATE`` names. Its docstring opens with the set's address,
its licence and one real record. Names with a leading underscore are no sets.
A fault in a file that the user wrote or fetched wrongly is an error; a row that was published faulty is left out and
listed in ``malformed``.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from omnisila.data.annotated import AnnotatedSet
from omnisila.errors import DataSetError, LabelError, unknown
from omnisila.files import write_atomically
from omnisila.labels import label_set


def annotation_sets() -> tuple[str, ...]:
    """The annotations there are readers for, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def read_annotations(name: str, folder: Path, labels: str | None = None) -> AnnotatedSet:
    """Everything one set's annotations say.

    Args:
        name: one of ``annotation_sets()``.
        folder: where the annotation files lie; for the generic sets also the file itself.
        labels: label set of a generic set (``activitynet``, ``folder_csv``); the others know their own.

    Raises:
        DataSetError: there is no such reader, or a file is missing or not of the expected form.
        LabelError: a label set was given for annotations that have their own, or it does not exist.
    """
    read = _module(name).read
    if labels is None:
        return read(folder)
    if "labels" not in inspect.signature(read).parameters:
        raise LabelError(f"{name}: labels={labels!r} given, but this set has a label set of its own. Leave it out.")
    label_set(labels)  # a wrong one is told before a long file is read
    return read(folder, labels)


def write_template(name: str, folder: Path, videos: Sequence[str], labels: str | None = None) -> Path:
    """Put a file to fill in into a folder of one's own videos, and tell where it is.

    Args:
        name: a generic set: ``activitynet`` or ``folder_csv``.
        folder: where the videos lie.
        videos: their paths inside it; each gets an entry that says nothing yet.
        labels: label set that the file is to be filled in with.

    Raises:
        DataSetError: the set's annotations are published, or the file is there already.
        LabelError: no such label set.
        OutputError: it cannot be written.
    """
    own = [one for one in annotation_sets() if hasattr(_module(one), "template")]
    if name not in own:
        raise DataSetError(f"{name}: no annotations to write oneself. Choose from: {', '.join(own)}.")
    if labels is not None:
        label_set(labels)
    path = folder / _module(name).TEMPLATE
    if path.exists():
        raise DataSetError(f"{path}: exists. Fill it in, or move it away for a new one.")
    write_atomically(path, _module(name).template(videos, labels))
    return path


def _module(name: str) -> ModuleType:
    if name not in annotation_sets():
        raise DataSetError(unknown("set of annotations", name, annotation_sets()))
    return importlib.import_module(f"{__name__}.{name}")
