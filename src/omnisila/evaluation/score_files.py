"""``scores.json``: the scores of several systems on the same examples."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from omnisila.config import first_fault
from omnisila.errors import RecordError
from omnisila.files import write_atomically
from omnisila.schema import Scores

_SCORES = TypeAdapter(tuple[Scores, ...])


def write_scores(path: Path, scores: Sequence[Scores]) -> None:
    """Put scores into a file.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomically(path, _SCORES.dump_json(tuple(scores), indent=1) + b"\n")


def read_scores(path: Path) -> tuple[Scores, ...]:
    """The scores of a file.

    Raises:
        RecordError: it cannot be read, or is no scores.json; the message names the first wrong field.
    """
    try:
        return _SCORES.validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Give a scores.json.") from None
    except ValidationError as error:
        raise RecordError(
            f"{path}: {first_fault(error, at='the whole')}. "
            "Wanted a list of systems with scores, as omnisila score writes it."
        ) from None
