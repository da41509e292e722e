"""What the page asks for: the queue, one video with all that was found in it, changes, undo and redo."""

from collections.abc import Iterator
from typing import Annotated, Any

import sqlalchemy as sql
from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from omnisila.config import Frozen
from omnisila.labels import LABEL_SETS
from omnisila.predictions.analyses import read_analysis
from omnisila.report.overlays import overlay
from omnisila.report.wording import LANES, sightings
from omnisila.schema import Analysis, Evidence, ExpertWeights, Span, VideoIdentity
from omnisila.serve import queue
from omnisila.serve.agreement import Reviewers, reviewers
from omnisila.serve.audit import Entry, entries
from omnisila.serve.decisions import Saved
from omnisila.serve.library import Progress
from omnisila.serve.queue import Choices, Listed, Page, PageRequest
from omnisila.serve.services import Admin, ReportNumber, Reviewer, Room, Services, Viewer
from omnisila.serve.settings import Role
from omnisila.serve.states import Change
from omnisila.serve.store import REPORTS

router = APIRouter(prefix="/api", tags=["review"])
MAX_POINTS = 2000  # of a curve that the page draws

Request = Annotated[str, Field(min_length=8, max_length=100)]  # made up by who asks; the same again changes nothing


class Status(Frozen):
    """Who asks, and how far the library is."""

    user: str
    role: Role
    can_undo: bool
    can_redo: bool
    progress: Progress


class CurvePart(Frozen):
    start_s: float
    end_s: float
    score: float


class WeightsPart(Frozen):
    start_s: float
    end_s: float
    weights: ExpertWeights


class Video(Frozen):
    """One report: the video, what was found in it by model and people, and the curves."""

    report: int
    video: str
    duration_s: float
    rate_hz: float | None
    width_px: int
    height_px: int
    model: str
    warnings: tuple[str, ...]
    choices: dict[str, tuple[str, ...]]
    lanes: dict[str, str]
    findings: tuple[Listed, ...]
    curve: tuple[CurvePart, ...]
    weights: tuple[WeightsPart, ...]


class Drawn(Frozen):
    """What was seen at a moment, as shapes in the plane of ``report.overlays``."""

    time_s: float
    shapes: dict[str, Any]


class Detail(Frozen):
    """What belongs to one finding alone.

    Attributes:
        frames: moments at which something was seen.
        seen: the same in words, with when.
    """

    finding: str
    evidence: Evidence
    expert_weights: ExpertWeights | None
    frames: tuple[Drawn, ...]
    seen: tuple[tuple[str, str], ...]


class Edit(Frozen):
    """One change of one or several findings."""

    request: Request
    findings: tuple[str, ...] = Field(min_length=1, max_length=1000)
    change: Change


class Addition(Frozen):
    """A finding that the model missed."""

    request: Request
    report: ReportNumber
    labels: str
    label: str = Field(min_length=1, max_length=200)
    span: Span


class Step(Frozen):
    request: Request


@router.get("/status")
def status(room: Room, user: Viewer) -> Status:
    """Asked for at the start and while the library is searched."""
    can_undo, can_redo = room.log.can_step(user.name)
    return Status(user=user.name, role=user.role, can_undo=can_undo, can_redo=can_redo, progress=room.library.progress)


@router.post("/scan", status_code=202)
def scan(room: Room, _user: Viewer) -> None:
    """Search the folder of analyses again now."""
    room.library.wake()


@router.get("/queue")
def list_queue(room: Room, user: Viewer, wanted: Annotated[PageRequest, Query()]) -> Page:
    """A page of the queue."""
    return queue.page(room.store, user.name, wanted)


@router.get("/choices")
def list_choices(room: Room, _user: Viewer) -> Choices:
    """What the queue can be filtered by."""
    return queue.choices(room.store)


@router.get("/videos/{report}")
def show_video(room: Room, user: Viewer, report: ReportNumber) -> Video:
    """One report, for the player and the time line; noted in the audit log."""
    row, analysis = _report(room, report)
    room.note(user.name, f"video {row['path']}")
    findings = queue.of_report(room.store, user.name, report)
    sets = dict.fromkeys((*analysis.labels, *(finding.labels for finding in findings)))
    points = analysis.expert_weights
    step = -(-len(points) // MAX_POINTS) or 1
    return Video(
        report=report, video=analysis.video.path,
        duration_s=max(analysis.video.duration_s, *(finding.end_s for finding in findings), 0.04),
        rate_hz=analysis.video.rate_hz, width_px=analysis.video.width_px, height_px=analysis.video.height_px,
        model=row["model"], warnings=analysis.warnings, choices={name: _labels(name, analysis) for name in sets},
        lanes={name: LANES.get(name, name.capitalize()) for name in sets}, findings=findings, curve=_curve(analysis),
        weights=tuple(
        WeightsPart(start_s=point.start_s, end_s=point.end_s, weights=point.weights) for point in points[::step]
    ),
    )  # fmt: skip


@router.get("/videos/{report}/findings/{finding}")
def show_finding(room: Room, _user: Viewer, report: ReportNumber, finding: str) -> Detail:
    """What was seen in a finding; nothing for one that a person added."""
    number = queue.number_of(room.store, report, finding)
    if number is None:
        return Detail(finding=finding, evidence=Evidence(), expert_weights=None, frames=(), seen=())
    _, analysis = _report(room, report)
    found = analysis.findings[number]
    return Detail(
        finding=finding,
        evidence=found.evidence,
        expert_weights=found.expert_weights,
        frames=tuple(_draw_evidence(found.evidence, analysis.video)),
        seen=tuple(_words(found.evidence)),
    )


@router.get("/findings/{finding}")
def show_in_queue(room: Room, user: Viewer, finding: str) -> Listed:
    """A finding as the queue lists it."""
    return queue.find(room.store, user.name, finding)


@router.get("/agreement")
def show_agreement(room: Room, _user: Viewer) -> Reviewers:
    """How alike people decide, and the findings that they differ about."""
    return reviewers(tuple(room.log.decisions()))


@router.get("/audit")
def show_audit(
    room: Room, _user: Admin, before: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> tuple[Entry, ...]:
    """Who saw and decided what, newest first; ``before`` is the ``utc`` of the last entry that was given."""
    return entries(room.store, before, limit)


@router.post("/edits")
def edit(room: Room, user: Reviewer, wanted: Edit) -> Saved:
    """Change findings; answered when it is on the disk."""
    return room.log.change(user.name, wanted.request, wanted.findings, wanted.change)


@router.post("/findings")
def add(room: Room, user: Reviewer, wanted: Addition) -> Saved:
    """Add a finding that the model missed."""
    span = (wanted.span.start_s, wanted.span.end_s)
    return room.log.add(user.name, wanted.request, wanted.report, wanted.labels, wanted.label, span)


@router.post("/undo")
def undo(room: Room, user: Reviewer, wanted: Step) -> Saved:
    """Take back the last step."""
    return room.log.undo(user.name, wanted.request)


@router.post("/redo")
def redo(room: Room, user: Reviewer, wanted: Step) -> Saved:
    """Do the step again that was taken back last."""
    return room.log.redo(user.name, wanted.request)


def _report(room: Services, report: int) -> tuple[Any, Analysis]:
    """A report's row in the index, and its file.

    Raises:
        HTTPException: it is missing, or is by now.
    """
    with room.store.read() as connection:
        row = connection.execute(sql.select(REPORTS).where(REPORTS.c.id == report)).mappings().one_or_none()
    analysis = read_analysis(room.library.file(row["path"])) if row is not None else None
    if row is None or analysis is None:
        raise HTTPException(404, f"report {report} is gone. Load the page again.")
    return row, analysis


def _labels(name: str, analysis: Analysis) -> tuple[str, ...]:
    """What a finding of a label set may be called."""
    if name in LABEL_SETS:
        return LABEL_SETS[name].reportable
    posterior = analysis.anomaly_curve[0].posterior if analysis.anomaly_curve else {}
    found = (finding.label for finding in analysis.findings if finding.labels == name)
    return tuple(dict.fromkeys((*posterior.get(name, {}), *found)))


def _curve(analysis: Analysis) -> tuple[CurvePart, ...]:
    """The anomaly curve; of a long one the highest point of each stretch."""
    points = analysis.anomaly_curve
    step = -(-len(points) // MAX_POINTS) or 1
    highest = (max(points[k : k + step], key=lambda point: point.score) for k in range(0, len(points), step))
    return tuple(CurvePart(start_s=point.start_s, end_s=point.end_s, score=point.score) for point in highest)


def _draw_evidence(evidence: Evidence, video: VideoIdentity) -> Iterator[Drawn]:
    width_px, height_px = max(video.width_px, 1), max(video.height_px, 1)
    for time_s in sorted({seen.time_s for _, kind in evidence for seen in kind}):
        yield Drawn(time_s=time_s, shapes=_as_objects(overlay(evidence, time_s, width_px, height_px)))


def _as_objects(value: Any) -> Any:
    """Named tuples as objects, all the way down."""
    if hasattr(value, "_asdict"):
        return {name: _as_objects(part) for name, part in value._asdict().items()}
    return [_as_objects(part) for part in value] if isinstance(value, tuple) else value


def _words(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """All but people, who are told apart by numbers alone."""
    told = sightings(evidence)
    others = (sighting for kind in told.others.values() for sighting in kind)
    for sighting in (*told.faces, *told.objects, *told.triplets, *others):
        yield (f"{sighting.times}× {sighting.text}" if sighting.times > 1 else sighting.text), sighting.when
