"""The application of one server: its parts, its routes, what stands before them, and running it until it is stopped."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from omnisila import __version__
from omnisila.config import fault_reason
from omnisila.errors import InputError, OmnisilaError, OutputError
from omnisila.pace import Say
from omnisila.report.templates import asset
from omnisila.scene_registry import SCENES
from omnisila.serve.accounts import Invited
from omnisila.serve.guard import Guard
from omnisila.serve.routes import analyses, chat, health, media, review
from omnisila.serve.services import Services
from omnisila.serve.settings import ServeSettings

STATIC = Path(str(files("omnisila.serve"))) / "static"


def build_app(settings: ServeSettings) -> FastAPI:
    """A server of these settings; its background work runs while the application does.

    Raises:
        OutputError: the folder of state cannot be written to.
    """
    services = Services.of(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        services.stop()

    app = FastAPI(
        title="omnisila",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages would load from another server
        redoc_url=None,
    )
    app.state.services = services
    for failure in (OmnisilaError, HTTPException, RequestValidationError, UnicodeEncodeError):
        app.add_exception_handler(failure, _answer_failure)
    app.include_router(health.router)
    app.include_router(review.router)
    app.include_router(media.router)
    app.include_router(analyses.router)
    app.include_router(chat.router)
    for name in ("base.css", "overlay.css"):
        app.add_api_route(f"/static/{name}", partial(_style, name), include_in_schema=False)
    app.add_api_route("/static/scenes.css", _scene_colours, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_middleware(Guard, settings=settings)
    return app


def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html")


def _style(name: str) -> Response:
    """A style sheet that the page shares with reports."""
    return Response(asset(name), media_type="text/css")


def _scene_colours() -> Response:
    light = "".join(f".{scene.name} {{ --mark: {scene.colours[0]}; }}\n" for scene in SCENES.values())
    dark = "".join(f".{scene.name} {{ --mark: {scene.colours[1]}; }}\n" for scene in SCENES.values())
    return Response(f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n", media_type="text/css")


async def _answer_failure(_request: Request, error: Exception) -> JSONResponse:
    """Every failure in one form: ``{"error": {"message": ...}}``."""
    match error:
        case HTTPException():
            status, reason = error.status_code, str(error.detail)
        case RequestValidationError():
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"][1:])) or "the request"
            status, reason = 422, f"{place}: {fault_reason(first)}"
        case UnicodeEncodeError():  # half a character, which JSON can hold and nothing else
            status, reason = 422, "a text is no Unicode. Send whole characters."
        case InputError():
            status, reason = 422, str(error)
        case OutputError():
            status, reason = 507, str(error)
        case _:
            status, reason = 500, str(error)
    return JSONResponse({"error": {"message": reason}}, status)


_GRACE_S = 3  # for answers under way when the server is stopped


def run(settings: ServeSettings, invited: Sequence[Invited], say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        invited: who is told a link.

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
