"""Options of a command that asks an endpoint, checked."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnisila.endpoint import EndpointConfig


def endpoint_config(**settings: Any) -> "EndpointConfig":
    """The configuration of these settings.

    Raises:
        InputError: one of them is out of its range; the message names it.
    """
    from pydantic import ValidationError

    from omnisila.endpoint import EndpointConfig
    from omnisila.errors import InputError

    try:
        return EndpointConfig(**settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}.") from None
