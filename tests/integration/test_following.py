"""A change can be followed from HTTP to the confirmation of each node: by its request's id in the
logs, and by its trace.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyrage
import pytest

from provisioner import db, origin, rotation, tracing
from provisioner.db import Connection
from provisioner.errors import SettingInvalid
from provisioner.hooks import incoming
from provisioner.lines import JsonLine
from provisioner.settings import Settings
from provisioner.stack import Stack
from tests.api import Api
from tests.integration.collector import Collector, collector
from tests.integration.conftest import NUMBER, Client
from tests.integration.hooks import Portal, ago
from tests.integration.importing import Imports
from tests.integration.receiver import ALLOWED, receiver
from tests.sip.test_imports import imported
from tests.system import Line, System, eventually, native_system

SERVED = "POST /api/v1/sip-accounts/<id:account_id>/disable"


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    """A collector of the stack's traces."""
    with collector() as collected:
        yield collected


@pytest.fixture(scope="module")
def json_stack(tmp_path_factory: pytest.TempPathFactory, collected: Collector) -> Iterator[Stack]:
    """A stack that logs as JSON, and is traced."""
    environ = {
        "LOG_FORMAT": "json",
        "SYNC_INTERVAL": "2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds, not to wait for spans
        "WEBHOOK_ALLOWED_NETWORKS": ALLOWED,
    }
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


def known_as(line: Line, request_id: str, **headers: str) -> Line:
    """The same account, changed by requests with an id, and perhaps other headers."""
    api = Api(line.api.url, line.api.headers["Authorization"].removeprefix("Bearer "))
    api.headers |= {"X-Request-Id": request_id, **headers}
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


@pytest.mark.native
def test_a_trace_leads_from_the_request_over_its_transaction_to_the_node(
    json_stack: Stack, logging_system: System, collected: Collector
) -> None:
    line = logging_system.new_line()
    known_as(line, "traced-1").disable()
    eventually(lambda: {"kick", SERVED} <= {span.name for span in collected.of_request("traced-1")})
    spans = {span.id: span for span in collected.of_request("traced-1")}
    (kick,) = [span for span in spans.values() if span.name == "kick"]
    (served,) = [span for span in spans.values() if span.name == SERVED]
    transaction = spans[kick.parent]
    assert transaction.name == "transaction"
    assert transaction.parent == served.id
    assert (served.service, kick.service) == ("provisioner", "provisioner-worker")
    assert served.attributes["http.response.status_code"] == 200
    assert kick.attributes["provisioner.account_id"] == line.id
    assert kick.attributes["provisioner.node"] == "node1"
    # The client may have its answer before the worker, which has confirmed, looks at its clock.
    assert served.began <= transaction.began <= kick.began <= min(kick.ended, served.ended)


@pytest.mark.native
def test_a_clients_trace_is_continued(logging_system: System, collected: Collector) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    line = logging_system.new_line()
    known_as(line, "traced-2", traceparent=f"00-{trace}-{parent}-01").disable()
    spans = eventually(lambda: collected.of_request("traced-2"))
    assert {span.trace for span in spans} == {trace}
    known_as(line, "traced-3", traceparent="00-nonsense").enable()
    spans = eventually(lambda: collected.of_request("traced-3"))
    assert {span.trace for span in spans} != {trace}


@pytest.mark.native
def test_spans_hold_no_secret_and_no_number(
    json_stack: Stack, logging_system: System, collected: Collector
) -> None:
    line = logging_system.new_line()
    api = known_as(line, "traced-4").api
    api.get(f"/numbers/{line.number}").expect(200)
    api.post("/numbers", {"number": line.number, "state": "active"}).expect(409)
    password = api.post(f"{line.path}/credentials", wait=10).expect(200)["credentials"]["password"]
    eventually(lambda: [span for span in collected.spans if "credentials" in span.name])
    known_as(line, "traced-5").disable()
    eventually(lambda: [s for s in collected.of_request("traced-5") if s.name == "kick"])
    sent = b"".join(collected.raw)
    assert b"traced-5" in sent  # the control: this is what was sent
    token = json_stack.admin_token_file.read_text().strip()
    for secret in (line.credentials.username, password, token):
        assert secret.encode() not in sent


@pytest.mark.native
def test_an_import_has_a_trace_of_its_own(logging_system: System, collected: Collector) -> None:
    number = logging_system.new_number()
    logging_system.api.headers["X-Request-Id"] = "traced-6"
    imported(logging_system, "numbers", ["number", f"{number}1", "none"], "&mode=good_rows")
    del logging_system.api.headers["X-Request-Id"]
    (span,) = eventually(lambda: [one for one in collected.spans if one.name == "import"])
    assert span.service == "provisioner-worker"
    assert span.parent == ""
    told = {name.removeprefix("provisioner."): value for name, value in span.attributes.items()}
    assert (told["kind"], told["status"]) == ("numbers", "done")
    assert (told["rows_done"], told["rows_bad"]) == (1, 1)
    assert told["request_id"] == "traced-6"
    assert number not in str(span)


@pytest.mark.native
def test_each_attempt_at_an_endpoint_has_a_trace_of_its_own(
    logging_system: System, collected: Collector
) -> None:
    with receiver() as portal:
        portal.status = 500
        body = {"url": portal.url, "types": ["number.created"]}
        made = logging_system.api.post("/webhook-endpoints", body).expect(201)
        number = logging_system.new_number()
        (event,) = portal.next("number.created")
        (span,) = eventually(lambda: [one for one in collected.spans if one.name == "webhook"])
        logging_system.api.delete(f"/webhook-endpoints/{made['id']}").expect(204)
    assert (span.service, span.parent) == ("provisioner-worker", "")
    assert span.attributes == {
        "provisioner.endpoint_id": made["id"],
        "provisioner.event_id": event.id,
        "provisioner.event_type": "number.created",
        "provisioner.attempt": 1,
        "http.response.status_code": 500,
        "error.type": "500",
    }
    assert number not in str(span)


def test_without_the_setting_nothing_of_opentelemetry_is_imported() -> None:
    code = "import sys, provisioner.cli, provisioner.server; print('opentelemetry' in sys.modules)"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == "False\n"


def test_a_collector_without_the_libraries_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    with pytest.raises(SettingInvalid, match=r"OTEL_EXPORTER_OTLP_ENDPOINT needs.*traces"):
        tracing.start("provisioner")


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
