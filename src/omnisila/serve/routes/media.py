"""Pictures of a video for the player: the file itself in ranges, or previews of stretches of it."""

from typing import Annotated, Literal

import sqlalchemy as sql
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse

from omnisila.config import Frozen
from omnisila.serve.footage import Footage
from omnisila.serve.previews import MAX_PREVIEW_S, Stretch
from omnisila.serve.services import ReportNumber, Room, Services, Viewer
from omnisila.serve.store import REPORTS

router = APIRouter(prefix="/api/videos", tags=["media"])
_CACHED = {"Cache-Control": "private, max-age=3600"}


class Media(Frozen):
    """How the player gets at a video.

    Attributes:
        show: ``original``: try the file, and previews where it does not play; ``preview``; or nothing, see ``note``.
        max_preview_s: the longest stretch of one preview.
    """

    show: Literal["original", "preview", "nothing"]
    note: str | None
    max_preview_s: float = MAX_PREVIEW_S


@router.get("/{report}/media")
def media(room: Room, _user: Viewer, report: ReportNumber) -> Media:
    """What there is to be played."""
    found = _footage(room, report)
    if found is None:
        note = "The video is in none of the folders that are served. Start the server with --videos FOLDER."
        return Media(show="nothing", note=note)
    note = "The video has changed since it was analysed: times may be wrong." if found.same is False else None
    return Media(show="original" if found.kind and not room.settings.blur_faces else "preview", note=note)


@router.api_route("/{report}/original", methods=["GET", "HEAD"])
def original(room: Room, _user: Viewer, report: ReportNumber) -> FileResponse:
    """The file as it is, whole or in ranges; never where faces are to be blurred."""
    found = None if room.settings.blur_faces else _footage(room, report)
    if found is None or found.kind is None:
        raise HTTPException(404, f"report {report} has no video that is shown as it is.")
    return FileResponse(found.path, media_type=found.kind, headers=_CACHED)


@router.get("/{report}/preview")
def preview(
    room: Room,
    _user: Viewer,
    report: ReportNumber,
    start_s: Annotated[float, Query(ge=0, le=1e6)],
    end_s: Annotated[float, Query(gt=0, le=1e6)],
) -> FileResponse:
    """H.264 without sound of the whole seconds that hold a stretch: it begins at the one that ``start_s`` is in."""
    found = _footage(room, report)
    if found is None:
        raise HTTPException(404, f"the video of report {report} is in none of the folders that are served.")
    with room.store.read() as connection:
        sha256 = connection.execute(sql.select(REPORTS.c.video_sha256).where(REPORTS.c.id == report)).scalar_one()
    # a changed file must not be shown from the cache of the one that was analysed
    key = sha256 if found.same else f"{found.path} {found.path.stat().st_mtime_ns}"
    made = room.previews.get(found.path, key, Stretch.around(start_s, end_s))
    if made is None:
        raise HTTPException(503, "many previews are being made; try again soon.", {"Retry-After": "5"})
    return FileResponse(made, media_type="video/mp4", headers=_CACHED)


def _footage(room: Services, report: int) -> Footage | None:
    with room.store.read() as connection:
        row = connection.execute(sql.select(REPORTS).where(REPORTS.c.id == report)).mappings().one_or_none()
    if row is None:
        raise HTTPException(404, f"report {report} is gone. Load the page again.")
    return room.footage.find(room.library.file(row["path"]), row["video"], row["video_sha256"])
