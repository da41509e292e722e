"""Whether the server runs, and figures for Prometheus."""

import prometheus_client
import sqlalchemy as sql
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Gauge

from omnisila import __version__
from omnisila.serve.services import Room, Viewer
from omnisila.serve.store import DECISIONS, FINDINGS, REPORTS

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Answers as long as the server runs."""
    return {"status": "ok", "version": __version__}


@router.get("/metrics")
def metrics(room: Room, _user: Viewer) -> Response:
    """Counts in Prometheus's text form."""
    registry = CollectorRegistry()
    with room.store.read() as connection:
        for table, name, words in (
            (REPORTS, "omnisila_reports", "Analyses in the library"),
            (FINDINGS, "omnisila_findings", "Findings in the library"),
            (DECISIONS, "omnisila_decisions", "Entries of the decision log"),
        ):
            count = connection.execute(sql.select(sql.func.count()).select_from(table)).scalar_one()
            Gauge(name, words, registry=registry).set(count)
    Gauge("omnisila_reports_waiting", "Analyses still to be read", registry=registry).set(room.library.progress.waiting)
    queued = Gauge("omnisila_analyses", "Analyses that programs asked for, by status", ["status"], registry=registry)
    for status, count in room.analyses.counts().items():
        queued.labels(status).set(count)
    return Response(prometheus_client.generate_latest(registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)
