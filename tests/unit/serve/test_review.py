"""The page's interface: queue, changes, undo and redo, and the log from which all of it follows."""

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from fastapi.testclient import TestClient
from sqlalchemy.exc import IntegrityError

from omnisila.serve.services import Services, retire
from omnisila.serve.store import APPEND_ONLY, STATES, STEPS

Serve = Callable[..., TestClient]
_numbers = count()


def services(client: TestClient) -> Services:
    return client.app.state.services  # type: ignore[attr-defined]


def queue(client: TestClient, **wanted: Any) -> list[dict[str, Any]]:
    return client.get("/api/queue", params=wanted).json()["findings"]


def post(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json={"request": f"request-{next(_numbers)}", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def edit(client: TestClient, *findings: str, **change: Any) -> dict[str, Any]:
    return post(client, "/api/edits", findings=findings, change=change)


def test_the_queue_goes_by_score_and_pages_neither_repeat_nor_skip(serve: Serve) -> None:
    client = serve()
    seen: list[dict[str, Any]] = []
    after = None
    while True:
        page = client.get("/api/queue", params={"limit": 3, **({"after": after} if after else {})}).json()
        seen += page["findings"]
        edit(client, seen[-1]["finding"], verdict="rejected")  # what is decided meanwhile moves nothing
        if (after := page["after"]) is None:
            break
    assert len({one["finding"] for one in seen}) == 8
    assert [one["score"] for one in seen] == sorted((one["score"] for one in seen), reverse=True)


def test_filters_narrow_the_queue(serve: Serve) -> None:
    client = serve()
    assert {one["folder"] for one in queue(client, folder="south")} == {"south"}
    assert {one["label"] for one in queue(client, label="Fire")} == {"Fire"}
    assert all(one["score"] >= 0.97 for one in queue(client, min_score=0.97))
    assert len(queue(client, warned=True)) == 3
    edit(client, queue(client)[0]["finding"], verdict="accepted")
    first = client.get("/api/queue", params={"undecided": True}).json()
    assert len(first["findings"]) == first["total"] == first["undecided"] == 7
    assert client.get("/api/choices").json()["folders"] == {"north": 5, "south": 3}


def test_an_edit_keeps_the_models_span_beside_the_persons_to_the_millisecond(serve: Serve) -> None:
    client = serve()
    found = queue(client)[1]
    edit(client, found["finding"], start_s=0.1234, end_s=1.9876)
    now = queue(client)[1]
    assert (now["start_s"], now["end_s"]) == (found["start_s"], found["end_s"])
    assert (now["state"]["start_s"], now["state"]["end_s"]) == (0.123, 1.988)


@pytest.mark.parametrize(
    "change",
    [
        {"start_s": 1.0, "end_s": 1.0},
        {"start_s": 2.0, "end_s": 1.0},
        {"start_s": 1.0, "end_s": 1.0004},
        {"start_s": -1.0, "end_s": 1.0},
        {"start_s": 1.0, "end_s": 60.0},
        {"start_s": 1.0},
        {"label": "Nonsense"},
        {"rating": 7},
        {"verdict": "maybe"},
        {"score": 1.0},
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(serve: Serve, change: dict[str, Any]) -> None:
    client = serve()
    found = queue(client)[0]
    body = {"request": "a-request", "findings": [found["finding"]], "change": change}
    refused = client.post("/api/edits", json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"]
    assert queue(client)[0]["state"] == found["state"]


def test_undo_and_redo_take_steps_back_and_forth_bulk_ones_whole(serve: Serve) -> None:
    client = serve()
    names = [one["finding"] for one in queue(client)]
    edit(client, names[0], verdict="accepted")
    edit(client, *names[1:4], verdict="rejected")
    undone = post(client, "/api/undo")
    assert set(undone["findings"]) == set(names[1:4])
    assert all(state["verdict"] is None for state in undone["findings"].values())
    assert set(post(client, "/api/undo")["findings"]) == {names[0]}
    assert post(client, "/api/undo")["findings"] == {}
    assert set(post(client, "/api/redo")["findings"]) == {names[0]}
    edit(client, names[5], rating=4)
    ended = post(client, "/api/redo")  # something else was done: what was taken back stays so
    assert ended["findings"] == {}
    assert (ended["can_undo"], ended["can_redo"]) == (True, False)
    verdicts = {one["finding"]: one["state"]["verdict"] for one in queue(client)}
    assert [verdicts[name] for name in names[:5]] == ["accepted", None, None, None, None]


def test_the_same_request_again_does_nothing_more(serve: Serve) -> None:
    client = serve()
    name = queue(client)[0]["finding"]
    body = {"request": "the-same-one", "findings": [name], "change": {"verdict": "accepted"}}
    assert client.post("/api/edits", json=body).json() == client.post("/api/edits", json=body).json()
    assert len(list(services(client).log.history())) == 1


def test_a_missed_finding_is_added_taken_back_and_survives_a_new_analysis(serve: Serve, reports: Path) -> None:
    client = serve()
    report = queue(client, folder="north")[0]["report"]
    span = {"start_s": 1.0005, "end_s": 2.25}
    added = post(client, "/api/findings", report=report, labels="implicit", label="Vandalism", span=span)
    (name,) = added["findings"]
    assert added["findings"][name]["verdict"] == "accepted"
    assert name in {one["finding"] for one in queue(client)}
    post(client, "/api/undo")
    assert name not in {one["finding"] for one in queue(client)}
    post(client, "/api/redo")
    file = reports / "north/a.mp4.json"
    content = json.loads(file.read_text())
    content["findings"] = content["findings"][:2]
    file.write_text(json.dumps(content))
    services(client).library.scan()
    assert {one["label"] for one in queue(client, folder="north")} == {"Fighting", "Robbery", "Vandalism"}
    (decided,) = services(client).log.decisions()
    assert (decided.label, decided.model_start_s, decided.verdict) == ("Vandalism", None, "accepted")


def test_two_people_have_a_state_each(serve: Serve) -> None:
    client = serve()
    log, name = services(client).log, queue(client)[0]["finding"]
    edit(client, name, verdict="accepted")
    body = client.app.state.services  # type: ignore[attr-defined]
    from omnisila.serve.states import Change

    body.log.change("second", "request-of-second", [name], Change(verdict="rejected"))
    assert {(one.user, one.verdict) for one in log.decisions()} == {("me", "accepted"), ("second", "rejected")}
    log.undo("second", "undo-of-second")
    assert {(one.user, one.verdict) for one in log.decisions()} == {("me", "accepted")}


def test_replaying_the_log_gives_the_same_states(serve: Serve) -> None:
    client = serve()
    names = [one["finding"] for one in queue(client)]
    edit(client, *names[:3], verdict="accepted")
    edit(client, names[1], label="Theft", start_s=0.5, end_s=2.0)
    post(client, "/api/undo")
    edit(client, names[4], rating=2)
    post(client, "/api/undo")
    post(client, "/api/redo")
    store = services(client).store

    def everything() -> list[list[Any]]:
        with store.read() as connection:
            return [connection.execute(sql.select(table)).all() for table in (STATES, STEPS)]

    before = [sorted(map(repr, rows)) for rows in everything()]
    services(client).log.replay()
    assert [sorted(map(repr, rows)) for rows in everything()] == before


def test_the_log_is_only_added_to(serve: Serve) -> None:
    client = serve()
    edit(client, queue(client)[0]["finding"], verdict="accepted")
    client.get(f"/api/videos/{queue(client)[0]['report']}")
    for table in APPEND_ONLY:
        for change in (sql.delete(table), sql.update(table).values({table.c[0].name: table.c[0]})):
            with pytest.raises(IntegrityError, match="only added to"), services(client).store.write() as connection:
                connection.execute(change)


def test_reports_that_go_leave_the_queue_and_their_decisions_stay(serve: Serve, reports: Path) -> None:
    client = serve()
    name = queue(client, folder="south")[0]["finding"]
    edit(client, name, verdict="accepted")
    (reports / "south/<i>b.mp4.json").unlink()
    services(client).library.scan()
    assert {one["folder"] for one in queue(client)} == {"north"}
    assert [one.finding for one in services(client).log.decisions()] == [name]


def test_a_damaged_analysis_and_a_link_out_of_the_folder_harm_nothing(
    serve: Serve, reports: Path, tmp_path: Path
) -> None:
    (reports / "broken.json").write_text('{"schema_version": 1, "anomaly_curve": []}')
    (tmp_path / "secret.json").write_text((reports / "north/a.mp4.json").read_text())
    (reports / "link.json").symlink_to(tmp_path / "secret.json")
    client = serve()
    assert len(queue(client)) == 8


def test_one_video_shows_findings_curves_and_what_a_label_may_be(serve: Serve) -> None:
    client = serve()
    found = queue(client, folder="south")[0]
    video = client.get(f"/api/videos/{found['report']}").json()
    assert len(video["findings"]) == 3
    assert video["warnings"] == ["damaged at 1 s"]
    assert "Fighting" in video["choices"]["implicit"]
    assert "Normal" not in video["choices"]["implicit"]
    assert len(video["curve"]) == len(video["weights"]) == 3
    detail = client.get(f"/api/videos/{found['report']}/findings/{found['finding']}").json()
    assert detail["evidence"]["faces"][0]["box"]["left_frac"] == 0.2
    assert client.get("/api/videos/999").status_code == 404


def test_the_audit_log_says_who_saw_and_decided_what(serve: Serve) -> None:
    client = serve()
    found = queue(client)[0]
    client.get(f"/api/videos/{found['report']}")
    edit(client, found["finding"], verdict="accepted")
    post(client, "/api/undo")
    log = client.get("/api/audit").json()
    assert {(one["user"], one["did"]) for one in log} == {("me", "saw"), ("me", "edit"), ("me", "undo")}
    assert [one["utc"] for one in log] == sorted((one["utc"] for one in log), reverse=True)
    seen = next(one["what"] for one in log if one["did"] == "saw")
    assert seen == f"video {'north/a.mp4.json' if found['folder'] == 'north' else 'south/<i>b.mp4.json'}"
    change = json.loads(next(one["what"] for one in log if one["did"] == "edit"))
    assert (change["before"]["verdict"], change["after"]["verdict"]) == (None, "accepted")


def test_only_analyses_that_were_rejected_as_a_whole_are_taken_away(serve: Serve, reports: Path) -> None:
    client = serve()
    page = reports / "south/<i>b.mp4.html"
    page.write_text("the page of the analysis")
    south, north = ([one["finding"] for one in queue(client, folder=name)] for name in ("south", "north"))

    def kept() -> set[str]:
        retire(services(client).store, services(client).library, days=0)
        services(client).library.scan()
        return {one["folder"] for one in queue(client)}

    edit(client, *south[:2], *north, verdict="rejected")
    edit(client, north[0], verdict="accepted")
    time.sleep(0.01)
    assert kept() == {"south", "north"}  # one undecided, one accepted
    edit(client, south[2], verdict="rejected")
    assert retire(services(client).store, services(client).library, days=1) == ()  # not for so long yet
    time.sleep(0.01)
    assert kept() == {"north"}
    assert not page.exists()
    assert (reports / "south/<i>b.mp4").exists()
    assert sum(one.verdict == "rejected" for one in services(client).log.decisions()) == 7
