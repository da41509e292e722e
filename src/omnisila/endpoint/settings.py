"""Which endpoint is asked, how patiently, and what that costs."""

import os
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field

from omnisila.config import Config
from omnisila.errors import InputError

if TYPE_CHECKING:
    from omnisila.endpoint import Endpoint


def public_address(url: str) -> str:
    """An address without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


class Estimate(NamedTuple):
    """What a run will ask an endpoint for, about; ``price`` is None where prices are not given."""

    requests: int
    pictures: int
    prompt_tokens: int
    completion_tokens: int
    price: float | None

    def __str__(self) -> str:
        pictures = f" with {self.pictures} pictures" if self.pictures else ""
        price = "" if self.price is None else f", price about {self.price:.2f}"
        return (
            f"about {self.requests} requests{pictures}, about {self.prompt_tokens} tokens to read and "
            f"{self.completion_tokens} to write{price}"
        )


class RequestConfig(Config):
    """How patiently an endpoint is asked, and what that costs.

    Args:
        retries: of one request that was refused for the moment (429, 5xx) or timed out, with growing pauses.
        timeout_s: for one try.
        requests_per_minute: limit, spread evenly and counting retries; None: as fast as answers come.
        max_tokens: of one answer; None leaves it to the endpoint, which some models insist on.
        temperature: None leaves it to the endpoint.
        price_in_per_million: of a million tokens read, in any currency; for estimates only.
        price_out_per_million: of a million tokens written, in the same currency.
    """

    parallel: Annotated[int, Field(gt=0)] = 4
    retries: Annotated[int, Field(ge=0)] = 5
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = 400
    temperature: Annotated[float, Field(ge=0)] | None = None
    price_in_per_million: Annotated[float, Field(ge=0)] | None = None
    price_out_per_million: Annotated[float, Field(ge=0)] | None = None

    def estimate(self, requests: int, prompt_tokens: int, completion_tokens: int, pictures: int = 0) -> Estimate:
        """What so much costs."""
        price = None
        if self.price_in_per_million is not None and self.price_out_per_million is not None:
            price = (prompt_tokens * self.price_in_per_million + completion_tokens * self.price_out_per_million) / 1e6
        return Estimate(requests, pictures, prompt_tokens, completion_tokens, price)


class EndpointConfig(RequestConfig):
    """Which model is asked, and where.

    Args:
        base_url: up to and including the version, such as ``http://localhost:8000/v1``.
        key_variable: environment variable that holds the key; empty for a server that wants none.
    """

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"

    @property
    def server(self) -> str:
        """``base_url`` as messages and results name it."""
        return public_address(self.base_url)

    def check(self) -> None:
        """Be sure, before any work, that it can be asked.

        Raises:
            InputError: the key or a usable address is missing.
        """
        if not self.base_url.startswith(("http://", "https://")):
            raise InputError(
                f"base URL {self.base_url!r} is no web address. Give one such as http://localhost:8000/v1."
            )
        _ = self.key

    @property
    def key(self) -> str:
        """The key; a word that means nothing for a server that wants none, since the library insists on one.

        Raises:
            InputError: the environment variable holds none.
        """
        if not self.key_variable:
            return "none"
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise InputError(
                f"environment variable {self.key_variable} holds no key for {self.server}. Set it, "
                "name another one, or give an empty name for a server that wants no key."
            )
        return key

    def build(self) -> "Endpoint":
        """The client; nothing is asked yet.

        Raises:
            InputError: the package, the key or a usable address is missing.
        """
        from omnisila.endpoint import Endpoint

        return Endpoint(self)
