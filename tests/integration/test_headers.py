"""What every answer tells a browser: nothing of ours runs elsewhere, nothing foreign runs here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from provisioner import app as application
from provisioner import db
from provisioner.access import Role
from provisioner.api import description
from provisioner.console import console
from tests.integration.conftest import Client
from tests.integration.console import HOST, Visitor, logged_in, visitor

API = "/api/v1"


def faults(headers: Headers) -> list[str]:
    """What a browser is not told by an answer that came over TLS."""
    policy = headers.get("Content-Security-Policy", "")
    script = re.search(r"(?:script|default)-src ([^;]*)", policy)
    told = {
        "what may run": bool(script) and "unsafe" not in (script[1] if script else ""),
        "what is the default": "default-src 'none'" in policy,
        "who may frame it": "frame-ancestors 'none'" in policy,
        "who may frame it, of old": headers.get("X-Frame-Options") == "DENY",
        "that its type is its type": headers.get("X-Content-Type-Options") == "nosniff",
        "whom it may tell where it comes from": "Referrer-Policy" in headers,
        "who may read it": headers.get("Cross-Origin-Resource-Policy") == "same-origin",
        "to come by TLS only": "Strict-Transport-Security" in headers,
        "to keep it or not": "Cache-Control" in headers,
    }
    told["nothing of other sites"] = "Access-Control-Allow-Origin" not in headers
    return [name for name, right in told.items() if not right]


def answers(client: Client, person: Visitor) -> Iterator[tuple[str, TestResponse]]:
    """An answer of each kind."""
    stranger, bearer = visitor(client), {"Authorization": f"Bearer {client.token}"}
    sheet = re.search(r'href="(/console/static/[^"]+css)"', person.get("/accounts").text)
    assert sheet
    for path in ("/livez", "/readyz", "/api/openapi.json", "/api/docs/", "/nothing", sheet[1]):
        yield path, client.http.get(path, base_url=HOST)
    for path in ("swagger-ui.css", "oauth2-redirect.html", "nothing.js"):
        yield path, client.http.get(f"/api/docs/{path}", base_url=HOST)
    for path, headers in ((f"{API}/sip-accounts", bearer), (f"{API}/nothing", bearer), (API, {})):
        yield path, client.http.get(path, base_url=HOST, headers=headers)
    yield "a wrong method", client.http.delete("/livez", base_url=HOST)
    yield "an event", client.http.post("/hooks/v1/events", base_url=HOST, data=b"{}")
    yield "too much", client.http.post("/console/login", base_url=HOST, data=b"x" * 1_100_000)
    yield "a file", client.http.get(f"{API}/exports/numbers", base_url=HOST, headers=bearer)
    for path in ("/login", "/accounts", "/nothing", "/"):
        yield f"a stranger's {path}", stranger.get(path)
        yield f"a person's {path}", person.get(path)
    yield "a forged form", person.send("/logout", {}, Origin="https://evil.example")
    yield "no token", person.send("/logout", {})


@pytest.fixture
def person(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ADMIN)


def test_every_kind_of_answer_tells_all(client: Client, person: Visitor) -> None:
    seen = 0
    for name, answer in answers(client, person):
        answer.close()
        assert faults(answer.headers) == [], name
        seen += 1
    assert seen > 20


def test_an_answer_that_told_less_would_be_found(
    client: Client, person: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "HEADERS", {})
    unsafe = {"Content-Security-Policy": "script-src 'unsafe-inline'"}
    monkeypatch.setattr(console, "HEADERS", unsafe)
    for name, answer in answers(client, person):
        answer.close()
        assert "that its type is its type" in faults(answer.headers) or name.startswith("a "), name
        assert "what may run" in faults(answer.headers) or not name.startswith("a person's"), name


def test_the_viewers_own_script_is_the_only_one_inline(client: Client) -> None:
    with client.http.get("/api/docs/", base_url=HOST) as page:
        policy = page.headers["Content-Security-Policy"]
        assert policy.count("'sha256-") == page.get_data(as_text=True).count("<script>") == 1


def test_whoever_reads_the_viewers_files_slowly_holds_few_threads(client: Client) -> None:
    path = "/api/docs/swagger-ui-bundle.js"
    held: list[Any] = [
        client.http.get(path, buffered=False) for _ in range(description.READERS_MAX)
    ]
    assert {one.status_code for one in held} == {200}
    assert client.http.get(path).status_code == 503
    assert client("GET", "/numbers").status_code == 200
    for one in held:
        one.close()
    with client.http.get(path) as answer:
        assert answer.status_code == 200
