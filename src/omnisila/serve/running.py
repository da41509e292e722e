"""Running a server until it is stopped, and saying where it is."""

import getpass
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from omnisila.errors import InputError
from omnisila.serve.accounts import Invited
from omnisila.serve.app import build_app
from omnisila.serve.settings import ServeSettings

_GRACE_S = 3  # for answers under way when the server is stopped


def local_name() -> str:
    """The login name, by which decisions are signed where there are no accounts."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "me"


def run(settings: ServeSettings, invited: Sequence[Invited], say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        invited: who is told a link.
        say: prints a line.

    Raises:
        InputError: the address cannot be listened at.
        OutputError: the folder of state cannot be written to.
    """
    listener = _listener(settings.host, settings.port)
    with listener:
        port = listener.getsockname()[1]
        settings = settings.replace(port=port)
        app = build_app(settings)
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{shown}:{port}{settings.base_path}/"
        say(f"{settings.reports}: review at {address}")
        if settings.accounts:
            say("A token is asked for. Each link is for one person alone:")
        for guest in invited:
            say(f"  {guest.account.name} ({guest.account.role}): {address}?token={guest.token}")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE_S
        )
        with suppress(KeyboardInterrupt):  # how a server is stopped
            uvicorn.Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise InputError(f"{host}:{port}: cannot be listened at ({reason}). Give another --port or --host.") from None
    return listener
