"""The frozen base of every configuration and record."""

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from omnisila.errors import InputError, unknown

_REASONS = {"missing": "missing", "extra_forbidden": "no such field", "json_invalid": "no JSON"}
_WANTED = re.compile(r"^\w+ should (be|have) ")  # pydantic's words


class Frozen(BaseModel):
    """Values that are checked once and never change: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """A validated copy with some fields changed; the way a recipe makes an ablation."""
        return type(self).model_validate({**dict(self), **changes})


class Config(Frozen):
    """Numbers and choices of one class, kept beside it; its ``build()`` is the only bridge to the class."""

    @classmethod
    def from_options(cls, **fields: Any) -> Self:
        """Of values that a user gave.

        Raises:
            InputError: one of them cannot be; the message names it.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            value = error.errors(include_url=False)[0]["input"]
            raise InputError(f"{first_fault(error)} (given: {value!r}).") from None


def fault_reason(fault: Mapping[str, Any]) -> str:
    """What is wrong, without its place, of one entry of a validation's ``errors()``."""
    if fault["type"] in _REASONS:
        return _REASONS[fault["type"]]
    return _WANTED.sub("wanted ", fault["msg"].removeprefix("Value error, "))


def first_fault(error: ValidationError, whole: Mapping[str, Any] | None = None, at: str = "content") -> str:
    """The first fault of a file of fields: its place and what is wrong there.

    Args:
        whole: the fields as they may be given, at any depth, such as a dump of the defaults; where a field does not
            exist, those that do are listed.
        at: the place of a fault of the whole; "" leaves it out.
    """
    first = error.errors(include_url=False)[0]
    loc, message = first["loc"], fault_reason(first)
    if whole is None:
        return ": ".join(filter(None, (".".join(map(str, loc)) or at, message)))
    inside: Any = whole
    place: list[str] = []
    for part in loc[:-1]:
        if isinstance(inside, Mapping) and part in inside:  # other parts name the alternatives of a union
            inside = inside[part]
            place.append(str(part))
    field = str(loc[-1]) if loc else at
    if first["type"] == "extra_forbidden" and isinstance(inside, Mapping):
        return ": ".join([*filter(None, [".".join(place)]), unknown("field", field, inside)])
    return f"{'.'.join([*place, field])}: {message.rstrip('.')}."
