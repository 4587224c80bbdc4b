"""Where an account's calls go when it does not take them: the manual's rules, and what Kamailio
reads of them.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client

TARGET = "+390687654321"
ON = {"enabled": True, "target": TARGET}
OFF = {"enabled": False, "target": None}


@pytest.fixture
def path(client: Client) -> str:
    return f"/sip-accounts/{client.new_account()['id']}/call-transfer"


def in_kamailio(admin: db.Connection) -> list[tuple[Any, ...]]:
    found = admin.execute(
        "SELECT condition, target, after_seconds FROM kamailio.call_transfer ORDER BY condition"
    ).fetchall()
    return [tuple(row.values()) for row in found]


def test_a_new_account_transfers_nothing(client: Client, path: str, admin: db.Connection) -> None:
    answer = client("GET", path)
    assert answer.json == {"unconditional": OFF, "no_answer": OFF, "unreachable": OFF}
    assert in_kamailio(admin) == []


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"unconditional": ON}, [("unconditional", TARGET, 0)]),
        ({"no_answer": ON}, [("no_answer", TARGET, 20)]),
        ({"unreachable": ON}, [("unreachable", TARGET, 0)]),
        (
            {"no_answer": ON, "unreachable": {"enabled": True, "target": "+390687654322"}},
            [("no_answer", TARGET, 20), ("unreachable", "+390687654322", 0)],
        ),
        (
            {"unconditional": ON, "no_answer": ON | {"enabled": False}},
            [("unconditional", TARGET, 0)],
        ),
        ({"unconditional": ON | {"enabled": False}, "no_answer": ON}, [("no_answer", TARGET, 20)]),
        ({"unreachable": {"target": TARGET}}, [("unreachable", TARGET, 0)]),
        ({}, []),
    ],
)
def test_the_manuals_combinations_are_taken(
    client: Client, path: str, admin: db.Connection, body: Any, rows: Any
) -> None:
    answer = client("PUT", path, body)
    assert answer.status_code == 200
    assert in_kamailio(admin) == rows
    assert client("GET", path).json == answer.json


@pytest.mark.parametrize("other", ["no_answer", "unreachable"])
def test_all_calls_and_some_calls_contradict_each_other(
    client: Client, path: str, admin: db.Connection, other: str
) -> None:
    answer = client("PUT", path, {"unconditional": ON, other: ON})
    assert answer.status_code == 422
    assert answer.json["type"].endswith(":transfer-contradictory")
    assert in_kamailio(admin) == []


def test_the_database_refuses_the_contradiction_too(
    client: Client, path: str, admin: db.Connection
) -> None:
    client("PUT", path, {"unconditional": ON})
    with pytest.raises(psycopg.errors.CheckViolation):
        admin.execute(
            "UPDATE provisioner.call_transfers SET no_answer_enabled = true,"
            " no_answer_target = '+390687654321'"
        )


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("0687654321", "E.164"),
        ("+0687654321", "E.164"),
        ("sip:x@example.org", "E.164"),
        ("+39 06 87654321", "E.164"),
        ("", "E.164"),
        ("112", "emergency"),
        ("+39112", "emergency"),
        ("0039112", "emergency"),
        ("+39116000", "emergency"),
        ("118", "emergency"),
        (NUMBER, "own numbers"),
        (OTHER_NUMBER, "own numbers"),
        (None, "must be given"),
    ],
)
@pytest.mark.parametrize("condition", ["unconditional", "no_answer", "unreachable"])
def test_a_wrong_target_is_pointed_at(
    client: Client, path: str, admin: db.Connection, target: Any, rule: str, condition: str
) -> None:
    client.new_number(OTHER_NUMBER)
    client("PUT", path.replace("call-transfer", f"numbers/{OTHER_NUMBER}"))
    answer = client("PUT", path, {condition: {"enabled": True, "target": target}})
    assert answer.status_code == 422
    (fault,) = answer.json["errors"]
    assert fault["pointer"] == f"#/{condition}/target"
    assert rule in fault["detail"]
    assert in_kamailio(admin) == []


def test_a_target_that_is_off_follows_the_rules_too(client: Client, path: str) -> None:
    answer = client("PUT", path, {"no_answer": {"enabled": False, "target": "112"}})
    assert answer.status_code == 422


# Loops


def transferring(client: Client, number: str, target: str, condition: str = "unconditional") -> Any:
    """Transfer the calls of the account on a number, made where there is none."""
    found = client("GET", f"/sip-accounts?number=%2B{number[1:]}").json["items"]
    account = found[0] if found else client.new_account(number)
    path = f"/sip-accounts/{account['id']}/call-transfer"
    return client("PUT", path, {condition: {"target": target}})


A, B, C = "+390600000001", "+390600000002", "+390600000003"


def test_a_loop_of_two_is_refused(client: Client) -> None:
    assert transferring(client, A, B).status_code == 200
    answer = transferring(client, B, A, "no_answer")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":transfer-loop")
    assert answer.json["errors"][0]["pointer"] == "#/no_answer/target"


def test_a_loop_of_three_is_refused(client: Client) -> None:
    assert transferring(client, A, B).status_code == 200
    assert transferring(client, B, C, "unreachable").status_code == 200
    assert transferring(client, C, A, "no_answer").status_code == 409


def test_a_loop_through_an_additional_number_is_refused(client: Client) -> None:
    client.new_number(OTHER_NUMBER)
    account = client.new_account(A)
    client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}")
    assert transferring(client, B, OTHER_NUMBER).status_code == 200
    assert transferring(client, A, B).status_code == 409


def test_a_loop_that_is_off_is_none(client: Client) -> None:
    assert transferring(client, A, B).status_code == 200
    account = client.new_account(B)
    path = f"/sip-accounts/{account['id']}/call-transfer"
    body = {"unconditional": {"enabled": False, "target": A}}
    assert client("PUT", path, body).status_code == 200
    body["unconditional"]["enabled"] = True
    assert client("PUT", path, body).status_code == 409


def test_linking_a_number_closes_no_loop(client: Client) -> None:
    assert transferring(client, A, OTHER_NUMBER).status_code == 200
    client.new_number(OTHER_NUMBER)
    account = client("GET", "/sip-accounts").json["items"][0]
    answer = client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":transfer-loop")


def test_two_transfers_at_once_close_no_loop(client: Client) -> None:
    for number in (A, B):
        client.new_account(number)
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            pairs = [(A, B), (B, A)]
            answers = list(pool.map(lambda pair: transferring(client, *pair), pairs))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        for number in (A, B):
            account = client("GET", f"/sip-accounts?number=%2B{number[1:]}").json["items"][0]
            client("PUT", f"/sip-accounts/{account['id']}/call-transfer", {})


def test_a_loop_outside_is_followed_to_its_end(client: Client) -> None:
    """One that existed before this rule must not keep a request busy."""
    assert transferring(client, A, B).status_code == 200
    client.new_account(B)
    account = client("GET", f"/sip-accounts?number=%2B{B[1:]}").json["items"][0]
    client("PUT", f"/sip-accounts/{account['id']}/call-transfer", {"no_answer": {"target": C}})
    assert transferring(client, C, TARGET).status_code == 200


def test_deleting_erases_the_transfer(client: Client, path: str, admin: db.Connection) -> None:
    client("PUT", path, {"unreachable": ON})
    assert client("DELETE", path.removesuffix("/call-transfer")).status_code == 204
    assert in_kamailio(admin) == []
    assert admin.execute("SELECT FROM provisioner.call_transfers").fetchall() == []
