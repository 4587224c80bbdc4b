"""Refused calls are told by hooks: at once, then once a minute, with how many there were."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner import db, guard_store, refusals, webhook_store
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from provisioner.worker import Worker
from tests.integration.calls import CallNode, call_node
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.system import eventually

ROME, PREMIUM = "+390687654321", "+39899123456"


@pytest.fixture
def calls(stack: Stack, settings: Settings) -> Iterator[CallNode]:
    with call_node(stack, settings.database_url) as node:
        yield node


@pytest.fixture
def worker(settings: Settings) -> Iterator[db.Connection]:
    """The connection of a worker."""
    with db.connect(settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def account(client: Client) -> Any:
    """An account whose one channel is easily exhausted, and an endpoint that does not answer."""
    listen(client)
    return client.new_account(voice_channels=1, external_id="crm-1")


def listen(client: Client, **fields: Any) -> Any:
    """Add an endpoint that nothing is sent to, because no worker runs."""
    return client.create("/webhook-endpoints", url="https://1.1.1.1/", **fields)


def told(client: Client, kind: str = "") -> list[Any]:
    """What endpoints are sent of calls, in order."""
    items = client("GET", "/webhook-deliveries?limit=500").json["items"]
    return [
        {"type": one["type"], **one["data"]}
        for one in sorted(items, key=lambda one: one["id"])
        if one["type"] in ("channels.exhausted", "call.refused") and kind in one["type"]
    ]


def a_minute_later(admin: db.Connection) -> None:
    admin.execute(
        "UPDATE provisioner.call_refusals SET told_at = told_at - interval '60 s',"
        " last_at = last_at - interval '60 s'"
    )


def test_exhausted_channels_are_told(
    client: Client, calls: CallNode, worker: db.Connection, account: Any
) -> None:
    calls.place(account["id"], ROME)
    refusals.tell(worker)
    assert told(client) == []
    calls.place(account["id"], ROME)
    refusals.tell(worker)
    (event,) = told(client)
    assert event.pop("at").endswith("Z")
    assert event == {
        "type": "channels.exhausted",
        "id": account["id"],
        "account_id": account["id"],
        "external_id": "crm-1",
        "customer_id": 1,
        "project_id": 1,
        "version": account["generation"],
        "reason": "channels",
        "calls": 1,
        "direction": "out",
        "called": ROME,
        "used": 1,
        "limit": 1,
    }


def test_each_reason_is_told_by_itself(
    client: Client, calls: CallNode, worker: db.Connection, account: Any
) -> None:
    calls.place(account["id"], PREMIUM)
    client("PATCH", "/projects/1/call-policy", {"daily_spend_cap": "0"})
    calls.place(account["id"], ROME)
    client("PATCH", "/projects/1/call-policy", {"daily_spend_cap": None, "calls_per_second": 1})
    client("PATCH", f"/sip-accounts/{account['id']}", {"voice_channels": 50})
    eventually(lambda: calls.place(account["id"], ROME)["reason"] == "Call Rate Exceeded")
    refusals.tell(worker)
    found = [(one["type"], one["reason"], one["called"]) for one in told(client)]
    assert sorted(found) == [
        ("call.refused", "call_rate", ROME),
        ("call.refused", "destination", PREMIUM),
        ("call.refused", "spend_cap", ROME),
    ]
    assert not any("used" in one for one in told(client))


def test_more_of_them_are_told_once_a_minute_with_their_number(
    client: Client, admin: db.Connection, calls: CallNode, worker: db.Connection, account: Any
) -> None:
    calls.place(account["id"], PREMIUM)
    refusals.tell(worker)
    for digit in range(3):
        calls.place(account["id"], PREMIUM[:-1] + str(digit))
        refusals.tell(worker)
    assert [one["calls"] for one in told(client)] == [1]
    a_minute_later(admin)
    for _ in range(2):
        refusals.tell(worker)
    assert [one["calls"] for one in told(client)] == [1, 3]
    assert told(client)[1]["called"] == PREMIUM[:-1] + "2"
    a_minute_later(admin)
    refusals.tell(worker)
    assert len(told(client)) == 2


def test_accounts_do_not_wait_for_each_other(
    client: Client, calls: CallNode, worker: db.Connection, account: Any
) -> None:
    other = client.new_account(OTHER_NUMBER)
    calls.place(account["id"], PREMIUM)
    refusals.tell(worker)
    calls.place(other["id"], PREMIUM)
    refusals.tell(worker)
    assert [one["account_id"] for one in told(client)] == [account["id"], other["id"]]


def test_a_crash_before_the_end_loses_nothing_and_repeats_nothing(
    client: Client,
    calls: CallNode,
    worker: db.Connection,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    calls.place(account["id"], PREMIUM)
    with monkeypatch.context() as patch:
        patch.setattr(guard_store, "refusal_told", crash)
        with pytest.raises(KeyboardInterrupt):
            refusals.tell(worker)
    assert told(client) == []
    calls.place(account["id"], PREMIUM)
    refusals.tell(worker)
    assert [one["calls"] for one in told(client)] == [2]


def test_two_workers_tell_once(
    client: Client,
    settings: Settings,
    calls: CallNode,
    worker: db.Connection,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second one passes over what the first one has begun."""
    calls.place(account["id"], PREMIUM)
    publish = webhook_store.publish
    with db.connect(settings.database_url, autocommit=True) as second:

        def publish_beside_another(*arguments: Any, **more: Any) -> None:
            monkeypatch.setattr(webhook_store, "publish", publish)
            refusals.tell(second)
            publish(*arguments, **more)

        monkeypatch.setattr(webhook_store, "publish", publish_beside_another)
        refusals.tell(worker)
    assert [one["calls"] for one in told(client)] == [1]


def test_calls_go_on_being_refused_while_it_is_told(
    client: Client,
    admin: db.Connection,
    calls: CallNode,
    worker: db.Connection,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is refused between the reading and the clearing waits, and counts for the next."""
    calls.place(account["id"], PREMIUM)
    placing = threading.Thread(target=calls.place, args=(account["id"], PREMIUM))
    publish = webhook_store.publish

    def publish_beside_a_call(*arguments: Any, **more: Any) -> None:
        placing.start()
        eventually(lambda: waiting(admin))
        publish(*arguments, **more)

    monkeypatch.setattr(webhook_store, "publish", publish_beside_a_call)
    refusals.tell(worker)
    placing.join()
    monkeypatch.undo()
    a_minute_later(admin)
    refusals.tell(worker)
    assert [one["calls"] for one in told(client)] == [1, 1]


def waiting(admin: db.Connection) -> bool:
    """Say whether a session of the test's database waits for another."""
    query = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(admin.execute(query).fetchall())


def test_another_customer_is_not_told(
    client: Client, calls: CallNode, worker: db.Connection
) -> None:
    other = client.create("/customers", name="Other")["id"]
    project = client.create("/projects", name="Second", customer_id=1)["id"]
    makers = [{"customer_id": 1}, {"customer_id": other}, {"project_id": project}]
    tokens = [client.create("/tokens", name="x", role="admin", **one)["token"] for one in makers]
    for token in tokens:
        listen(client.bearing(token))
    account = client.new_account()
    calls.place(account["id"], PREMIUM)
    refusals.tell(worker)
    seen = [len(told(client.bearing(token))) for token in tokens]
    assert seen == [1, 0, 0]


def test_an_endpoint_can_ask_for_it_by_type(
    client: Client, calls: CallNode, worker: db.Connection
) -> None:
    listen(client, types=["channels.exhausted"])
    account = client.new_account(voice_channels=1)
    for called in (PREMIUM, ROME, ROME):
        calls.place(account["id"], called)
    refusals.tell(worker)
    assert [one["type"] for one in told(client)] == ["channels.exhausted"]


def test_what_is_old_or_of_a_deleted_account_is_forgotten(
    client: Client, admin: db.Connection, calls: CallNode, worker: db.Connection, account: Any
) -> None:
    gone = client.new_account(OTHER_NUMBER)
    for one in (account, gone):
        calls.place(one["id"], PREMIUM)
    assert client("DELETE", f"/sip-accounts/{gone['id']}").status_code == 204
    refusals.tell(worker)
    assert [one["account_id"] for one in told(client)] == [account["id"]]
    guard_store.prune_refusals(worker)
    count = "SELECT account_id FROM provisioner.call_refusals"
    assert admin.execute(count).fetchall() == [{"account_id": account["id"]}]
    admin.execute("UPDATE provisioner.call_refusals SET last_at = now() - interval '31 days'")
    guard_store.prune_refusals(worker)
    assert admin.execute(count).fetchall() == []


def test_a_running_worker_tells_within_a_second_or_so(
    client: Client, admin: db.Connection, settings: Settings, calls: CallNode
) -> None:
    endpoint = listen(client, types=["call.refused"])
    client("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"active": False})
    account = client.new_account(NUMBER)
    worker = Worker(replace(settings, nodes={}))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        calls.place(account["id"], PREMIUM)
        query = "SELECT data ->> 'called' AS called FROM provisioner.outgoing_events"
        events = eventually(lambda: admin.execute(query).fetchall(), within=10)
        assert events == [{"called": PREMIUM}]
    finally:
        worker.stop()
        thread.join()
