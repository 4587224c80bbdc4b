"""Which calls the guard rails let pass, and who may move them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.calls import CallNode, call_node
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.system import eventually

POLICY = "/projects/1/call-policy"
ROME, LONDON, PREMIUM, SATELLITE = "+390687654321", "+442079460000", "+39899123456", "+881612345678"


@pytest.fixture
def calls(stack: Stack, settings: Settings) -> Iterator[CallNode]:
    with call_node(stack, settings.database_url) as node:
        yield node


@pytest.fixture
def account(client: Client) -> Any:
    account = client.new_account(voice_channels=50)
    client("POST", f"/sip-accounts/{account['id']}/enable")
    return account


def policy(client: Client, **fields: Any) -> Any:
    answer = client("PATCH", POLICY, fields)
    assert answer.status_code == 200, answer.json
    return answer.json


def outcome(decision: Any) -> tuple[int, str]:
    return decision["status"], decision["reason"]


PASSES = (0, "")
NOT_ALLOWED = (403, "Destination Not Allowed")
CAP_REACHED = (403, "Daily Spend Cap Reached")
TOO_FAST = (403, "Call Rate Exceeded")


# Destinations.


def test_premium_and_satellite_numbers_are_blocked_from_the_start(
    calls: CallNode, account: Any
) -> None:
    for called in (PREMIUM, SATELLITE, "+882990000000", "+8701234567"):
        assert outcome(calls.place(account["id"], called)) == NOT_ALLOWED, called
    assert outcome(calls.place(account["id"], ROME)) == PASSES


# Allowed prefixes, blocked ones, the number called.
DESTINATIONS: list[tuple[list[str], list[str], str, tuple[int, str]]] = [
    (["+39"], [], ROME, PASSES),
    (["+39"], [], LONDON, NOT_ALLOWED),
    ([], ["+44"], ROME, PASSES),
    ([], ["+44"], LONDON, NOT_ALLOWED),
    ([], [], PREMIUM, PASSES),
    (["+39"], ["+39899"], PREMIUM, NOT_ALLOWED),
    (["+39899123"], ["+39899"], PREMIUM, PASSES),
    (["+39899123"], ["+39899"], "+39899999999", NOT_ALLOWED),
    (["+39", "+39899123"], ["+39899", "+3989912345"], PREMIUM, NOT_ALLOWED),
    (["+3906"], ["+39"], ROME, PASSES),
    (["+3906"], ["+39"], "+390255501234", NOT_ALLOWED),
    ([ROME], [], ROME, PASSES),
    ([ROME], [], ROME + "0", PASSES),
]


def test_the_longest_prefix_decides(client: Client, calls: CallNode, account: Any) -> None:
    for allowed, blocked, called, expected in DESTINATIONS:
        policy(client, allowed_prefixes=allowed, blocked_prefixes=blocked)
        seen = outcome(calls.place(account["id"], called))
        assert seen == expected, (allowed, blocked, called)


def test_calls_inside_the_service_are_no_destinations(
    client: Client, calls: CallNode, account: Any
) -> None:
    other = client.new_account(OTHER_NUMBER)
    client("POST", f"/sip-accounts/{other['id']}/enable")
    policy(client, allowed_prefixes=["+44"], daily_spend_cap="0.00")
    assert outcome(calls.place(account["id"], OTHER_NUMBER)) == PASSES


def test_a_transfer_to_a_blocked_destination_is_refused(
    client: Client, calls: CallNode, account: Any
) -> None:
    """Whoever can be called could otherwise have it call a premium number."""
    transfer = {"unconditional": {"enabled": True, "target": LONDON}}
    path = f"/sip-accounts/{account['id']}/call-transfer"
    assert client("PUT", path, transfer).status_code == 200
    assert calls.receive(NUMBER)["status"] == 0
    policy(client, blocked_prefixes=["+44"])
    assert calls.receive(NUMBER)["status"] == 480


# The daily spend cap.


def spend(admin: db.Connection, amount: str, running: str, *, days_ago: int = 0) -> None:
    admin.execute(
        "INSERT INTO provisioner.project_spend (project_id, day, amount, running)"
        " VALUES (1, (now() AT TIME ZONE 'Europe/Rome')::date - %s, %s, %s)",
        [days_ago, amount, running],
    )


# What the calls of a day cost, those of them that go on, how many days ago, the cap.
SPENDING = [
    ("49.9999", "0", 0, "50.00", PASSES),
    ("50", "0", 0, "50.00", CAP_REACHED),
    ("0", "50", 0, "50.00", CAP_REACHED),
    ("49.9", "0.1", 0, "50.00", CAP_REACHED),
    ("500", "0", 1, "50.00", PASSES),
    ("0", "0", 0, "0", CAP_REACHED),
    ("500", "0", 0, None, PASSES),
]


def test_no_call_starts_once_the_cap_is_reached(
    client: Client, admin: db.Connection, calls: CallNode, account: Any
) -> None:
    for amount, running, days_ago, cap, expected in SPENDING:
        admin.execute("DELETE FROM provisioner.project_spend")
        spend(admin, amount, running, days_ago=days_ago)
        policy(client, daily_spend_cap=cap)
        seen = outcome(calls.place(account["id"], ROME))
        assert seen == expected, (amount, running, days_ago, cap)


def test_the_policy_shows_what_was_spent_today(client: Client, admin: db.Connection) -> None:
    assert client("GET", POLICY).json["spent_today"] == "0.0000"
    tag = client("GET", POLICY).headers["ETag"]
    spend(admin, "12.3", "0.0456")
    spend(admin, "99", "0", days_ago=1)
    answer = client("GET", POLICY)
    assert answer.json["spent_today"] == "12.3456"
    assert answer.headers["ETag"] == tag


# Calls per second.


def test_calls_a_second_are_limited_for_each_account(
    client: Client, calls: CallNode, account: Any
) -> None:
    other = client.new_account(OTHER_NUMBER, voice_channels=50)
    policy(client, calls_per_second=2)
    began = datetime.now(UTC)
    made = [outcome(calls.place(account["id"], ROME)) for _ in range(8)]
    seconds = int((datetime.now(UTC) - began) / timedelta(seconds=1)) + 2  # those it fell into
    assert {*made} == {PASSES, TOO_FAST}
    assert made.count(PASSES) <= 2 * seconds
    assert outcome(calls.place(other["id"], ROME)) == PASSES
    eventually(lambda: outcome(calls.place(account["id"], ROME)) == PASSES)


# Emergency calls.


def test_an_emergency_call_passes_all_of_them(
    client: Client, admin: db.Connection, calls: CallNode
) -> None:
    account = client.new_account(voice_channels=1)
    assert outcome(calls.place(account["id"], ROME)) == PASSES
    spend(admin, "1", "0")
    policy(client, allowed_prefixes=["+44"], daily_spend_cap="0", calls_per_second=1)
    for _ in range(3):
        assert outcome(calls.place(account["id"], "112", emergency=True)) == PASSES
    assert refusals(admin) == {}


# Refusals are counted.


def refusals(admin: db.Connection) -> dict[str, Any]:
    rows = admin.execute("SELECT * FROM provisioner.call_refusals").fetchall()
    return {row["reason"]: row for row in rows}


def test_each_refusal_is_counted_by_its_reason(
    client: Client, admin: db.Connection, calls: CallNode
) -> None:
    account = client.new_account(voice_channels=1)
    client("POST", f"/sip-accounts/{account['id']}/enable")
    for called in (PREMIUM, SATELLITE):
        calls.place(account["id"], called)
    calls.place(account["id"], ROME)
    calls.place(account["id"], ROME)
    assert outcome(calls.receive(NUMBER)) == (486, "Busy Here")
    policy(client, daily_spend_cap="0")
    calls.place(account["id"], LONDON)
    found = refusals(admin)
    assert {reason: row["calls"] for reason, row in found.items()} == {
        "destination": 2,
        "channels": 2,
        "spend_cap": 1,
    }
    assert found["destination"]["called"] == SATELLITE
    assert (found["channels"]["direction"], found["channels"]["called"]) == ("in", NUMBER)


# Who may move them, and how.


def test_a_policy_is_what_was_set(client: Client) -> None:
    before = client("GET", POLICY).json
    assert (before["daily_spend_cap"], before["calls_per_second"]) == (None, 20)
    assert before["allowed_prefixes"] == []
    assert {"+39899", "+881"} <= {*before["blocked_prefixes"]}
    fields = {
        "allowed_prefixes": ["+39", "+44"],
        "blocked_prefixes": ["+39899"],
        "daily_spend_cap": "50.00",
        "calls_per_second": 5,
    }
    assert policy(client, **fields) == fields | {"spent_today": "0.0000"}
    assert client("GET", POLICY).json == fields | {"spent_today": "0.0000"}
    assert policy(client, daily_spend_cap="7.5")["daily_spend_cap"] == "7.50"
    assert policy(client, daily_spend_cap=None)["blocked_prefixes"] == ["+39899"]


def test_a_change_is_in_the_audit_trail_once(client: Client) -> None:
    for _ in range(2):
        policy(client, daily_spend_cap="50.00")
    (event,) = client("GET", "/audit-events?type=call_policy.updated").json["items"]
    assert (event["subject"], event["subject_id"], event["project_id"]) == ("project", "1", 1)
    assert event["before"]["daily_spend_cap"] is None
    assert event["after"]["daily_spend_cap"] == "50.00"


def test_a_policy_is_changed_only_while_it_is_what_the_client_saw(client: Client) -> None:
    tag = client("GET", POLICY).headers["ETag"]
    assert client("PATCH", POLICY, {"calls_per_second": 3}, If_Match=tag).status_code == 200
    assert client("PATCH", POLICY, {"calls_per_second": 4}, If_Match=tag).status_code == 412


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"allowed_prefixes": ["39"]}, "/allowed_prefixes/0", "must be + and 1 to 15 digits"),
    ({"allowed_prefixes": [""]}, "/allowed_prefixes/0", "must be + and 1 to 15 digits"),
    ({"blocked_prefixes": ["+39", "+"]}, "/blocked_prefixes/1", "must be + and 1 to 15 digits"),
    ({"blocked_prefixes": ["+" + "3" * 16]}, "/blocked_prefixes/0", "1 to 15 digits"),
    ({"blocked_prefixes": ["+3\u0669"]}, "/blocked_prefixes/0", "1 to 15 digits"),
    ({"blocked_prefixes": ["+39", "+39"]}, "/blocked_prefixes", "must not name a prefix twice"),
    ({"blocked_prefixes": [f"+3{i:03}" for i in range(201)]}, "/blocked_prefixes", "200"),
    ({"allowed_prefixes": ["+39899"]}, "/allowed_prefixes", "+39899"),
    ({"allowed_prefixes": None}, "/allowed_prefixes", "list"),
    ({"daily_spend_cap": 50}, "/daily_spend_cap", "must be an amount in euro as text"),
    ({"daily_spend_cap": "50,00"}, "/daily_spend_cap", "must be an amount in euro"),
    ({"daily_spend_cap": "-1"}, "/daily_spend_cap", "must be an amount in euro"),
    ({"daily_spend_cap": "1.005"}, "/daily_spend_cap", "must be an amount in euro"),
    ({"daily_spend_cap": "99999999999"}, "/daily_spend_cap", "must be an amount in euro"),
    ({"daily_spend_cap": "NaN"}, "/daily_spend_cap", "must be an amount in euro"),
    ({"calls_per_second": 0}, "/calls_per_second", "1"),
    ({"calls_per_second": 1001}, "/calls_per_second", "1000"),
    ({"spent_today": "0"}, "/spent_today", ""),
]


def test_a_fault_is_named_by_field_and_rule(client: Client) -> None:
    before = client("GET", POLICY).json
    for fields, pointer, rule in FAULTS:
        answer = client("PATCH", POLICY, fields)
        assert answer.status_code == 422, fields
        (fault,) = answer.json["errors"]
        assert fault["pointer"] == f"#{pointer}", fields
        assert rule in fault["detail"], fields
    assert client("GET", POLICY).json == before


def test_the_largest_policy_can_be_stored(client: Client) -> None:
    lists = {
        "allowed_prefixes": [f"+4{i:03}" for i in range(200)],
        "blocked_prefixes": [f"+3{i:03}" for i in range(200)],
    }
    changed = policy(client, daily_spend_cap="9999999999.99", calls_per_second=1000, **lists)
    assert Decimal(changed["daily_spend_cap"]) == Decimal("9999999999.99")


def test_no_token_of_a_customer_can_unlock_premium_numbers(client: Client) -> None:
    for role in Role:
        token = client.create("/tokens", name="stolen", role=role, customer_id=1)["token"]
        member = client.bearing(token)
        assert member("PATCH", POLICY, {"blocked_prefixes": []}).status_code == 403, role
        assert member("GET", POLICY).status_code == 200, role
