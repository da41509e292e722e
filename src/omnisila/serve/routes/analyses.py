"""The interface for programs: send a video, ask how far its analysis is, take the result."""

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from omnisila.config import Frozen, first_fault
from omnisila.errors import InputError
from omnisila.files import named_failure
from omnisila.serve.analyses import MODELS, Job, QueueFullError, Settings, served_path
from omnisila.serve.fetching import fetch
from omnisila.serve.services import Reviewer, Room, Services, Viewer
from omnisila.serve.settings import ServeSettings

router = APIRouter(prefix="/v1", tags=["analyses"])
_EVENT_S = 1.0  # between two looks at an analysis that somebody follows
_PIECE_BYTES = 2**20
_NAME_CHARS = 100
_fetches = BoundedSemaphore(4)  # each holds a thread of the server's 40
Kind = TypeVar("Kind", bound=Settings)
Id = Annotated[str, InPath(pattern="^[0-9a-f]{24}$")]


class Asked(Settings):
    """A video that the server can read itself, by its path or its web address, and what is asked of it."""

    path: str | None = None
    video_url: str | None = None


class Model(Frozen):
    """A model as OpenAI's interface lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "omnisila"


class Models(Frozen):
    """What may be asked for as ``model``."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "model": {"type": "string", "default": "compact"},
                        "labels": {"type": "string", "description": "Names of label sets with commas between."},
                    },
                }
            },
            "application/json": {"schema": Asked.model_json_schema()},
        },
    }
}


@router.get("/models")
def list_models(_user: Viewer) -> Models:
    """The models that can be asked for."""
    return Models(data=tuple(Model(id=name) for name in MODELS))


@router.post("/analyses", status_code=202, openapi_extra=_BODY)
async def ask(request: Request, room: Room, user: Reviewer) -> Job:
    """Queue a video: an upload in the field ``file``, a ``path`` below the served folders, or a ``video_url``."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise InputError("no field 'file'. Send the video as a multipart field of that name.")
            labels = [label.strip() for label in str(form.get("labels") or "").split(",")]
            given = {"model": form.get("model") or "compact", "labels": [label for label in labels if label]}
            asked = _check(Settings, given)
            asked.check()
            video = await run_in_threadpool(keep, upload.file.read, upload.filename or "video", room.settings.uploads)
    else:
        try:
            content = await request.json()
        except ValueError:
            raise InputError(
                "the body is no JSON. Send multipart with a file, or JSON with a path or video_url."
            ) from None
        wanted = _check(Asked, content)
        if (wanted.path is None) == (wanted.video_url is None):
            raise InputError("path or video_url: wanted one of them, for the video.")
        asked = Settings(model=wanted.model, labels=wanted.labels)
        asked.check()
        if wanted.video_url is not None:
            video = await run_in_threadpool(keep_fetched, wanted.video_url, room.settings)
        else:
            video = await run_in_threadpool(served_path, wanted.path or "", room.settings.roots)
    try:
        return await run_in_threadpool(room.analyses.add, user.name, video, asked)
    except QueueFullError:
        raise HTTPException(429, "too many analyses are waiting; try again later.", {"Retry-After": "30"}) from None


@router.get("/analyses/{name}", responses={200: {"description": "The status, and once it is done the analysis."}})
def show(room: Room, _user: Viewer, name: Id) -> Response:
    """How far an analysis is; once it is done, the analysis itself, as ``analyze`` writes it."""
    job = _job(room, name)
    if job.status == "done":
        if not room.analyses.result(name).is_file():
            raise HTTPException(410, f"the result of {name} was taken away. Ask again.")
        return FileResponse(room.analyses.result(name), media_type="application/json")
    return JSONResponse(job.model_dump(mode="json"))


@router.delete("/analyses/{name}")
def cancel(room: Room, _user: Reviewer, name: Id) -> Job:
    """Take an analysis out of the queue, or stop it."""
    _job(room, name)
    return room.analyses.cancel(name)


@router.get("/analyses/{name}/events")
async def follow(request: Request, room: Room, _user: Viewer, name: Id) -> StreamingResponse:
    """Server-sent events: the status whenever it changes, until it is final."""
    await run_in_threadpool(_job, room, name)

    async def events() -> AsyncIterator[str]:
        last = None
        while not await request.is_disconnected():
            job = await run_in_threadpool(room.analyses.job, name)
            if job != last:
                yield f"event: {job.status}\ndata: {job.model_dump_json()}\n\n"
            if job.status not in ("queued", "running"):
                return
            last = job
            await asyncio.sleep(_EVENT_S)

    return StreamingResponse(events(), media_type="text/event-stream")


def _job(room: Services, name: str) -> Job:
    try:
        return room.analyses.job(name)
    except KeyError:
        raise HTTPException(404, f"no analysis {name}.") from None


def _check(kind: type[Kind], content: Any) -> Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{first_fault(error, at='the body')}.") from None


def keep_fetched(address: str, settings: ServeSettings) -> Path:
    """A video from a web address, kept like an upload.

    Raises:
        InputError: it may not or cannot be fetched.
        OutputError: the disk is full.
    """
    if not _fetches.acquire(blocking=False):
        raise HTTPException(429, "other videos are being fetched; try again later.", {"Retry-After": "30"})
    try:
        with fetch(address, settings.fetching) as found:
            return keep(found.read, found.name, settings.uploads)
    finally:
        _fetches.release()


def keep(read: Callable[[int], bytes], name: str, folder: Path) -> Path:
    """A video, read piece by piece, in a place that its content decides, so that the same one is kept once.

    Raises:
        OutputError: the disk is full.
    """
    name = re.sub(r"[^\w.-]+", "_", Path(name).name)[-_NAME_CHARS:].lstrip(".") or "video"
    aside = folder / f".{secrets.token_hex(8)}.partial"
    found = hashlib.sha256()
    with named_failure(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                while piece := read(_PIECE_BYTES):
                    found.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            target = folder / found.hexdigest()[:24]
            target.mkdir(exist_ok=True)
            kept = next((path for path in target.iterdir() if path.is_file()), target / name)
            aside.replace(kept)
        finally:
            aside.unlink(missing_ok=True)
    return kept.resolve()
