"""Events of the operator's portal: applied once, in any order, never against a person's will."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.app import create_app
from provisioner.hooks import incoming
from provisioner.hooks.signature import new_secret, sign
from provisioner.settings import Settings
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.hooks import PATH, Portal, ago


@pytest.fixture
def portal(client: Client) -> Portal:
    source = client.create("/hook-sources", name="Portal")
    return Portal(client, source["secret"])


def events(admin: db.Connection) -> list[Any]:
    return admin.execute("SELECT * FROM provisioner.incoming_events ORDER BY id").fetchall()


def facts(admin: db.Connection) -> Any:
    """All that hooks have made, without ids and times."""
    accounts = admin.execute(
        "SELECT external_id, name, main_number, voice_channels, tariff, state"
        "  FROM provisioner.sip_accounts ORDER BY external_id"
    ).fetchall()
    numbers = admin.execute(
        "SELECT number, state, account_id IS NULL AS free FROM provisioner.numbers ORDER BY number"
    ).fetchall()
    subscribers = admin.execute("SELECT count(*) FROM kamailio.subscriber").fetchall()
    return accounts, numbers, subscribers


# The types.


def test_an_account_is_created_disabled_and_without_a_password(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    client.new_number()
    account = portal.create(name="Front desk", tariff="flat")
    assert (account["name"], account["state"], account["tariff"]) == (
        "Front desk",
        "disabled",
        "flat",
    )
    assert account["has_credentials"] is False
    shown = client("POST", f"/sip-accounts/{account['id']}/credentials").json
    assert shown["credentials"]["password"]


def test_an_account_follows_its_events_until_it_is_deleted(portal: Portal, client: Client) -> None:
    client.new_number()
    portal.create()
    portal.apply("account.enabled", external_id="crm-1")
    assert portal.account()["state"] == "enabled"
    portal.apply("account.teams_linked", external_id="crm-1")
    assert portal.account()["state"] == "linked_to_teams"
    portal.apply("account.updated", external_id="crm-1", name="Reception", voice_channels=7)
    account = portal.account()
    assert (account["name"], account["voice_channels"]) == ("Reception", 7)
    assert account["state"] == "linked_to_teams"
    portal.apply("account.disabled", external_id="crm-1")
    portal.apply("account.deleted", external_id="crm-1")
    assert portal.account() is None
    assert client("GET", f"/numbers/{NUMBER}").json["account_id"] is None


def test_an_enabled_account_is_disabled_and_deleted(portal: Portal, client: Client) -> None:
    client.new_number()
    portal.create()
    portal.apply("account.enabled", external_id="crm-1")
    portal.apply("account.deleted", external_id="crm-1")
    assert portal.account() is None


def test_what_else_is_in_the_way_of_a_deletion_rejects_it(portal: Portal, client: Client) -> None:
    client.new_number()
    account = portal.create()
    client.new_number(OTHER_NUMBER)
    client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}")
    portal.apply("account.enabled", external_id="crm-1")
    answer = portal.send("account.deleted", external_id="crm-1").json
    assert (answer["status"], answer["code"]) == ("rejected", "deletion-refused")
    assert portal.account()["state"] == "enabled"


def test_an_account_is_known_by_its_id_too(portal: Portal, client: Client) -> None:
    account = client.new_account()
    portal.apply("account.enabled", id=account["id"])
    assert client("GET", f"/sip-accounts/{account['id']}").json["state"] == "enabled"


def test_its_id_and_its_external_id_mean_the_same_account(portal: Portal, client: Client) -> None:
    client.new_number()
    account = portal.create()
    portal.apply("account.disabled", id=account["id"], version=5)
    late = portal.send("account.enabled", external_id="crm-1", version=4).json
    assert late["status"] == "superseded"
    assert portal.account()["state"] == "disabled"


def test_numbers_are_created_and_go_through_their_states(portal: Portal, client: Client) -> None:
    portal.apply("number.created", number=NUMBER, state="ordered", external_id="n-1")
    portal.apply("number.updated", external_id="n-1", state="active")
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == "active"
    portal.apply("number.ceased", number=NUMBER)
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == "ceased"
    refused = portal.send("number.updated", number=NUMBER, state="active").json
    assert (refused["status"], refused["code"]) == ("rejected", "number-transition-refused")


def test_a_ping_is_answered(portal: Portal, admin: db.Connection) -> None:
    answer = portal.post('{"type": "ping"}', "msg_1")
    assert (answer.status_code, answer.json) == (200, {"id": "msg_1", "status": "pong"})
    assert events(admin) == []


# Once.


def test_an_event_that_is_sent_again_changes_nothing(portal: Portal, client: Client) -> None:
    client.new_number()
    portal.create()
    first = portal.send("account.enabled", external_id="crm-1", webhook_id="msg_1", at=ago())
    client("POST", f"/sip-accounts/{portal.account()['id']}/disable")
    body = '{"type": "account.enabled", "timestamp": "2026-01-01T00:00:00Z", "data": {}}'
    assert first.json["status"] == "applied"
    assert portal.post(body.replace("{}", '{"external_id": "crm-1", "version": 2}'), "msg_1")
    assert portal.account()["state"] == "disabled"


def test_the_same_id_with_another_body_is_a_conflict(portal: Portal, client: Client) -> None:
    client.new_number()
    portal.create()
    at = ago()
    sent: dict[str, Any] = {"external_id": "crm-1", "version": 2, "webhook_id": "msg_1", "at": at}
    assert portal.send("account.enabled", **sent).status_code == 200
    assert portal.send("account.enabled", **sent).json["status"] == "applied"
    other = portal.send("account.disabled", **sent)
    assert (other.status_code, other.json["type"]) == (
        409,
        "urn:provisioner:problem:webhook-id-reused",
    )
    assert portal.account()["state"] == "enabled"


def test_twenty_at_once_with_one_id_are_one(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    client.new_number()
    event = {
        "type": "account.created",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "external_id": "crm-1",
            "version": 1,
            "name": "Front desk",
            "main_number": NUMBER,
            "voice_channels": 2,
        },
    }
    answers = at_once([lambda: portal.post(json.dumps(event), "msg_1")] * 20)
    assert [answer.json["status"] for answer in answers] == ["applied"] * 20
    assert len(events(admin)) == 1
    made = admin.execute(
        "SELECT count(*) AS made FROM provisioner.audit_events WHERE type = 'account.created'"
    ).fetchone()
    assert made == {"made": 1}


def at_once(calls: list[Any]) -> list[Any]:
    """Call all at the same time, and return what they return."""
    answers: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        barrier.wait()
        answers[index] = calls[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_restart_between_two_sends_makes_no_difference(
    portal: Portal, client: Client, settings: Settings, admin: db.Connection
) -> None:
    client.new_number()
    portal.create()
    sent: dict[str, Any] = {
        "external_id": "crm-1",
        "version": 2,
        "webhook_id": "msg_1",
        "at": ago(),
    }
    portal.send("account.enabled", **sent)
    app = create_app(settings)
    again = Portal(Client(app.test_client(), client.token), portal.secret)
    assert again.send("account.enabled", **sent).json["status"] == "applied"
    assert again.send("account.disabled", **sent).status_code == 409
    assert len(events(admin)) == 2
    app.extensions["provisioner"].database.close()


# In any order.

STORY: list[tuple[str, dict[str, Any]]] = [
    ("number.created", {"number": NUMBER, "version": 1, "state": "ordered"}),
    ("number.updated", {"number": NUMBER, "version": 2, "state": "active"}),
    (
        "account.created",
        {
            "external_id": "crm-1",
            "version": 3,
            "name": "Front desk",
            "main_number": NUMBER,
            "voice_channels": 2,
        },
    ),
    ("account.updated", {"external_id": "crm-1", "version": 4, "voice_channels": 5}),
    ("account.enabled", {"external_id": "crm-1", "version": 5}),
    ("account.disabled", {"external_id": "crm-1", "version": 6}),
]
AGAIN: list[tuple[str, dict[str, Any]]] = [
    STORY[2],
    ("account.enabled", {"external_id": "crm-1", "version": 4}),
    ("account.deleted", {"external_id": "crm-1", "version": 5}),
    (
        "account.created",
        {
            "external_id": "crm-1",
            "version": 6,
            "name": "Reception",
            "main_number": OTHER_NUMBER,
            "voice_channels": 3,
        },
    ),
    ("account.teams_linked", {"external_id": "crm-1", "version": 7}),
]


def tell(client: Client, admin: db.Connection, story: Any, prefix: str) -> Any:
    """Send a story, each event once, and return what it ends in; then forget all of it."""
    portal = Portal(client, client.create("/hook-sources", name=prefix)["secret"])
    for index, (kind, data) in enumerate(story):
        answer = portal.send(kind, webhook_id=f"{prefix}-{index}", **data)
        assert answer.status_code == 200, answer.json
    ended = facts(admin)
    for table in (
        "incoming_events",
        "hook_subjects",
        "sip_accounts",
        "numbers",
        "pending_kicks",
    ):
        if table == "sip_accounts":
            admin.execute("UPDATE provisioner.numbers SET account_id = NULL")
        admin.execute(b"SET session_replication_role = replica")
        admin.execute(f"DELETE FROM provisioner.{table}".encode())  # noqa: S608 - named above
    return ended


def test_any_order_of_a_story_ends_in_the_same_state(client: Client, admin: db.Connection) -> None:
    expected = tell(client, admin, STORY, "in-order")
    assert expected[0][0]["voice_channels"] == 5
    assert expected[0][0]["state"] == "disabled"
    orders = list(permutations(STORY))[::71]
    for index, order in enumerate(orders):
        assert tell(client, admin, order, f"order-{index}") == expected, order


def test_any_order_of_two_accounts_of_one_name_ends_in_the_second(
    client: Client, admin: db.Connection
) -> None:
    for index, order in enumerate(list(permutations(AGAIN))[::11]):
        for number in (NUMBER, OTHER_NUMBER):
            client.new_number(number)
        (account,), numbers, _ = tell(client, admin, order, f"order-{index}")
        assert (account["name"], account["state"]) == ("Reception", "linked_to_teams"), order
        assert [number["free"] for number in numbers] == [True, False]


def test_an_event_waits_for_the_creation_of_its_subject(portal: Portal, client: Client) -> None:
    client.new_number()
    early = portal.send("account.enabled", external_id="crm-1", version=2)
    assert (early.status_code, early.json["status"]) == (200, "waiting")
    portal.create(version=1)
    assert portal.account()["state"] == "enabled"
    (event,) = client("GET", "/hook-events?type=account.enabled").json["items"]
    assert event["status"] == "applied"


def test_a_late_event_never_revives_a_disabled_account(portal: Portal, client: Client) -> None:
    client.new_number()
    portal.create()
    portal.apply("account.disabled", external_id="crm-1", version=9)
    late = portal.send("account.enabled", external_id="crm-1", version=8).json
    assert late["status"] == "superseded"
    assert portal.account()["state"] == "disabled"


def test_an_account_whose_number_comes_later_is_created_then(
    portal: Portal, client: Client
) -> None:
    fields: dict[str, Any] = {"name": "Front desk", "main_number": NUMBER, "voice_channels": 2}
    early = portal.send("account.created", external_id="crm-1", **fields).json
    assert (early["status"], early["code"]) == ("rejected", "number-unknown")
    portal.apply("number.created", number=NUMBER)
    assert portal.account()["main_number"] == NUMBER


def test_a_number_that_is_made_elsewhere_is_met_by_the_next_round(
    portal: Portal, client: Client
) -> None:
    fields: dict[str, Any] = {"name": "Front desk", "main_number": NUMBER, "voice_channels": 2}
    portal.send("account.created", external_id="crm-1", **fields)
    client.new_number()
    incoming.retry_blocked(client.http.application.extensions["provisioner"].database)
    assert portal.account()["main_number"] == NUMBER


@pytest.mark.parametrize("how", ["deactivated", "deleted"])
def test_what_a_refused_source_has_sent_is_not_tried_again(
    portal: Portal, client: Client, how: str
) -> None:
    fields: dict[str, Any] = {"name": "Front desk", "main_number": NUMBER, "voice_channels": 2}
    portal.send("account.created", external_id="crm-1", **fields)
    (source,) = client("GET", "/hook-sources").json["items"]
    path = f"/hook-sources/{source['id']}"
    if how == "deleted":
        client("DELETE", path)
    else:
        client("PATCH", path, {"active": False})
    client.new_number()
    incoming.retry_blocked(client.http.application.extensions["provisioner"].database)
    assert portal.account() is None


def test_an_event_that_cannot_be_tried_keeps_no_other_waiting(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    for name, number in (("crm-1", NUMBER), ("crm-2", OTHER_NUMBER)):
        fields: dict[str, Any] = {"name": name, "main_number": number, "voice_channels": 2}
        portal.send("account.created", external_id=name, **fields)
    admin.execute(
        'UPDATE provisioner.incoming_events SET data = data || \'{"tariff": "no tariff"}\''
        " WHERE data ->> 'external_id' = 'crm-1'"
    )
    for number in (NUMBER, OTHER_NUMBER):
        client.new_number(number)
    incoming.retry_blocked(client.http.application.extensions["provisioner"].database)
    assert portal.account("crm-1") is None
    assert portal.account("crm-2")["main_number"] == OTHER_NUMBER


def test_an_event_makes_other_customers_events_wait_for_the_worker(
    portal: Portal, client: Client, customer: Any
) -> None:
    theirs = Portal(
        client, client.create("/hook-sources", name="x", customer_id=customer["id"])["secret"]
    )
    fields: dict[str, Any] = {"name": "Theirs", "main_number": NUMBER, "voice_channels": 2}
    assert theirs.send("account.created", external_id="a", **fields).json["status"] == "rejected"
    portal.apply("number.created", number=NUMBER, project_id=customer["project_id"])
    assert portal.account("a") is None
    incoming.retry_blocked(client.http.application.extensions["provisioner"].database)
    assert portal.account("a")["name"] == "Theirs"


# What people do meanwhile.


def test_fields_that_an_event_does_not_name_stay_as_a_person_left_them(
    portal: Portal, client: Client
) -> None:
    client.new_number()
    account = portal.create()
    client("PATCH", f"/sip-accounts/{account['id']}", {"name": "Mine", "voice_channels": 9})
    portal.apply("account.updated", external_id="crm-1", voice_channels=3)
    account = portal.account()
    assert (account["name"], account["voice_channels"]) == ("Mine", 3)


def test_an_event_that_has_not_seen_a_persons_change_is_a_conflict(
    portal: Portal, client: Client
) -> None:
    client.new_number()
    account = portal.create()
    seen = account["generation"]
    client("PATCH", f"/sip-accounts/{account['id']}", {"name": "Mine"})
    answer = portal.send("account.updated", external_id="crm-1", name="Theirs", generation=seen)
    assert answer.json["status"] == "conflict"
    assert portal.account()["name"] == "Mine"
    (event,) = client("GET", "/hook-events?status=conflict").json["items"]
    applied = client("POST", f"/hook-events/{event['id']}/apply")
    assert (applied.status_code, applied.json["status"]) == (200, "applied")
    assert portal.account()["name"] == "Theirs"


def test_changes_that_hooks_made_meanwhile_are_no_conflict(portal: Portal, client: Client) -> None:
    client.new_number()
    seen = portal.create()["generation"]
    portal.apply("account.updated", external_id="crm-1", name="B")
    portal.apply("account.updated", external_id="crm-1", name="C", generation=seen)
    assert portal.account()["name"] == "C"


def test_what_a_person_disabled_is_not_revived_by_an_event_from_before(
    portal: Portal, client: Client
) -> None:
    client.new_number()
    account = portal.create()
    portal.apply("account.enabled", external_id="crm-1")
    client("POST", f"/sip-accounts/{account['id']}/disable")
    for kind in ("account.enabled", "account.teams_linked"):
        late = portal.send(kind, external_id="crm-1", at=ago(minutes=1)).json
        assert late["status"] == "conflict"
    assert portal.account()["state"] == "disabled"
    portal.apply("account.enabled", external_id="crm-1", at=datetime.now(UTC) + timedelta(1))
    assert portal.account()["state"] == "enabled"


def test_what_a_person_deleted_is_not_brought_back_by_an_event_from_before(
    portal: Portal, client: Client
) -> None:
    client.new_number()
    account = portal.create()
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 204
    fields: dict[str, Any] = {"name": "Back", "main_number": NUMBER, "voice_channels": 2}
    late = portal.send("account.created", external_id="crm-1", at=ago(minutes=1), **fields).json
    assert late["status"] == "conflict"
    assert portal.account() is None
    assert portal.create(name="New")["state"] == "disabled"


def test_a_creation_does_not_reset_what_somebody_here_has_created(
    portal: Portal, client: Client
) -> None:
    account = client.new_account(external_id="crm-1")
    client("POST", f"/sip-accounts/{account['id']}/enable")
    fields: dict[str, Any] = {"name": "x", "main_number": NUMBER, "voice_channels": 2}
    answer = portal.send("account.created", external_id="crm-1", **fields).json
    assert answer["status"] == "conflict"
    assert portal.account()["state"] == "enabled"


def test_a_dismissed_event_never_counts(portal: Portal, client: Client) -> None:
    client.new_number()
    account = portal.create()
    client("PATCH", f"/sip-accounts/{account['id']}", {"name": "Mine"})
    sent: dict[str, Any] = {
        "external_id": "crm-1",
        "version": 5,
        "generation": account["generation"],
    }
    event = portal.send("account.updated", name="Theirs", **sent).json
    path = f"/hook-events/{event['event_id']}"
    assert client("POST", f"{path}/dismiss").json["status"] == "dismissed"
    assert client("POST", f"{path}/apply").status_code == 409
    portal.apply("account.updated", external_id="crm-1", voice_channels=3, version=6)
    assert portal.account()["name"] == "Mine"


def test_a_rejected_event_can_be_applied_once_its_reason_is_gone(
    portal: Portal, client: Client
) -> None:
    client.new_number()
    account = portal.create()
    client.new_number(OTHER_NUMBER)
    link = f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}"
    client("PUT", link)
    event = portal.send("account.deleted", external_id="crm-1").json
    client("DELETE", link)
    assert client("POST", f"/hook-events/{event['event_id']}/apply").json["status"] == "applied"
    assert portal.account() is None


# Whose.


@pytest.fixture
def customer(client: Client) -> Any:
    made = client.create("/customers", name="Bianchi")
    project = client.create("/projects", name="Milan", customer_id=made["id"])
    made["project_id"] = project["id"]
    made["token"] = client.create(
        "/tokens", name="Bianchi", role=Role.ADMIN, customer_id=made["id"]
    )["token"]
    return made


def test_a_customers_source_touches_its_own_objects_only(
    portal: Portal, client: Client, customer: Any
) -> None:
    client.new_number()
    account = portal.create()
    source = client.create("/hook-sources", name="Theirs", customer_id=customer["id"])
    theirs = Portal(client, source["secret"])
    for name in ({"id": account["id"]}, {"external_id": "crm-1"}):
        answer = theirs.send("account.enabled", **name).json
        assert answer["status"] == "waiting"
    fields: dict[str, Any] = {"name": "x", "main_number": NUMBER, "voice_channels": 1}
    answer = theirs.send("account.created", external_id="crm-1", **fields).json
    assert (answer["status"], answer["code"]) == ("rejected", "number-unknown")
    assert portal.account()["state"] == "disabled"
    assert theirs.send("number.created", number=OTHER_NUMBER).status_code == 403


def test_a_customers_source_creates_in_its_own_project(
    portal: Portal, client: Client, customer: Any
) -> None:
    client.create("/numbers", number=NUMBER, project_id=customer["project_id"])
    source = client.bearing(customer["token"]).create("/hook-sources", name="Theirs")
    assert source["customer_id"] == customer["id"]
    theirs = Portal(client, source["secret"])
    account = theirs.create(project_id=customer["project_id"])
    assert account["customer_id"] == customer["id"]


def test_a_customer_sees_the_events_of_his_own_sources(
    portal: Portal, client: Client, customer: Any
) -> None:
    portal.send("account.enabled", external_id="crm-1")
    member = client.bearing(customer["token"])
    assert member("GET", "/hook-events").json["items"] == []
    assert member("GET", "/hook-sources").json["items"] == []
    (event,) = client("GET", "/hook-events").json["items"]
    assert member("POST", f"/hook-events/{event['id']}/apply").status_code == 404


@pytest.mark.parametrize("decision", ["apply", "dismiss"])
def test_a_token_of_one_project_decides_nothing(
    client: Client, customer: Any, decision: str
) -> None:
    source = client.create("/hook-sources", name="Theirs", customer_id=customer["id"])
    event = Portal(client, source["secret"]).send("account.enabled", external_id="crm-1").json
    client("POST", f"/hook-events/{event['event_id']}/dismiss")
    token = client.create("/tokens", name="x", role=Role.ADMIN, project_id=customer["project_id"])[
        "token"
    ]
    limited = client.bearing(token)
    answers = [
        limited("POST", f"/hook-events/{event_id}/{decision}")
        for event_id in (event["event_id"], 999_999_999)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert client("GET", f"/hook-events/{event['event_id']}").json["status"] == "dismissed"


# Keys.


def test_a_key_is_shown_once_and_never_stored_in_clear_text(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    assert portal.secret.startswith("whsec_")
    assert portal.secret not in client("GET", "/hook-sources").text
    key = portal.secret.removeprefix("whsec_")
    for table in ("hook_source_keys", "audit_events", "idempotency_keys"):
        rows = admin.execute(f"TABLE provisioner.{table}".encode()).fetchall()
        assert key not in str(rows)


def test_keys_rotate_without_a_gap(portal: Portal, client: Client) -> None:
    (source,) = client("GET", "/hook-sources").json["items"]
    path = f"/hook-sources/{source['id']}/keys"
    new = Portal(client, client.create(path)["secret"])
    for sender in (portal, new):
        assert sender.post('{"type": "ping"}').status_code == 200
    assert client("DELETE", f"{path}/{source['keys'][0]['id']}").status_code == 204
    assert portal.post('{"type": "ping"}').status_code == 401
    assert new.post('{"type": "ping"}').status_code == 200


def test_what_became_of_a_source_is_written_down(portal: Portal, client: Client) -> None:
    (source,) = client("GET", "/hook-sources").json["items"]
    path = f"/hook-sources/{source['id']}"
    first = source["keys"][0]["id"]
    client("PATCH", path, {"active": False})
    second = client.create(f"{path}/keys")["keys"][1]["id"]
    client("DELETE", f"{path}/keys/{first}")
    client("DELETE", path)
    facts = {"id": source["id"], "name": "Portal"}
    states = [
        None,
        {**facts, "active": True, "keys": [first]},
        {**facts, "active": False, "keys": [first]},
        {**facts, "active": False, "keys": [first, second]},
        {**facts, "active": False, "keys": [second]},
        None,
    ]
    log = client("GET", "/audit-events?subject=hook_source&sort=id").json["items"]
    assert [(event["before"], event["after"]) for event in log] == list(pairwise(states))


def test_a_source_that_is_deleted_is_refused_and_its_events_stay(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    portal.send("account.enabled", external_id="crm-1")
    (source,) = client("GET", "/hook-sources").json["items"]
    assert client("DELETE", f"/hook-sources/{source['id']}").status_code == 204
    assert portal.post('{"type": "ping"}').status_code == 401
    assert len(client("GET", "/hook-events").json["items"]) == 1


# Hostile senders.

GOOD = (
    '{"type": "account.enabled", "timestamp": "2026-01-01T00:00:00Z",'
    ' "data": {"id": 1, "version": 1}}'
)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"5", 400),
        (b"\xff\xfe", 400),
        (b'{"type": "ping", "type": "ping"}', 400),
        (b'{"type": "ping", "x": NaN}', 400),
        (b'{"type": "ping", "x": 1e999}', 200),
        (b'{"type":"ping","x":' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 40_000 + b"1" + b"}" * 40_000, 400),
        (b"{}", 422),
        (b'{"type": 5}', 422),
        (b'{"type": "account.exploded"}', 422),
        (b'{"type": "account.enabled"}', 422),
        (b'{"type": "account.enabled", "timestamp": 5, "data": {"id": 1, "version": 1}}', 422),
        (GOOD.replace("2026", "0001").encode(), 422),
        (GOOD.replace("Z", "").encode(), 422),
        (GOOD.replace('"id": 1, ', "").encode(), 422),
        (GOOD.replace('"version": 1', '"version": -1').encode(), 422),
        (GOOD.replace('"version": 1', '"version": 9223372036854775808').encode(), 422),
        (GOOD.replace('"id": 1', '"external_id": "\\u0000"').encode(), 422),
        (GOOD.replace('"id": 1', '"external_id": "\\ud800"').encode(), 422),
        (b'{"type": "ping", "x": "' + b"x" * 256 * 1024 + b'"}', 413),
    ],
    ids=range(24),
)
def test_a_hostile_body_gets_a_problem_and_leaves_nothing(
    portal: Portal, admin: db.Connection, body: bytes, status: int
) -> None:
    answer = portal.post(body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.mimetype == "application/problem+json"
    assert events(admin) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"webhook_id": ""}, 401),
        ({"webhook_id": "é"}, 401),
        ({"webhook_timestamp": "nan"}, 401),
        ({"webhook_timestamp": "1600000000"}, 401),
        ({"webhook_signature": "v1"}, 401),
        ({"webhook_signature": "v1,%%%"}, 401),
        ({"webhook_signature": "v1," + "A" * 43 + "="}, 401),
    ],
)
def test_an_odd_or_wrong_signature_is_refused(
    portal: Portal, admin: db.Connection, headers: Mapping[str, str], status: int
) -> None:
    answer = portal.post(GOOD, **headers)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert events(admin) == []


def test_without_a_signature_or_with_an_unknown_key_nothing_is_taken(
    portal: Portal, client: Client, admin: db.Connection
) -> None:
    assert client.http.post(PATH, data=GOOD).status_code == 401
    stranger = Portal(client, new_secret())
    assert stranger.post(GOOD).status_code == 401
    old = sign([portal.secret], "msg_1", GOOD, ago(minutes=6))
    assert client.http.post(PATH, data=GOOD, headers=old).status_code == 401
    assert events(admin) == []


def test_an_old_message_costs_no_work_of_the_database(portal: Portal, client: Client) -> None:
    client.http.application.extensions["provisioner"].database.close()
    old = sign([portal.secret], "msg_1", GOOD, ago(minutes=6))
    assert client.http.post(PATH, data=GOOD, headers=old).status_code == 401


def test_each_faulty_field_is_pointed_at(portal: Portal) -> None:
    answer = portal.send("account.created", external_id="crm-1", name="", main_number="06")
    pointers = [fault["pointer"] for fault in answer.json["errors"]]
    assert pointers == ["#/data/name", "#/data/main_number", "#/data/voice_channels"]


def test_a_field_that_nobody_knows_is_refused_where_it_would_be_lost(portal: Portal) -> None:
    answer = portal.send("account.updated", external_id="crm-1", voice_chanels=3)
    assert answer.json["errors"][0]["pointer"] == "#/data/voice_chanels"
    assert portal.send("account.enabled", external_id="crm-1", why="paid").status_code == 200
