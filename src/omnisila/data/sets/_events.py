"""What readers of published events share: checked events, paths and label sets."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from omnisila.data.annotation_files import Entry, Row
from omnisila.errors import DataSetError, LabelError
from omnisila.labels import BUILT_IN, label_set
from omnisila.schema import Span, Truth


def make_event(row: Row | Entry, start_s: float, end_s: float, label: str, cause: str | None = None) -> Truth:
    """An annotated event.

    Raises:
        DataSetError: it does not run forward, or it starts before the video.
    """
    try:
        return Truth(span=Span(start_s=start_s, end_s=end_s), label=label, cause=cause)
    except ValidationError:
        raise row.error(f"event from {start_s} to {end_s} s", "seconds with 0 <= start < end") from None


def in_time_order(events: Iterable[Truth]) -> tuple[Truth, ...]:
    """The events by start, then end; equal ones as they stood."""
    return tuple(sorted(events, key=lambda event: (event.span.start_s, event.span.end_s)))


def footage_path(row: Row | Entry, name: str) -> str:
    """The path of a video inside the footage's folder, with forward slashes.

    Raises:
        DataSetError: it leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise row.error(f"video {name!r} leads out of the footage's folder", "a path inside it")
    return str(path)


def find_label_set(path: Path, labels: str | None, words: Iterable[str]) -> str:
    """The label set to read with: the one given, else the only built-in one that holds all the words.

    Raises:
        DataSetError: none was given and none or several hold them.
        LabelError: the one given does not exist or lacks a word.
    """
    said = sorted(set(words))
    if labels is not None:
        strangers = [word for word in said if word not in label_set(labels).labels]
        if strangers:
            raise LabelError(
                f"{path}: label {', '.join(map(repr, strangers))} is not in label set {labels}. "
                f"Wanted: {', '.join(label_set(labels).labels)}."
            )
        return labels
    fitting = [known.name for known in BUILT_IN.values() if set(said) <= set(known.labels)]
    if len(fitting) != 1:
        raise DataSetError(
            f"{path}: its labels ({', '.join(said) or 'none'}) are those of {' and '.join(fitting) or 'no label set'}. "
            f"Say which to use: --labels {' or --labels '.join(fitting or BUILT_IN)}."
        )
    return fitting[0]
