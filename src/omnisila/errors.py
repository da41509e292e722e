"""The tree of errors. Every message names the thing, what came, what was wanted and the next step.

OmnisilaError
├── InputError            something the user gave is wrong
│   ├── MediaError        a video or image that cannot be read at all
│   ├── RecordError       a line or field of a file of records is malformed
│   ├── LabelError        a label or label set that does not exist
│   └── DataSetError      a data set's folder or manifest is not as its reader expects
├── OutputError           a result cannot be written
├── WeightsError          weights are missing, damaged or of another shape
└── TrainingError         training cannot go on (divergence, memory, an unusable resume state)
"""

import difflib
from collections.abc import Iterable


class OmnisilaError(Exception):
    """Base of all errors that end in one line for the user instead of a traceback."""


class InputError(OmnisilaError):
    """Something the user gave is wrong."""


class MediaError(InputError):
    """A video or image that cannot be read at all; partial damage is a warning, not an error."""


class RecordError(InputError):
    """A line or field of a file of records is malformed."""


class LabelError(InputError):
    """A label or label set that does not exist, or that a model was not trained on."""


class DataSetError(InputError):
    """A data set's folder or manifest is not as its reader expects."""


class OutputError(OmnisilaError):
    """A result cannot be written where it was asked for."""


class WeightsError(OmnisilaError):
    """Weights are missing, damaged, or of another shape than the network's."""


class TrainingError(OmnisilaError):
    """Training cannot go on: the loss diverged, memory ran out, or the resume state is unusable."""


def unknown(what: str, given: str, choices: Iterable[str]) -> str:
    """The message about a name that stands for nothing: what was meant, where one name is near, and all there are.

    Args:
        what: the kind of thing, such as ``"label set"``.
    """
    known = tuple(choices)
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(given.casefold(), folded, n=1)
    meant = f"Did you mean {folded[near[0]]}? " if near else ""
    return f"{what} {given!r} does not exist. {meant}Choose from: {', '.join(known)}."
