"""The tree of errors. Every message names the thing, what came, what was wanted and the next step.

OmnisilaError
├── InputError            something the user gave is wrong
│   ├── MediaError        a video or image that cannot be read at all
│   ├── RecordError       a line or field of a file of records is malformed
│   ├── LabelError        a label or label set that does not exist
│   ├── EndpointError     an endpoint to which every question would fail
│   └── DataSetError      a data set's folder or manifest is not as its reader expects
├── OutputError           a result cannot be written
├── WeightsError          weights are missing, damaged or of another shape
└── TrainingError         training cannot go on (divergence, memory, an unusable resume state)
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


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


class EndpointError(InputError):
    """An endpoint's address, key or model is wrong: every further question would fail too."""


class DataSetError(InputError):
    """A data set's folder or manifest is not as its reader expects."""


class OutputError(OmnisilaError):
    """A result cannot be written where it was asked for."""


class WeightsError(OmnisilaError):
    """Weights are missing, damaged, or of another shape than the network's."""


class TrainingError(OmnisilaError):
    """Training cannot go on: the loss diverged, memory ran out, or the resume state is unusable."""


def unknown(what: str, given: str | Sequence[str], choices: Iterable[str]) -> str:
    """The message about names that stand for nothing: what was meant, where a name is near, and all there are.

    Args:
        what: the kind of thing, such as ``"label set"``.
    """
    names = (given,) if isinstance(given, str) else tuple(given)
    known = tuple(choices)
    folded = {name.casefold(): name for name in known}
    near = (difflib.get_close_matches(name.casefold(), folded, n=1) for name in names)
    likely = " and ".join(dict.fromkeys(folded[found[0]] for found in near if found))
    meant = f"Did you mean {likely}? " if likely else ""
    missing = "does not exist" if len(names) == 1 else "do not exist"
    return f"{what} {', '.join(map(repr, names))} {missing}. {meant}Choose from: {', '.join(known)}."


def check_known(what: str, given: Iterable[str], choices: Iterable[str]) -> None:
    """Refuse names that stand for nothing, all in one message.

    Raises:
        InputError: see ``unknown``.
    """
    known = tuple(choices)
    strangers = [name for name in given if name not in known]
    if strangers:
        raise InputError(unknown(what, strangers, known))


@contextmanager
def needing(package: str | None, what: str, extra: str, kind: type[OmnisilaError] = InputError) -> Iterator[None]:
    """Import an optional package within; where it is missing, the error says which extra installs it.

    Args:
        package: its name on the package index; None: the module that could not be imported.
        extra: of omnisila, such as ``"evaluate"``.
    """
    try:
        yield
    except ImportError as error:
        raise kind(
            f'{what} needs {package or error.name}, which is missing. pip install "omnisila[{extra}]".'
        ) from None
