"""Files of other programs, read strictly: an error names the place in the file and the form that was expected."""

import json
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from omnisila.config import first_fault
from omnisila.errors import RecordError
from omnisila.records import strict_json


class Stated(BaseModel):
    """A part of another program's JSON: the fields that are read; others are welcome."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Form = TypeVar("Form", bound=Stated)


class Place(NamedTuple):
    """Where in a file something stands, and what was expected there."""

    name: str
    wanted: str

    def error(self, came: object) -> RecordError:
        return RecordError(f"{self.name}: {came}. Wanted: {self.wanted}.")

    def within(self, part: str) -> "Place":
        return Place(f"{self.name}, {part}", self.wanted)


def read_text(path: Path, place: Place) -> str:
    """A whole file in UTF-8, without its byte-order mark.

    Raises:
        RecordError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise place.error(f"cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise place.error(f"not UTF-8 at byte {error.start}") from None


def json_content(text: str, place: Place, first_line: int = 1) -> Any:
    """What a JSON text holds: all of a file, or one of its lines, which begins in it at ``first_line``.

    Raises:
        RecordError: no JSON, or a key stands twice in one object.
    """
    try:
        return strict_json(text)
    except json.JSONDecodeError as error:
        raise place.within(f"line {first_line + error.lineno - 1}").error(f"no JSON ({error.msg})") from None


def check(content: object, form: type[Form], place: Place) -> Form:
    """Content as the form says.

    Raises:
        RecordError: it is not; the message names the field.
    """
    try:
        return form.model_validate(content)
    except ValidationError as error:
        raise place.error(first_fault(error, at="")) from None
