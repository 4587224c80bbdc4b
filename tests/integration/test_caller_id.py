"""Which number an account presents, and what Kamailio reads of it."""

from typing import Any

import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client


@pytest.fixture
def path(client: Client) -> str:
    """The path of an account with an additional number."""
    path = f"/sip-accounts/{client.new_account()['id']}"
    client.new_number(OTHER_NUMBER)
    assert client("PUT", f"{path}/numbers/{OTHER_NUMBER}").status_code == 200
    return path


def in_kamailio(admin: db.Connection) -> list[tuple[Any, ...]]:
    found = admin.execute(
        "SELECT destination_prefix, number FROM kamailio.caller_id ORDER BY destination_prefix"
    ).fetchall()
    return [tuple(row.values()) for row in found]


def test_without_a_rule_there_is_none(client: Client, path: str, admin: db.Connection) -> None:
    assert client("GET", f"{path}/caller-id-rules").json == {"items": [], "next": None}
    assert in_kamailio(admin) == []


def test_an_account_presents_one_of_its_other_numbers(
    client: Client, path: str, admin: db.Connection
) -> None:
    rule = client.create(f"{path}/caller-id-rules", number=OTHER_NUMBER)
    assert rule["destination_prefix"] == ""
    assert client("GET", f"{path}/caller-id-rules").json["items"] == [rule]
    assert in_kamailio(admin) == [("", OTHER_NUMBER)]


def test_a_number_can_be_hidden_from_some(client: Client, path: str, admin: db.Connection) -> None:
    client.create(f"{path}/caller-id-rules", number=OTHER_NUMBER)
    client.create(f"{path}/caller-id-rules", number=None, destination_prefix="+44")
    client.create(f"{path}/caller-id-rules", number=NUMBER, destination_prefix="+4420")
    assert in_kamailio(admin) == [("", OTHER_NUMBER), ("+44", None), ("+4420", NUMBER)]


def test_a_rule_is_removed(client: Client, path: str, admin: db.Connection) -> None:
    rule = client.create(f"{path}/caller-id-rules", number=None)
    assert client("DELETE", f"{path}/caller-id-rules/{rule['id']}").status_code == 204
    assert client("DELETE", f"{path}/caller-id-rules/{rule['id']}").status_code == 404
    assert in_kamailio(admin) == []


def test_only_the_accounts_own_numbers_can_be_presented(client: Client, path: str) -> None:
    client.new_number("+390600000001")
    for number in ("+390600000001", "+390600000002"):
        answer = client("POST", f"{path}/caller-id-rules", {"number": number})
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == "#/number"


def test_there_is_one_rule_for_a_prefix(client: Client, path: str) -> None:
    client.create(f"{path}/caller-id-rules", number=None)
    answer = client("POST", f"{path}/caller-id-rules", {"number": OTHER_NUMBER})
    assert answer.status_code == 409
    assert answer.json["errors"][0]["pointer"] == "#/destination_prefix"


@pytest.mark.parametrize("prefix", ["39", "+", "+0", "+39a", "*", "+1234567890123456", None])
def test_a_wrong_prefix_is_pointed_at(client: Client, path: str, prefix: Any) -> None:
    body = {"number": None, "destination_prefix": prefix}
    answer = client("POST", f"{path}/caller-id-rules", body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/destination_prefix"


def test_a_number_that_a_rule_presents_stays_linked(client: Client, path: str) -> None:
    rule = client.create(f"{path}/caller-id-rules", number=OTHER_NUMBER)
    answer = client("DELETE", f"{path}/numbers/{OTHER_NUMBER}")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-in-caller-id-rule")
    client("DELETE", f"{path}/caller-id-rules/{rule['id']}")
    assert client("DELETE", f"{path}/numbers/{OTHER_NUMBER}").status_code == 204


def test_a_refused_deletion_lists_all_that_is_in_the_way(client: Client, path: str) -> None:
    rule = client.create(f"{path}/caller-id-rules", number=OTHER_NUMBER)
    client("POST", f"{path}/enable")
    answer = client("DELETE", path)
    assert answer.status_code == 409
    reasons = {reason["code"]: reason["items"] for reason in answer.json["reasons"]}
    assert reasons == {
        "account_not_disabled": ["enabled"],
        "numbers_linked": [OTHER_NUMBER],
        "caller_id_rules": [rule["id"]],
    }


def test_kamailio_finds_the_account_of_each_number(
    client: Client, path: str, admin: db.Connection
) -> None:
    found = admin.execute("SELECT number, username FROM kamailio.did ORDER BY number").fetchall()
    assert [tuple(row.values()) for row in found] == [
        (NUMBER, "390612345678"),
        (OTHER_NUMBER, "390612345678"),
    ]
