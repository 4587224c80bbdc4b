"""An account's calls in progress, its channels, and why its calls are refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.calls import CallNode, call_node
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.system import eventually

ROME, LONDON, PREMIUM = "+390687654321", "+442079460000", "+39899123456"


@pytest.fixture
def calls(stack: Stack, settings: Settings) -> Iterator[CallNode]:
    with call_node(stack, settings.database_url) as node:
        yield node


@pytest.fixture
def account(client: Client) -> Any:
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    return account


def path(account: Any) -> str:
    return f"/sip-accounts/{account['id']}"


def live(client: Client, account: Any) -> list[Any]:
    items: list[Any] = client("GET", f"{path(account)}/calls").json["items"]
    return items


def channels(client: Client, account: Any) -> Any:
    return client("GET", path(account)).json["channels"]


# Calls in progress.


def test_a_call_is_shown_until_it_ends(client: Client, calls: CallNode, account: Any) -> None:
    assert (live(client, account), channels(client, account)["used"]) == ([], 0)
    call = calls.place(account["id"], ROME)["call"]
    (ringing,) = live(client, account)
    assert ringing.pop("started_at").endswith("Z")
    assert ringing.pop("id") > 0
    assert ringing == {
        "direction": "out",
        "caller": NUMBER,
        "called": ROME,
        "state": "ringing",
        "answered_at": None,
        "node": "node1",
        "transferred": False,
        "emergency": False,
    }
    calls.answer(call)
    (answered,) = live(client, account)
    assert answered["state"] == "answered"
    assert answered["answered_at"] >= answered["started_at"]
    assert channels(client, account) == {"used": 1, "limit": 2}
    calls.end(call)
    assert (live(client, account), channels(client, account)["used"]) == ([], 0)


def test_both_accounts_of_a_call_see_their_own_part(
    client: Client, calls: CallNode, account: Any
) -> None:
    other = client.new_account(OTHER_NUMBER)
    client("POST", f"{path(other)}/enable")
    calls.place(account["id"], OTHER_NUMBER)
    for one, direction in ((account, "out"), (other, "in")):
        (leg,) = live(client, one)
        assert (leg["direction"], leg["caller"], leg["called"]) == (direction, NUMBER, OTHER_NUMBER)


def test_a_transferred_call_is_shown_with_the_channel_that_it_occupies(
    client: Client, calls: CallNode, account: Any
) -> None:
    transfer = {"unconditional": {"enabled": True, "target": LONDON}}
    assert client("PUT", f"{path(account)}/call-transfer", transfer).status_code == 200
    calls.receive(NUMBER)
    seen = [(leg["direction"], leg["transferred"]) for leg in live(client, account)]
    assert seen == [("in", False), ("out", True)]
    assert channels(client, account)["used"] == 1


def test_an_emergency_call_is_marked(client: Client, calls: CallNode, account: Any) -> None:
    calls.place(account["id"], "112", emergency=True)
    assert [leg["emergency"] for leg in live(client, account)] == [True]


def test_calls_come_a_page_at_a_time(client: Client, calls: CallNode) -> None:
    account = client.new_account(voice_channels=3)
    for _ in range(3):
        calls.place(account["id"], ROME)
    whole = [leg["id"] for leg in live(client, account)]
    first = client("GET", f"{path(account)}/calls?limit=2").json
    rest = client("GET", first["next"].removeprefix("/api/v1")).json
    assert [leg["id"] for leg in first["items"] + rest["items"]] == whole
    assert (len(whole), rest["next"]) == (3, None)


def test_a_node_that_is_not_heard_of_has_no_calls(
    client: Client, admin: db.Connection, calls: CallNode, account: Any
) -> None:
    """While the database has just started, nodes have not had the time to tell of themselves."""
    calls.place(account["id"], ROME)
    admin.execute("UPDATE kamailio.node_leases SET expires = now() - interval '1 s'")
    eventually(lambda: live(client, account) == [], within=25)
    assert channels(client, account)["used"] == 0
    calls.connection.execute("SELECT renew_lease(%s)", [calls.name])
    assert len(live(client, account)) == channels(client, account)["used"] == 1


def test_another_customer_sees_none_of_it(client: Client, calls: CallNode, account: Any) -> None:
    other = client.create("/customers", name="Other")["id"]
    calls.place(account["id"], ROME)
    for role in Role:
        token = client.create("/tokens", name="x", role=role, customer_id=other)["token"]
        answer = client.bearing(token)("GET", f"{path(account)}/calls")
        assert answer.status_code == (404 if role in _SEE_CALLS else 403), role
        assert ROME not in answer.text


_SEE_CALLS = {Role.ADMIN, Role.ACCOUNTING, Role.TECHNICIAN}


def test_lists_of_accounts_have_their_channels(
    client: Client, calls: CallNode, account: Any
) -> None:
    client.new_account(OTHER_NUMBER, voice_channels=7)
    calls.place(account["id"], ROME)
    items = client("GET", "/sip-accounts").json["items"]
    assert [one["channels"] for one in items] == [
        {"used": 1, "limit": 2},
        {"used": 0, "limit": 7},
    ]


def test_a_call_does_not_stand_in_the_way_of_a_change(
    client: Client, calls: CallNode, account: Any
) -> None:
    tag = client("GET", path(account)).headers["ETag"]
    calls.place(account["id"], ROME)
    assert client("PATCH", path(account), {"name": "x"}, If_Match=tag).status_code == 200


# Why calls are refused.


def diagnosis(client: Client, account: Any) -> Any:
    return client("GET", f"{path(account)}/diagnosis").json


def verdict(client: Client, account: Any) -> tuple[bool, str]:
    answer = diagnosis(client, account)
    return answer["can_call"], answer["call_verdict"]


def problems(client: Client, account: Any) -> list[str]:
    findings = diagnosis(client, account)["call_findings"]
    return [finding["code"] for finding in findings if not finding["ok"]]


def test_nothing_has_been_refused(client: Client, account: Any) -> None:
    assert verdict(client, account) == (True, "never_refused")
    assert problems(client, account) == []


def test_what_refuses_calls_is_named_until_it_is_put_right(
    client: Client, admin: db.Connection, calls: CallNode, account: Any
) -> None:
    policy = "/projects/1/call-policy"
    calls.place(account["id"], PREMIUM)
    assert verdict(client, account) == (True, "destination_not_allowed")
    assert PREMIUM in diagnosis(client, account)["call_detail"]
    assert problems(client, account) == ["call_refused_destination"]

    client("PATCH", policy, {"daily_spend_cap": "0"})
    calls.place(account["id"], ROME)
    assert verdict(client, account) == (False, "spend_cap_reached")

    client("PATCH", policy, {"daily_spend_cap": "1", "blocked_prefixes": []})
    assert verdict(client, account) == (True, "refused_before")
    assert problems(client, account) == []

    for _ in range(3):
        calls.place(account["id"], ROME)
    assert verdict(client, account) == (False, "channels_in_use")
    assert problems(client, account) == ["channels_in_use", "call_refused_channels"]
    client("PATCH", path(account), {"voice_channels": 3})
    assert verdict(client, account) == (True, "refused_before")


def test_the_answer_about_registering_stays_as_it_is(
    client: Client, calls: CallNode, account: Any
) -> None:
    before = diagnosis(client, account)
    calls.place(account["id"], PREMIUM)
    for _ in range(3):
        calls.place(account["id"], ROME)
    after = diagnosis(client, account)
    for field in ("can_register", "verdict", "detail", "findings"):
        assert after[field] == before[field]
    assert after["call_findings"] != before["call_findings"]
