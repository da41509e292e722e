"""What a server is started with, and who may use it."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from omnisila.config import Config, Frozen
from omnisila.digests import digest
from omnisila.serve.fetching import FetchSettings

Role = Literal["viewer", "reviewer", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "reviewer", "admin")  # each may do what those before it may
STATE_FOLDER = ".omnisila/review"  # below the folder of analyses
DATABASE = "review.sqlite"


class User(Frozen):
    """Who asks, and what they may do: a viewer sees, a reviewer decides, an admin also reads the audit log."""

    name: str = Field(min_length=1, max_length=100)
    role: Role

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Account(User):
    """A user who shows a token; only its SHA-256 is kept."""

    token_sha256: str


class ServeSettings(Config):
    """One server.

    Attributes:
        reports: the folder of analyses, searched with all folders in it.
        videos: further folders that videos may be played from; ``reports`` always is one.
        state: where decisions and previews are kept; by default ``STATE_FOLDER`` below ``reports``.
        host: the address to listen at. Anything but a loopback address needs accounts.
        hosts: names under which the server may be asked for, beside loopback names and ``host``.
        trusted_origins: origins (``https://review.example``) of reverse proxies, from which changes are taken too.
        base_path: the path below which a reverse proxy shows the server, such as ``/omnisila``.
        accounts: who may come in, by token; with none, everyone who reaches the address is ``local_user``.
        blur_faces: nothing but previews with blurred faces is shown.
        max_body_bytes: of a request; uploads have ``max_upload_bytes``.
        max_upload_bytes: of a request to ``/v1``.
        max_waiting: analyses that may wait in the queue.
        analysis_timeout_s: for one analysis; then its process is killed.
        asks_per_minute: analyses and questions that each user may send; more are sent away for a moment.
        fetch_from: hosts that videos are fetched from, as ``fetching.FetchSettings`` has them.
        fetch_timeout_s: for one video from a web address.
        scan_every_s: how often the folder is searched for new analyses.
        retain_days: how long analyses are kept whose findings were all rejected; None: for ever.
        preview_cache_bytes: of all cached previews; the ones unused for longest go first.
    """

    reports: Path
    videos: tuple[Path, ...] = ()
    state: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    trusted_origins: tuple[str, ...] = ()
    base_path: str = ""
    accounts: tuple[Account, ...] = ()
    local_user: User = User(name="me", role="admin")
    blur_faces: bool = False
    max_body_bytes: int = Field(default=1_000_000, gt=0)
    max_upload_bytes: int = Field(default=2_000_000_000, gt=0)
    max_waiting: int = Field(default=200, gt=0)
    analysis_timeout_s: float = Field(default=7200.0, gt=0)
    asks_per_minute: int = Field(default=120, gt=0)
    fetch_from: tuple[str, ...] = ()
    fetch_timeout_s: float = Field(default=600.0, gt=0)
    scan_every_s: float = Field(default=30.0, gt=0)
    retain_days: float | None = Field(default=None, ge=0)
    preview_cache_bytes: int = Field(default=10_000_000_000, gt=0)

    @field_validator("base_path")
    @classmethod
    def _begins_with_a_slash(cls, value: str) -> str:
        return f"/{value.strip('/')}" if value.strip("/") else ""

    @field_validator("fetch_from")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not host.strip(".") or set(host) & set("/@ "):
                raise ValueError(f"{host!r} is no host. Give a name such as cdn.example.org, or an address")
        return tuple(host.strip(".").lower() for host in value)

    @model_validator(mode="after")
    def _open_to_others_needs_accounts(self) -> Self:
        if not self.accounts and not is_loopback(self.host):
            raise ValueError(f"host {self.host} can be reached by others, who need a token. Give accounts")
        return self

    @property
    def state_folder(self) -> Path:
        return self.state or self.reports / STATE_FOLDER

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that files may be read from, symbolic links resolved."""
        return tuple(dict.fromkeys(folder.resolve() for folder in (self.reports, *self.videos, self.uploads)))

    @property
    def uploads(self) -> Path:
        """Where videos lie that programs sent."""
        return self.state_folder / "uploads"

    @property
    def fetching(self) -> FetchSettings:
        return FetchSettings(self.fetch_from, self.max_upload_bytes, self.fetch_timeout_s)

    def account(self, token: str) -> Account | None:
        shown = digest(token)
        return next((known for known in self.accounts if known.token_sha256 == shown), None)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
