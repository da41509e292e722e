"""Accounts with their tokens: made once, kept in a file that nobody else may read, the same after a restart."""

import getpass
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from omnisila.config import Frozen
from omnisila.digests import digest
from omnisila.errors import InputError
from omnisila.files import named_failure
from omnisila.serve.settings import ROLES, Account, User

_FILE = "tokens.json"
_Tokens = TypeAdapter(dict[str, str])


class Invited(Frozen):
    """An account with the token that its user is told."""

    account: Account
    token: str


def parse_user(said: str) -> User:
    """``NAME`` or ``NAME:ROLE``; without a role a reviewer.

    Raises:
        InputError: no such role, or no name.
    """
    name, _, role = said.partition(":")
    try:
        return User(name=name.strip(), role=role.strip() or "reviewer")  # type: ignore[arg-type]
    except ValidationError:
        raise InputError(f"user {said!r}: give NAME or NAME:ROLE, with a role of {', '.join(ROLES)}.") from None


def local_name() -> str:
    """The login name, by which decisions are signed where there are no accounts."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "me"


def invite(users: Sequence[User], state: Path) -> tuple[Invited, ...]:
    """Each user with a token; who had one keeps it.

    Raises:
        InputError: two users of one name, or the file of tokens is damaged.
        OutputError: it cannot be written.
    """
    if len({user.name for user in users}) < len(users):
        raise InputError(f"users {', '.join(user.name for user in users)}: give each a name of its own.")
    path = state / _FILE
    try:
        tokens = _Tokens.validate_json(path.read_bytes())
    except FileNotFoundError:
        tokens = {}
    except (OSError, ValidationError):
        raise InputError(f"{path}: no file of tokens. Remove it; everybody then gets a new link.") from None
    for user in users:
        tokens.setdefault(user.name, secrets.token_urlsafe(32))
    with named_failure(path):
        state.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{secrets.token_hex(4)}")
        aside.touch(mode=0o600)
        aside.write_bytes(_Tokens.dump_json(tokens))
        aside.replace(path)
    return tuple(
        Invited(
            account=Account(name=user.name, role=user.role, token_sha256=digest(tokens[user.name])),
            token=tokens[user.name],
        )
        for user in users
    )
