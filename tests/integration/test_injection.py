"""SQL, headers and log lines in every text that a request can hold: texts they stay.

Each attack succeeds against the control, in which a query is put together as a text, or a log is
written as the client wishes.
"""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from provisioner import db, listing
from provisioner.api.operation import Operation
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.integration.conftest import Client
from tests.integration.serving import HOST, Server, served
from tests.integration.world import OPERATIONS, Tenant, example_body, new_tenant, path_of
from tests.system import eventually

SLEEP = 20  # seconds that a query would take which a text has become part of
SQL = [
    f"'; SELECT pg_sleep({SLEEP}); DROP TABLE provisioner.victim; --",
    f"') OR pg_sleep({SLEEP}) IS NULL; DROP TABLE provisioner.victim; --",
    "%' OR '1'='1",
    "\\",
]
HEADER = "x\r\nX-Injected: yes\r\n\r\n<b>"
TEXTS = [*SQL, HEADER, "%(scope_customer)s", "{scope}", "{0.__class__}", "{{7*7}}", "${jndi:x}"]
IN_PATHS = ("name", "number", "registration_id")  # path parameters that are texts


@pytest.fixture
def tenant(client: Client) -> Tenant:
    return new_tenant(client, "Alpha", "06111111")


@pytest.fixture
def victim(admin: db.Connection) -> Iterator[db.Connection]:
    """A table of the service's own, whose absence would tell."""
    admin.execute("CREATE TABLE provisioner.victim ()")
    admin.execute("ALTER TABLE provisioner.victim OWNER TO provisioner")
    yield admin
    admin.execute("DROP TABLE IF EXISTS provisioner.victim")


def is_there(admin: db.Connection) -> bool:
    row = admin.execute("SELECT to_regclass('provisioner.victim') AS found").fetchone()
    return bool(row and row["found"])


def fields_of(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def attempts(
    operation: Operation, tenant: Tenant, texts: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Requests that have a text in one place each: their path, and body."""
    path, body = path_of(operation, tenant.parameters), example_body(operation)
    for text in texts:
        for name in fields_of(operation.query):
            yield f"{path}?{name}={quote(text)}", body
        for name in fields_of(operation.body) if operation.body else []:
            yield path, body | {name: text}
            yield path, body | {name: [text]}
        for name in IN_PATHS:
            if f"{name}>" in operation.path:
                mixed = tenant.parameters | {name: quote(text, safe="")}
                yield path_of(operation, mixed), body


def named(value: object) -> str | None:
    return f"{value.method} {value.path}" if isinstance(value, Operation) else None


@pytest.mark.parametrize(
    "texts", [[SQL[0], HEADER], pytest.param(TEXTS, marks=pytest.mark.attack)], ids=len
)
def test_no_text_becomes_sql_or_a_header(
    client: Client, tenant: Tenant, victim: db.Connection, figures: Figures, texts: list[str]
) -> None:
    asked = 0
    for operation in OPERATIONS:
        for path, body in attempts(operation, tenant, texts):
            if operation.method == "DELETE" and "?" not in path:
                continue  # what it deletes is there for the others
            began = time.monotonic()
            answer = client(operation.method, path, body, X_Request_Id=SQL[0])
            assert answer.status_code < 500, (path, body, answer.text)
            assert time.monotonic() - began < SLEEP, (path, body)
            assert "X-Injected" not in answer.headers, (path, body)
            asked += 1
    assert asked > 200 * len(texts)
    assert is_there(victim)
    figures(
        "requests with SQL or a header in one of their texts that had an effect", f"0 of {asked}"
    )


def test_a_search_for_all_that_there_is_finds_nothing(client: Client, tenant: Tenant) -> None:
    for text in ("nobody' OR name LIKE '", "%' OR '1'='1", "%", "_", "' OR true --"):
        for path in ("/sip-accounts", "/numbers", "/customers", "/projects"):
            assert client("GET", f"{path}?q={quote(text)}").json["items"] == [], (path, text)


def test_a_query_put_together_as_a_text_would_run_it(
    client: Client,
    settings: Settings,
    tenant: Tenant,
    victim: db.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But not in a request's own transaction: what is sent there is one statement."""

    def careless(_: db.Connection, query: bytes, **parameters: Any) -> list[Any]:
        text = re.sub(r"%\((\w+)\)s", lambda name: f"'{parameters[name[1]]}'", query.decode())
        with db.connect(settings.database_url, autocommit=True) as connection:
            return connection.execute(text.replace("%%", "%").encode()).fetchall()

    monkeypatch.setattr(listing, "rows", careless)
    assert client("GET", "/sip-accounts?q=Alpha").json["items"]
    everything = quote("nobody' OR name LIKE '")
    assert client("GET", f"/sip-accounts?q={everything}").json["items"]
    attack = "'; DROP TABLE provisioner.victim; COMMIT; --"
    client("GET", f"/customers?q={quote(attack)}")
    assert not is_there(victim)


# Logs.

MARK = "2026-01-01 00:00:00,000 INFO provisioner: the admin has logged in"
LINES = (
    rb"GET /api/v1/%0a" + quote(MARK).encode() + rb" HTTP/1.1",
    rb"GET /console/%0d%0a" + quote(MARK).encode() + rb"%1b[2J HTTP/1.1",
    rb"GET /livez HTTP/9.9" + b"\x0b" + MARK.encode(),
    b"GET /livez?\r" + MARK.encode() + b" HTTP/1.1",
    b"G\x1b[2J\r" + MARK.encode() + b" /livez HTTP/1.1",
    b"GET /livez HTTP/1.1\r\nX-Request-Id: \xe2\x80\xa8" + MARK.encode(),
    b"GET /livez HTTP/1.1\r\nBad\x0bName\r" + MARK.encode() + b": x",
    b"GET /livez HTTP/1.1\r\nX: \r" + MARK.encode(),
)
CARELESS = """
import provisioner.lines, provisioner.server
provisioner.lines.one_line = provisioner.server.quote = str
"""
# How a line begins: the application's, gunicorn's, and an access.
FORMS = re.compile(
    r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ [\w.]+: |\[\d{4}-[^]]+\] \[\d+\] \[|127\.0\.0\.1 \""
)


def provoke(server: Server) -> list[str]:
    """Send each of these requests, and return the log's lines."""
    for lines in LINES:
        with socket.create_connection((HOST, server.port), timeout=10) as client:
            client.sendall(lines + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass
    eventually(lambda: server.logged().count("the%20admin") + server.logged().count(MARK) > 1)
    return server.logged().splitlines()


def forged(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(MARK) or not FORMS.match(line)]


@pytest.mark.native
def test_the_log_has_one_line_an_event(settings: Settings, stack: Stack, tmp_path: Any) -> None:
    with served(settings, stack, tmp_path / "serve.log") as server:
        assert forged(provoke(server)) == []
        assert "\x1b" not in server.logged()


@pytest.mark.native
def test_a_careless_log_would_have_forged_lines(
    settings: Settings, stack: Stack, tmp_path: Any
) -> None:
    with served(settings, stack, tmp_path / "serve.log", weakened=CARELESS) as server:
        assert [line for line in forged(provoke(server)) if line.startswith(MARK)]
