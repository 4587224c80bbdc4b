"""Events that go out: signed, at least once, for three days, and nowhere inside."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from provisioner import accounts, db, numbers, queries, webhook_store
from provisioner.access import Role, Via, system_actor
from provisioner.hooks import deliverer, endpoints, sources
from provisioner.hooks.deliverer import Deliverer, upkeep
from provisioner.model import AccountState, NewNumber
from provisioner.settings import Settings
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.receiver import ALLOWED, Receiver, receiver
from tests.system import eventually


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that allow webhooks to one private network."""
    return replace(settings, webhook_networks=(ip_network(ALLOWED),))


@pytest.fixture
def portal() -> Iterator[Receiver]:
    with receiver() as portal:
        yield portal


class Sender:
    """The worker's part that delivers, until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self.stopping = threading.Event()
        self.wake = threading.Event()
        self.deliverer = Deliverer(settings, self.stopping, self.wake.set)
        self.thread = threading.Thread(target=self.run, args=(settings.database_url,))
        self.thread.start()

    def run(self, url: str) -> None:
        with db.connect(url, autocommit=True) as connection:
            while not self.stopping.is_set():
                self.wake.clear()
                self.deliverer.step(connection)
                self.wake.wait(0.05)

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()


@pytest.fixture
def sender(settings: Settings) -> Iterator[Sender]:
    sender = Sender(settings)
    yield sender
    sender.stop()


def endpoint(client: Client, portal: Receiver, *types: str, **fields: Any) -> Any:
    return client.create("/webhook-endpoints", url=portal.url, types=list(types), **fields)


def deliveries(client: Client, query: str = "") -> list[Any]:
    items: list[Any] = client("GET", f"/webhook-deliveries?{query}").json["items"]
    return items


def due_now(admin: db.Connection) -> None:
    """Let time pass until the next attempt."""
    admin.execute("UPDATE provisioner.webhook_deliveries SET next_attempt_at = now()")


# What is sent.


def test_a_change_is_sent_signed(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    secret = endpoint(client, portal)["secret"]
    account = client.new_account(external_id="crm-1")
    client("POST", f"/sip-accounts/{account['id']}/enable")
    (event,) = portal.next("account.enabled")
    assert event.is_signed_with(secret)
    assert event.id.startswith("msg_")
    enabled = client("GET", f"/sip-accounts/{account['id']}").json
    assert event.json["data"]["id"] == account["id"]
    assert event.json["data"]["external_id"] == "crm-1"
    assert event.json["data"]["state"] == "enabled"
    assert event.json["data"]["version"] == enabled["generation"]
    assert portal.next("number.created")[0].json["data"]["number"] == NUMBER
    eventually(lambda: {one["state"] for one in deliveries(client)} == {"delivered"})


def test_what_no_node_has_to_confirm_is_converged_at_once(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    endpoint(client, portal, "account.converged")
    account = client.new_account()
    (event,) = portal.next("account.converged")
    assert event.json["data"]["id"] == account["id"]
    assert event.json["data"]["version"] == account["generation"]


def test_what_a_node_has_to_confirm_is_not_converged_yet(
    client: Client, portal: Receiver, sender: Sender, node: int
) -> None:
    endpoint(client, portal)
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("POST", f"/sip-accounts/{account['id']}/disable")
    portal.next("account.disabled")
    versions = [event.json["data"]["version"] for event in portal.of_type("account.converged")]
    disabled = client("GET", f"/sip-accounts/{account['id']}").json
    assert disabled["generation"] not in versions


def test_a_rotation_is_told_and_the_password_is_not(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    endpoint(client, portal)
    account = client.new_account(external_id="crm-1")
    rotated = client("POST", f"/sip-accounts/{account['id']}/credentials").json
    (event,) = portal.next("credentials.rotated")
    assert event.json["data"]["account_id"] == account["id"]
    assert event.json["data"]["external_id"] == "crm-1"
    sent = str([one.body for one in portal.received])
    stored = str(admin.execute("TABLE provisioner.outgoing_events").fetchall())
    for shown in (account, rotated):
        assert shown["credentials"]["password"] not in sent + stored


def test_an_endpoint_gets_the_types_that_it_asked_for(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    endpoint(client, portal, "account.enabled")
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    portal.next("account.enabled")
    assert {event.json["type"] for event in portal.received} == {"account.enabled"}


def test_a_customer_gets_his_own_events(client: Client, portal: Receiver, sender: Sender) -> None:
    customer = client.create("/customers", name="Bianchi")
    project = client.create("/projects", name="Milan", customer_id=customer["id"])
    token = client.create("/tokens", name="x", role=Role.ADMIN, customer_id=customer["id"])
    endpoint(client.bearing(token["token"]), portal)
    client.new_account()
    client.create("/numbers", number=OTHER_NUMBER, project_id=project["id"])
    (event,) = portal.next("number.created")
    assert event.json["data"]["number"] == OTHER_NUMBER
    assert len(portal.received) == 1


def test_an_event_is_sent_if_and_only_if_its_change_is_committed(
    client: Client, portal: Receiver, settings: Settings, admin: db.Connection
) -> None:
    endpoint(client, portal)
    account = client.new_account()
    before = len(deliveries(client))
    database = db.Database(settings.database_url, size=1)
    actor = system_actor(Via.CLI, "test")

    def enable(*, fails: bool) -> None:
        with database.transaction() as connection:
            accounts.set_state(connection, actor, account["id"], AccountState.ENABLED)
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        enable(fails=True)
    assert len(deliveries(client)) == before
    enable(fails=False)
    assert len(deliveries(client)) == before + 2  # enabled and converged
    database.close()


# While endpoints change.


def test_whoever_changes_an_endpoint_holds_up_no_change_of_an_account(
    client: Client, portal: Receiver, settings: Settings
) -> None:
    made = endpoint(client, portal)
    operator = system_actor(Via.CLI, "test")
    with (
        db.connect(settings.database_url) as other,
        db.connect(settings.database_url) as connection,
    ):
        endpoints.read(other, operator, made["id"], lock=True)
        connection.execute("SET lock_timeout = '1s'")
        make_number(connection)
        assert len(deliveries(client)) == 0
    assert {one["type"] for one in deliveries(client)} == {"number.created"}


def make_number(connection: db.Connection) -> None:
    """Do something that is told of."""
    numbers.create(connection, system_actor(Via.CLI, "test"), NewNumber(number=NUMBER))


@pytest.mark.parametrize("tell", ["publish", "publish_converged", "publish_told"])
def test_an_endpoint_that_is_being_deleted_holds_no_change_back(
    client: Client, portal: Receiver, settings: Settings, tell: str
) -> None:
    made = endpoint(client, portal)
    account = client.new_account(OTHER_NUMBER)
    deleted, done = threading.Event(), threading.Event()

    def delete() -> None:
        with db.connect(settings.database_url) as other:
            endpoints.delete(other, system_actor(Via.CLI, "test"), made["id"])
            deleted.set()
            done.wait(0.5)  # meanwhile the other one waits for this

    thread = threading.Thread(target=delete)
    thread.start()
    deleted.wait()
    with db.connect(settings.database_url) as connection:
        if tell == "publish":
            make_number(connection)
        elif tell == "publish_converged":
            webhook_store.publish_converged(connection, [account["main_number"][1:]])
        else:
            publish_told(connection)
    thread.join()
    assert deliveries(client) == []


def publish_told(connection: db.Connection) -> None:
    """Tell of all numbers as an import does."""
    text = (Path(queries.__file__).parent / "bulk.sql").read_text()
    body = text.partition("-- fragment: publish_told")[2].partition("-- name:")[0]
    told = "SELECT * FROM provisioner.audit_events WHERE type = 'number.created'"
    connection.execute(f"WITH told AS ({told}){body}".encode())


def test_a_replay_goes_on_after_a_batch(
    client: Client, portal: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = endpoint(client, portal, "number.created")
    for index in range(5):
        client.new_number(f"+39061234560{index}")
    monkeypatch.setattr(endpoints, "REPLAY_BATCH", 2)
    replayed = client(
        "POST", f"/webhook-endpoints/{made['id']}/replay", {"since": "2020-01-01T00:00:00Z"}
    )
    assert replayed.json == {"deliveries": 5}


# Retries.


def test_a_failure_is_tried_again_with_the_same_id(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    endpoint(client, portal, "account.enabled")
    account = client.new_account()
    portal.status = 500
    client("POST", f"/sip-accounts/{account['id']}/enable")
    portal.next("account.enabled")
    (failed,) = eventually(lambda: deliveries(client, "state=pending"))
    eventually(lambda: deliveries(client)[0]["last_status"] == 500)
    portal.status = 204
    due_now(admin)
    first, second = portal.next("account.enabled", 2)
    assert (first.id, first.body) == (second.id, second.body)
    eventually(lambda: deliveries(client)[0]["state"] == "delivered")
    log = client("GET", f"/webhook-deliveries/{failed['id']}").json["log"]
    assert [attempt["status"] for attempt in log] == [500, 204]


def test_retries_wait_longer_each_time(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    endpoint(client, portal, "number.created")
    portal.status = 503
    client.new_number()
    waits = []
    for count in range(1, 5):
        portal.next("number.created", count)
        row = eventually(lambda count=count: waiting_after(admin, count))  # type: ignore[misc] # bound for the loop
        waits.append(row["wait"])
        due_now(admin)
    low = [4, 24, 96, 480]
    high = [6, 36, 144, 720]
    assert all(a <= wait <= b for a, wait, b in zip(low, waits, high, strict=True)), waits


def waiting_after(admin: db.Connection, attempts: int) -> Any:
    """The wait in seconds of a delivery whose attempt has been recorded."""
    return admin.execute(
        "SELECT extract(epoch FROM next_attempt_at - at)::float AS wait"
        "  FROM provisioner.webhook_deliveries AS delivery"
        "  JOIN provisioner.webhook_attempts AS attempt ON attempt.delivery_id = delivery.id"
        " WHERE attempts = %s AND last_status IS NOT NULL"
        "   AND (SELECT count(*) FROM provisioner.webhook_attempts) = attempts"
        " ORDER BY attempt.id DESC LIMIT 1",
        [attempts],
    ).fetchone()


def test_after_three_days_a_delivery_is_dead_and_can_be_replayed(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    endpoint(client, portal, "number.created")
    portal.status = 500
    client.new_number()
    portal.next("number.created")
    eventually(lambda: deliveries(client)[0]["last_status"] == 500)
    admin.execute(
        "UPDATE provisioner.webhook_deliveries"
        "   SET due_since = now() - interval '3 days', next_attempt_at = now()"
    )
    (dead,) = eventually(lambda: deliveries(client, "state=dead"))
    assert dead["last_error"] == "answered 500"
    portal.status = 200
    assert client("POST", f"/webhook-deliveries/{dead['id']}/replay").status_code == 200
    eventually(lambda: deliveries(client)[0]["state"] == "delivered")
    assert len({event.id for event in portal.received}) == 1


def test_an_endpoint_that_is_gone_gets_no_more(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    made = endpoint(client, portal, "number.created")
    portal.status = 410
    client.new_number()
    path = f"/webhook-endpoints/{made['id']}"
    eventually(lambda: not client("GET", path).json["active"])
    assert client("GET", path).json["disabled_by"] == "410 Gone"
    client.new_number(OTHER_NUMBER)
    assert len(deliveries(client)) == 1
    portal.status = 204
    assert client("PATCH", path, {"active": True}).json["disabled_by"] is None
    replayed = client("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00Z"})
    assert replayed.json == {"deliveries": 2}
    eventually(lambda: len(deliveries(client, "state=delivered")) == 2)


def test_a_slow_endpoint_keeps_no_other_waiting(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    release = threading.Event()
    with receiver() as slow:
        slow.before_answer = lambda: release.wait(10)
        endpoint(client, slow, "number.created")
        endpoint(client, portal, "number.created")
        client.new_number()
        portal.next("number.created", within=5)
        assert not release.is_set()
        release.set()
        eventually(lambda: len(deliveries(client, "state=delivered")) == 2)


def test_two_workers_send_each_event_once(
    client: Client, portal: Receiver, sender: Sender, settings: Settings
) -> None:
    second = Sender(settings)
    endpoint(client, portal, "number.created")
    for index in range(30):
        client.new_number(f"+3906123456{index:02d}")
    eventually(lambda: len(deliveries(client, "state=delivered&limit=100")) == 30)
    second.stop()
    assert len({event.id for event in portal.received}) == len(portal.received) == 30


# Nobody takes all senders.


def test_who_has_waited_longest_is_the_next(
    client: Client, portal: Receiver, admin: db.Connection
) -> None:
    made = [endpoint(client, portal, "number.created")["id"] for _ in range(3)]
    client.new_number()
    turns = [webhook_store.endpoints_due(admin, [], 1, 16) for _ in range(4)]
    assert turns == [[made[0]], [made[1]], [made[2]], [made[0]]]


def test_a_customer_has_a_part_of_the_senders(
    client: Client, portal: Receiver, admin: db.Connection
) -> None:
    customer = client.create("/customers", name="Bianchi")["id"]
    project = client.create("/projects", name="Milan", customer_id=customer)["id"]
    theirs = [endpoint(client, portal, customer_id=customer)["id"] for _ in range(4)]
    client.create("/numbers", number=NUMBER, project_id=project)
    operators = endpoint(client, portal)["id"]
    client.create("/numbers", number=OTHER_NUMBER, project_id=project)
    due = webhook_store.endpoints_due(admin, theirs[:1], 10, 3)
    assert sorted(due) == [theirs[1], theirs[2], operators]


def test_an_endpoint_makes_room_when_its_turn_is_over(
    client: Client, portal: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "SENDERS", 1)
    monkeypatch.setattr(deliverer, "TURN", 0.0)
    turns: list[str] = []
    with receiver() as other:
        portal.before_answer = lambda: turns.append("first")
        other.before_answer = lambda: turns.append("second")
        for one in (portal, other):
            endpoint(client, one, "number.created")
        for number in (NUMBER, OTHER_NUMBER):
            client.new_number(number)
        sender = Sender(settings)
        eventually(lambda: len(turns) == 4)
        sender.stop()
    assert turns == ["first", "second", "first", "second"]


def test_a_customer_has_so_many_endpoints_and_sources(
    client: Client, portal: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "ENDPOINTS_MAX", 1)
    monkeypatch.setattr(sources, "SOURCES_MAX", 1)
    customer = client.create("/customers", name="Bianchi")["id"]
    bodies = {
        "/webhook-endpoints": {"url": portal.url, "customer_id": customer},
        "/hook-sources": {"name": "x", "customer_id": customer},
    }
    answers = [client("POST", path, body) for path, body in bodies.items() for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409, 201, 409]
    assert answers[1].json["type"].endswith(":too-many-endpoints")
    assert answers[3].json["type"].endswith(":too-many-sources")


# What is written down.


def written(client: Client, kind: str) -> Any:
    """The one audit event of a type."""
    (event,) = client("GET", f"/audit-events?type={kind}").json["items"]
    return event


def test_tests_and_replays_are_written_down(client: Client, portal: Receiver) -> None:
    made = endpoint(client, portal)
    delivery = client("POST", f"/webhook-endpoints/{made['id']}/test").json
    client("POST", f"/webhook-deliveries/{delivery['id']}/replay")
    assert written(client, "webhook_endpoint.tested")["subject_id"] == str(made["id"])
    replayed = written(client, "webhook_delivery.replayed")
    assert replayed["after"] == {"event_id": delivery["event_id"], "state": "pending"}


def test_a_deactivation_by_410_is_written_down_as_the_workers(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    made = endpoint(client, portal, "number.created")
    portal.status = 410
    client.new_number()
    eventually(lambda: not client("GET", f"/webhook-endpoints/{made['id']}").json["active"])
    event = written(client, "webhook_endpoint.updated")
    assert (event["before"]["active"], event["after"]["active"]) == (True, False)
    assert "worker" in str(event)


# Secrets.


def test_after_a_rotation_both_secrets_sign_for_a_day(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    made = endpoint(client, portal, "number.created")
    new = client("POST", f"/webhook-endpoints/{made['id']}/secret").json["secret"]
    client.new_number()
    (event,) = portal.next("number.created")
    assert event.is_signed_with(made["secret"])
    assert event.is_signed_with(new)
    admin.execute(
        "UPDATE provisioner.webhook_endpoint_keys SET expires_at = now()"
        " WHERE expires_at IS NOT NULL"
    )
    client.new_number(OTHER_NUMBER)
    later = portal.next("number.created", 2)[1]
    assert later.is_signed_with(new)
    assert not later.is_signed_with(made["secret"])


def test_secrets_are_shown_once_and_stored_sealed(
    client: Client, portal: Receiver, admin: db.Connection
) -> None:
    made = endpoint(client, portal)
    key = made["secret"].removeprefix("whsec_")
    assert key not in client("GET", "/webhook-endpoints").text
    for table in ("webhook_endpoint_keys", "audit_events", "outgoing_events"):
        rows = admin.execute(f"TABLE provisioner.{table}".encode()).fetchall()
        assert key not in str(rows)


def test_an_endpoint_is_tested_with_a_ping(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    made = endpoint(client, portal, "account.deleted")
    path = f"/webhook-endpoints/{made['id']}"
    delivery = client("POST", f"{path}/test").json
    (ping,) = portal.next("ping")
    assert ping.is_signed_with(made["secret"])
    shown = eventually(
        lambda: client("GET", f"/webhook-deliveries/{delivery['id']}").json.get("log")
    )
    assert shown[0]["status"] == 204
    client("PATCH", path, {"active": False})
    assert client("POST", f"{path}/test").status_code == 409


# Nowhere inside.


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://0x7f000001/",
        "http://1.1.1.1/",
        "https://user:secret@example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "not a url",
        "https://example.com/\u0000",
    ],
)
def test_an_endpoint_inside_is_refused(client: Client, url: str) -> None:
    answer = client("POST", "/webhook-endpoints", {"url": url})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/url"


def test_an_endpoint_whose_name_leads_inside_by_now_is_not_connected_to(
    client: Client, portal: Receiver, sender: Sender, admin: db.Connection
) -> None:
    endpoint(client, portal, "number.created")
    admin.execute(
        "UPDATE provisioner.webhook_endpoints SET url = %s", [f"http://localhost:{portal.port}/"]
    )
    client.new_number()
    eventually(lambda: deliveries(client)[0]["last_error"])
    assert deliveries(client)[0]["last_error"].startswith("address-refused")
    assert portal.received == []


def test_a_redirect_to_the_inside_is_not_followed(
    client: Client, portal: Receiver, sender: Sender
) -> None:
    with receiver() as inside:
        portal.status = 307
        portal.headers = {"Location": inside.url}
        endpoint(client, portal, "number.created")
        client.new_number()
        eventually(lambda: deliveries(client)[0]["last_status"] == 307)
        assert inside.received == []


def test_unknown_types_are_refused(client: Client, portal: Receiver) -> None:
    answer = client(
        "POST", "/webhook-endpoints", {"url": portal.url, "types": ["account.exploded"]}
    )
    assert answer.json["errors"][0]["pointer"] == "#/types/0"


# Old things.


def test_what_is_older_than_thirty_days_is_forgotten_but_for_what_is_pending(
    client: Client, portal: Receiver, settings: Settings, admin: db.Connection
) -> None:
    endpoint(client, portal, "number.created")
    for number in (NUMBER, OTHER_NUMBER):
        client.new_number(number)
    admin.execute("UPDATE provisioner.outgoing_events SET created_at = now() - interval '31 days'")
    admin.execute(
        "UPDATE provisioner.webhook_deliveries SET state = 'delivered'"
        " WHERE id = (SELECT min(id) FROM provisioner.webhook_deliveries)"
    )
    database = db.Database(settings.database_url, size=1)
    upkeep(database, threading.Event())
    upkeep(database, threading.Event())
    database.close()
    (left,) = deliveries(client)
    assert left["state"] == "pending"
