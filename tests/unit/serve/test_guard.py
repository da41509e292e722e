"""Who is let in: hosts, origins, tokens, roles and sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from omnisila.digests import digest
from omnisila.serve.settings import Account, Role, ServeSettings

Serve = Callable[..., TestClient]
PAGE = "/api/queue"


def account(name: str, role: Role) -> Account:
    return Account(name=name, role=role, token_sha256=digest(f"token of {name}"))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::2]"])
def test_other_host_names_are_refused(serve: Serve, host: str) -> None:
    client = serve()
    assert client.get(PAGE, headers={"host": host}).status_code == 421
    assert client.get(PAGE, headers={"host": "localhost:8765"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8765"}, 202),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://review.example"}, 202),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 202),
    ],
)
def test_changes_come_from_the_page_or_a_trusted_origin(serve: Serve, headers: dict[str, str], status: int) -> None:
    client = serve(trusted_origins=("https://review.example",))
    assert client.post("/api/scan", headers=headers).status_code == status


def test_every_answer_says_what_a_page_may_do(serve: Serve) -> None:
    client = serve()
    for path in ("/", PAGE, "/healthz", "/nothing-here"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"


def test_another_address_needs_accounts() -> None:
    with pytest.raises(ValidationError, match="token"):
        ServeSettings(reports=Path(), host="0.0.0.0")


def test_tokens_open_the_door_and_leave_the_address(serve: Serve) -> None:
    client = serve(host="0.0.0.0", hosts=("127.0.0.1",), accounts=(account("ann", "admin"),), base_path="/omni")
    assert client.get("/omni/api/queue").status_code == 401
    assert client.get("/omni/api/queue", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/omni/api/queue", headers={"authorization": "Bearer token of ann"}).status_code == 200
    assert client.get("/healthz").status_code == 200
    entered = client.get("/omni/?token=token+of+ann&x=1")
    assert entered.status_code == 303
    assert "token" not in entered.headers["location"]
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/omni/" in cookie
    assert client.get("/omni/api/status").json()["user"] == "ann"  # the client kept the cookie
    assert client.get("/omni").headers["location"] == "/omni/"


def test_roles_bound_what_people_may_do(serve: Serve) -> None:
    client = serve(accounts=(account("vic", "viewer"), account("rita", "reviewer")))
    name = client.get(PAGE, headers={"authorization": "Bearer token of vic"}).json()["findings"][0]["finding"]
    body = {"request": "a-request", "findings": [name], "change": {"verdict": "accepted"}}
    as_viewer = client.post("/api/edits", json=body, headers={"authorization": "Bearer token of vic"})
    assert as_viewer.status_code == 403
    as_reviewer = client.post("/api/edits", json=body, headers={"authorization": "Bearer token of rita"})
    assert as_reviewer.status_code == 200


def test_long_bodies_are_refused_while_they_are_read(serve: Serve) -> None:
    client = serve(max_body_bytes=1000)
    assert client.post("/api/edits", content=b"x" * 1001).status_code == 413

    def pieces():
        for _ in range(100):
            yield b"x" * 100

    assert client.post("/api/edits", content=pieces()).status_code == 413


def test_who_asks_too_often_waits(serve: Serve) -> None:
    client = serve(asks_per_minute=2)
    asked = [client.post("/v1/analyses", json={"path": "nowhere.mp4"}) for _ in range(3)]
    assert [answer.status_code for answer in asked] == [422, 422, 429]
    assert 1 <= int(asked[2].headers["retry-after"]) <= 30
    assert client.get(PAGE).status_code == 200, "only what costs work is counted"
