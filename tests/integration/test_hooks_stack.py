"""Hooks in the running system: real processes that are killed, and a real node that confirms."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import psycopg
import pytest

from provisioner.hooks.signature import sign
from provisioner.stack import Stack
from provisioner.stack.probes import answers_ok
from tests.integration.receiver import ALLOWED, Receiver, receiver
from tests.metrics import exposition, samples, value
from tests.system import System, eventually, native_system

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose processes these tests kill, and which may reach the receiver."""
    environ = {"WEBHOOK_ALLOWED_NETWORKS": ALLOWED}
    with Stack(tmp_path_factory.mktemp("stack"), environ=environ) as stack:
        yield stack


@pytest.fixture
def system(stack: Stack) -> System:
    return native_system(stack)


@pytest.fixture
def portal(system: System) -> Iterator[Receiver]:
    """A receiver with an endpoint."""
    with receiver() as portal:
        made = system.api.post("/webhook-endpoints", {"url": portal.url}).expect(201)
        yield portal
        system.api.delete(f"/webhook-endpoints/{made['id']}").expect(204)


def send(stack: Stack, secret: str, body: str, webhook_id: str) -> tuple[int, Any]:
    """Send an event over HTTP, as the portal does."""
    connection = HTTPConnection("127.0.0.1", stack.http_port, timeout=30)
    connection.request("POST", "/hooks/v1/events", body, sign([secret], webhook_id, body))
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def event(kind: str, **data: Any) -> str:
    return json.dumps({"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data})


def test_a_worker_counts_what_came_of_each_attempt(
    stack: Stack, system: System, portal: Receiver
) -> None:
    def counted(outcome: str) -> float:
        found = samples(exposition(stack.worker_url))
        return value(found, "provisioner_worker_webhook_attempts_total", outcome=outcome)

    delivered, failed = counted("delivered"), counted("failed")
    system.new_number()
    eventually(lambda: counted("delivered") > delivered)
    assert counted("failed") == failed


def test_an_account_is_converged_when_its_node_has_confirmed(
    system: System, portal: Receiver
) -> None:
    line = system.new_line()
    line.disable()
    version = line.read()["generation"]

    def told() -> bool:
        events = portal.of_type("account.converged")
        return version in [one.json["data"]["version"] for one in events]

    eventually(told)


def test_a_worker_that_is_killed_before_it_records_sends_again(
    system: System, stack: Stack, portal: Receiver
) -> None:
    killed = threading.Event()
    portal.before_answer = lambda: killed.wait(20)
    number = system.new_number()
    portal.next("number.created")
    os.kill(stack.worker.pid, signal.SIGKILL)
    eventually(lambda: not stack.worker.running)
    portal.before_answer = lambda: None
    killed.set()
    stack.worker.start()
    stack.worker.wait_ready()
    with psycopg.connect(stack.database_admin_url, autocommit=True) as admin:
        # Instead of waiting until the killed worker's claim has ended.
        admin.execute("UPDATE provisioner.webhook_deliveries SET next_attempt_at = now()")
    first, second, *_ = portal.next("number.created", 2)
    assert first.id == second.id
    assert first.json["data"]["number"] == number
    query = "/webhook-deliveries?type=number.created&state=delivered&limit=500"
    eventually(
        lambda: first.id in [one["event_id"] for one in system.api.get(query).expect(200)["items"]]
    )


def test_an_event_that_is_sent_again_after_a_crash_of_the_api_is_applied_once(
    system: System, stack: Stack
) -> None:
    secret = system.api.post("/hook-sources", {"name": "Portal"}).expect(201)["secret"]
    number = system.new_number()
    fields = {"name": f"Line {number}", "main_number": number, "voice_channels": 2}
    created = event("account.created", external_id=number, version=1, **fields)
    status, first = send(stack, secret, created, "msg_once")
    assert (status, first["status"]) == (200, "applied")
    os.kill(stack.provisioner.pid, signal.SIGKILL)
    eventually(lambda: not stack.provisioner.running)
    stack.provisioner.start()
    stack.provisioner.wait_ready()
    eventually(lambda: answers_ok(stack.http_port, "/readyz"))
    assert send(stack, secret, created, "msg_once") == (200, first)
    other = event("account.deleted", external_id=number, version=2)
    assert send(stack, secret, other, "msg_once")[0] == 409
    found = system.api.get(f"/sip-accounts?external_id=%2B{number[1:]}").expect(200)["items"]
    assert len(found) == 1


def test_an_event_enables_and_disables_an_account_on_the_node(system: System, stack: Stack) -> None:
    secret = system.api.post("/hook-sources", {"name": "Portal"}).expect(201)["secret"]
    line = system.new_line(enabled=False)
    for version, (kind, state) in enumerate(
        [("enabled", "enabled"), ("disabled", "disabled"), ("teams_linked", "linked_to_teams")]
    ):
        body = event(f"account.{kind}", id=line.id, version=version)
        status, answer = send(stack, secret, body, f"msg_{line.id}_{version}")
        assert (status, answer["status"]) == (200, "applied")
        assert line.read()["state"] == state
        eventually(lambda: line.read()["convergence"]["converged"])


def test_secrets_of_hooks_are_in_no_log(system: System, stack: Stack) -> None:
    source = system.api.post("/hook-sources", {"name": "Portal"}).expect(201)
    send(stack, source["secret"], '{"type": "ping"}', "msg_ping")
    send(stack, source["secret"], "{", "msg_bad")
    texts = [path.read_text(errors="replace") for path in stack.directory.logs.iterdir()]
    assert not any(source["secret"].removeprefix("whsec_") in text for text in texts)
