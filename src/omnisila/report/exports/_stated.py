"""What formats share: JSON read strictly, findings made of what a file states, errors that name the place."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from omnisila.config import first_fault
from omnisila.errors import RecordError
from omnisila.labels import BUILT_IN
from omnisila.records import strict_json
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Finding, Span


class Stated(BaseModel):
    """A part of another program's JSON: the fields that are read; others are welcome."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Form = TypeVar("Form", bound=Stated)


class Place(NamedTuple):
    """Where in a file something stands, and what was wanted there."""

    name: str
    wanted: str

    def error(self, came: object) -> RecordError:
        """An error about this place, ready to be raised."""
        return RecordError(f"{self.name}: {came}. Wanted: {self.wanted}.")

    def within(self, part: str) -> "Place":
        """A part of this place."""
        return Place(f"{self.name}, {part}", self.wanted)

    def finding(
        self, times_s: tuple[float, float], label: str, labels: str, score: float = 1.0, cause: str | None = None
    ) -> Finding:
        """What stands here as a finding.

        Raises:
            RecordError: its times do not run forward, or its score is no probability.
        """
        try:
            span = Span(start_s=times_s[0], end_s=times_s[1])
            return Finding(span=span, label=label, labels=labels, score=score, cause=cause or None)
        except ValidationError as error:
            raise self.error(first_fault(error, at="")) from None


def whole_seconds(span: Span) -> tuple[float, float]:
    """Start and end to the millisecond; a span never becomes empty."""
    start_ms, end_ms = whole_milliseconds(span)
    return start_ms / 1000, end_ms / 1000


def stem(path: str) -> str:
    """A video's name as data sets know it: without folders and without its ending."""
    return PurePath(path.replace("\\", "/")).stem


def parsed(text: str, form: type[Form], place: Place) -> Form:
    """A JSON text as the form says; a key that stands twice in one object is refused.

    Raises:
        RecordError: no JSON, or not of that form; the message names line or field.
    """
    return checked(json_content(text, place), form, place)


def json_content(text: str, place: Place, first_line: int = 1) -> Any:
    """What a JSON text holds: all of a file, or one of its lines, which begins in it at ``first_line``.

    Raises:
        RecordError: no JSON, or a key stands twice in one object.
    """
    try:
        return strict_json(text)
    except json.JSONDecodeError as error:
        raise place.within(f"line {first_line + error.lineno - 1}").error(f"no JSON ({error.msg})") from None


def checked(content: object, form: type[Form], place: Place) -> Form:
    """Content as the form says.

    Raises:
        RecordError: it is not; the message names the field.
    """
    try:
        return form.model_validate(content)
    except ValidationError as error:
        raise place.error(first_fault(error, at="")) from None


def only(videos: Mapping[str, tuple[Finding, ...]], place: Place) -> tuple[Finding, ...]:
    """The findings of a file about one video.

    Raises:
        RecordError: it is about several.
    """
    if len(videos) > 1:
        raise place.error(f"{len(videos)} videos ({', '.join(list(videos)[:3])}, ...); read it with read_videos")
    return next(iter(videos.values()), ())


def fitting_labels(words: Collection[str], place: Place) -> str:
    """The only built-in label set that holds all the labels of a file that names no label set.

    Raises:
        RecordError: none or several hold them.
    """
    fitting: Sequence[str] = [known.name for known in BUILT_IN.values() if set(words) <= set(known.labels)]
    if len(fitting) != 1:
        said = ", ".join(sorted(set(words)))
        raise place.error(
            f"labels {said} are those of {' and '.join(fitting) or 'no label set'}; say which to read with"
        )
    return fitting[0]
