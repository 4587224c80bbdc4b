"""A change can be followed by its request's id: from HTTP to the confirmation of each node."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyrage
import pytest

from provisioner import db, origin, rotation
from provisioner.db import Connection
from provisioner.hooks import incoming
from provisioner.lines import JsonLine
from provisioner.settings import Settings
from provisioner.stack import Stack
from tests.api import Api
from tests.integration.conftest import NUMBER, Client
from tests.integration.hooks import Portal, ago
from tests.integration.importing import Imports
from tests.system import Line, System, eventually, native_system


@pytest.fixture(scope="module")
def json_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that logs as JSON."""
    environ = {"LOG_FORMAT": "json", "SYNC_INTERVAL": "2"}
    directory = tmp_path_factory.mktemp("stack")
    with Stack(directory, environ=environ, durable=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def logging_system(json_stack: Stack) -> System:
    return native_system(json_stack)


def told(stack: Stack, log: str, request_id: str) -> list[Any]:
    """What a process has logged of a request; every line must be JSON."""
    path = stack.directory.logs / f"{log}.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line.get("request_id") == request_id]


def known_as(line: Line, request_id: str) -> Line:
    """The same account, changed by requests with an id."""
    api = Api(line.api.url, line.api.headers["Authorization"].removeprefix("Bearer "))
    api.headers["X-Request-Id"] = request_id
    return Line(api, line.id, line.number, line.credentials)


@pytest.mark.native
def test_one_id_leads_from_the_request_to_the_nodes_confirmation(
    json_stack: Stack, logging_system: System
) -> None:
    line = logging_system.new_line()
    known_as(line, "portal-4711").disable()
    (event,) = line.api.get("/audit-events?request_id=portal-4711").expect(200)["items"]
    assert (event["type"], event["subject_id"]) == ("account.disabled", str(line.id))
    (answered,) = eventually(lambda: told(json_stack, "provisioner", "portal-4711"))
    assert (
        answered.items()
        >= {
            "method": "POST",
            "path": f"/api/v1/sip-accounts/{line.id}/disable",
            "status": 200,
        }.items()
    )
    (confirmed,) = eventually(lambda: told(json_stack, "worker", "portal-4711"))
    assert confirmed.items() >= {"node": "node1", "account_id": line.id}.items()
    assert confirmed["generation"] > 0
    # It happened while the client waited, and is told in milliseconds.
    assert 0 < confirmed["ms"] < answered["ms"]


@pytest.mark.native
def test_a_deleted_accounts_work_is_followed_too(json_stack: Stack, logging_system: System) -> None:
    line = logging_system.new_line(enabled=False)
    known_as(line, "portal-4712").api.delete(line.path, wait=10).expect(204)
    (confirmed,) = eventually(lambda: told(json_stack, "worker", "portal-4712"))
    assert confirmed["account_id"] == line.id


@pytest.mark.native
def test_a_change_of_the_allowlists_is_followed(json_stack: Stack, logging_system: System) -> None:
    api = logging_system.api
    api.headers["X-Request-Id"] = "portal-4713"
    api.put("/networks/carriers", {"cidrs": ["192.0.2.0/24"]}, wait=10).expect(200)
    del api.headers["X-Request-Id"]
    (confirmed,) = eventually(lambda: told(json_stack, "worker", "portal-4713"))
    assert confirmed["message"] == "reload confirmed"


@pytest.mark.native
def test_no_phone_number_is_in_what_is_told_of_a_change(
    json_stack: Stack, logging_system: System
) -> None:
    line = logging_system.new_line()
    known_as(line, "portal-4714").disable()
    written = json.dumps(eventually(lambda: told(json_stack, "worker", "portal-4714")))
    assert f'"account_id": {line.id}' in written
    assert line.credentials.username not in written


def pending(admin: Connection) -> list[tuple[int, str | None]]:
    """Whose work is pending, and which request asked for it."""
    found = admin.execute("SELECT account_id, request_id FROM provisioner.pending_kicks")
    return [(row["account_id"], row["request_id"]) for row in found]


def test_the_newest_request_is_the_one_that_is_followed(
    client: Client, admin: Connection, node: int
) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    for request_id in ("first", "second"):
        client("POST", f"{path}/enable", X_Request_Id=request_id)
        client("POST", f"{path}/disable", X_Request_Id=request_id)
    assert pending(admin) == [(account["id"], "second")]
    # What nobody has asked for by a request is not told as if one had.
    assert origin.request_id() is None


def test_a_signed_events_work_has_its_requests_id(
    client: Client, admin: Connection, node: int
) -> None:
    account = client.new_account(external_id="crm-1")
    client("POST", f"/sip-accounts/{account['id']}/enable")
    portal = Portal(client, client.create("/hook-sources", name="portal")["secret"])
    event = {"type": "account.disabled", "timestamp": ago().isoformat()}
    body = json.dumps(event | {"data": {"external_id": "crm-1", "version": 1}})
    assert portal.post(body, X_Request_Id="hook-1").json["status"] == "applied"
    assert pending(admin) == [(account["id"], "hook-1")]


def test_an_event_that_had_to_wait_is_applied_under_its_requests_id(client: Client) -> None:
    portal = Portal(client, client.create("/hook-sources", name="portal")["secret"])
    sent: dict[str, Any] = {
        "external_id": "crm-1",
        "name": "Desk",
        "main_number": NUMBER,
        "voice_channels": 2,
    }
    answer = portal.send("account.created", **sent)
    assert answer.json["status"] == "rejected"
    client.new_number()
    incoming.retry_blocked(client.http.application.extensions["provisioner"].database)
    (event,) = client("GET", "/audit-events?type=account.created").json["items"]
    assert event["request_id"] == answer.headers["X-Request-Id"]


def test_what_is_scheduled_is_done_under_the_id_of_who_scheduled_it(
    client: Client, settings: Settings, admin: Connection, node: int
) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    body = {"action": "expire", "due_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    client("POST", f"{path}/credential-change", body, X_Request_Id="later-1")
    admin.execute("UPDATE provisioner.credential_changes SET due_at = now() - interval '1 s'")
    with db.connect(settings.database_url, autocommit=True) as worker:
        rotation.apply_due(worker)
    assert pending(admin) == [(account["id"], "later-1")]
    (event,) = client("GET", "/audit-events?type=credentials.expired").json["items"]
    assert event["request_id"] == "later-1"


def test_an_imports_lines_have_its_requests_id(
    client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caplog.handler.setFormatter(JsonLine())
    imports = Imports(client, settings, pyrage.x25519.Identity.generate())
    answer = imports.upload("numbers", f"number,state\n{NUMBER},active\n")
    imports.work()
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (line,) = [line for line in lines if line.get("import_id") == answer.json["id"]]
    assert line["request_id"] == answer.headers["X-Request-Id"]
