"""Bad input gets a problem that names the field and the rule, and nothing is written."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client

GOOD = {"name": "Office", "main_number": NUMBER, "voice_channels": 2}


def written(admin: db.Connection) -> list[Any]:
    return [
        admin.execute(f"TABLE {table}".encode()).fetchall()
        for table in (
            "provisioner.sip_accounts",
            "provisioner.credentials",
            "provisioner.network_cidrs",
            "kamailio.subscriber",
            "kamailio.address",
        )
    ]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("name", "", "1 to 120 characters"),
        ("name", "   ", "1 to 120 characters"),
        ("name", "x" * 121, "1 to 120 characters"),
        ("name", "a\x00b", "control characters"),
        ("name", "a\ud800b", "control characters"),
        ("name", 5, "valid string"),
        ("name", None, "valid string"),
        ("main_number", "0612345678", "E.164"),
        ("main_number", OTHER_NUMBER, "create it first"),
        ("voice_channels", 0, "greater than or equal to 1"),
        ("voice_channels", 1001, "less than or equal to 1000"),
        ("voice_channels", "2", "valid integer"),
        ("voice_channels", True, "valid integer"),
        ("voice_channels", 1.5, "valid integer"),
        ("tariff", "free", "'pay_per_use' or 'flat'"),
        ("cloudfire_only", "yes", "valid boolean"),
        ("state", "enabled", "not permitted"),
        ("colour", "red", "not permitted"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(
    client: Client, admin: db.Connection, field: str, value: Any, rule: str
) -> None:
    client.new_number()
    before = written(admin)
    answer = client("POST", "/sip-accounts", GOOD | {field: value})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    (fault,) = answer.json["errors"]
    assert fault["pointer"] == f"#/{field}"
    assert rule in fault["detail"]
    assert field in answer.json["detail"]
    assert written(admin) == before


@pytest.mark.parametrize("field", ["name", "main_number", "voice_channels"])
def test_a_missing_field_is_named(client: Client, field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    answer = client("POST", "/sip-accounts", body)
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": f"#/{field}", "detail": "Field required"}]


def test_every_wrong_field_is_named_at_once(client: Client) -> None:
    answer = client("POST", "/sip-accounts", {"name": "", "voice_channels": 0})
    pointers = {fault["pointer"] for fault in answer.json["errors"]}
    assert pointers == {"#/name", "#/main_number", "#/voice_channels"}


def test_a_number_in_use_is_a_conflict(client: Client, admin: db.Connection) -> None:
    client.new_account()
    before = written(admin)
    answer = client("POST", "/sip-accounts", GOOD)
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-taken")
    assert answer.json["errors"][0]["pointer"] == "#/main_number"
    assert written(admin) == before


def test_a_number_linked_to_another_account_is_a_conflict(
    client: Client, admin: db.Connection
) -> None:
    account = client.new_account()
    client.new_number(OTHER_NUMBER)
    admin.execute(
        "UPDATE provisioner.numbers SET account_id = %s WHERE number = %s",
        [account["id"], OTHER_NUMBER],
    )
    answer = client("POST", "/sip-accounts", GOOD | {"main_number": OTHER_NUMBER})
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-taken")


@pytest.mark.parametrize("state", ["ordered", "porting", "ceased"])
def test_a_number_that_is_not_active_cannot_be_used(client: Client, state: str) -> None:
    client.new_number(NUMBER, state)
    answer = client("POST", "/sip-accounts", GOOD)
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-not-active")
    assert answer.json["errors"][0]["pointer"] == "#/main_number"


def test_a_name_in_use_is_a_conflict(client: Client) -> None:
    client.new_account(name="Office")
    client.new_number(OTHER_NUMBER)
    answer = client("POST", "/sip-accounts", GOOD | {"main_number": OTHER_NUMBER})
    assert answer.status_code == 409
    assert answer.json["errors"][0]["pointer"] == "#/name"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b"[" * 100_000,
        b'{"a":' * 5_000,
    ],
)
def test_a_body_that_is_no_json_object_is_malformed(client: Client, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    answer = client.send("POST", "/sip-accounts", headers, data=body)
    assert answer.status_code == 400
    assert answer.json["type"].endswith(":malformed-body")


@pytest.mark.parametrize("action", ["enable", "disable", "link-to-teams", "credentials"])
def test_an_action_takes_no_fields(client: Client, action: str) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    answer = client("POST", f"{path}/{action}", {"force": True})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/force"
    assert client("GET", path).json["generation"] == account["generation"]
    assert client("POST", f"{path}/{action}", {}).status_code == 200


def test_a_body_of_another_type_is_refused(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    answer = client.send("POST", "/numbers", headers, data={"number": NUMBER})
    assert answer.status_code == 415


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    answer = client("POST", "/numbers", {"number": "9" * 2_000_000})
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("cidr", "rule"),
    [
        ("127.0.10.1/24", "host bits"),
        ("127.0.10.0/33", "CIDR"),
        ("localhost", "CIDR"),
        ("", "CIDR"),
        ("0.0.0.0/0", "all addresses"),
        ("::/0", "all addresses"),
        ("fe80::%1/64", "scope"),
        ("::ffff:10.0.0.0/104", "IPv4"),
        ("10.0.0.0/255.0.0.0", "prefix length"),
        (5, "valid string"),
    ],
)
def test_a_wrong_cidr_is_pointed_at(
    client: Client, admin: db.Connection, cidr: Any, rule: str
) -> None:
    before = written(admin)
    answer = client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.11.0/24", cidr]})
    assert answer.status_code == 422
    (fault,) = answer.json["errors"]
    assert fault["pointer"] == "#/cidrs/1"
    assert rule in fault["detail"]
    assert written(admin) == before


@pytest.mark.parametrize("limit", ["0", "501", "x", "", "-1", "١", "0000005000", "9" * 5000])
def test_a_wrong_limit_is_named(client: Client, limit: str) -> None:
    answer = client("GET", f"/sip-accounts?limit={limit}")
    assert answer.status_code == 422
    assert "limit" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/sip-accounts", "/numbers"])
@pytest.mark.parametrize("cursor", ["%25", "abc", "w6k=", "LTE=", "AA=="])
def test_a_wrong_cursor_is_named(client: Client, path: str, cursor: str) -> None:
    answer = client("GET", f"{path}?cursor={cursor}")
    assert answer.status_code == 422
    assert "cursor" in answer.json["detail"]


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "\\n"])
def test_a_cursor_of_what_is_no_name_is_refused(client: Client, name: str) -> None:
    cursor = urlsafe_b64encode(f'["name","{name}",1]'.encode()).decode()
    answer = client("GET", f"/sip-accounts?sort=name&cursor={cursor}")
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/numbers/%00", "/networks/%00", "/sip-accounts/%00"])
def test_a_path_that_no_object_can_have_is_not_found(client: Client, path: str) -> None:
    assert client("GET", path).status_code == 404


def test_an_unknown_path_is_a_problem(client: Client) -> None:
    answer = client("GET", "/phones")
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_wrong_method_says_which_are_right(client: Client) -> None:
    answer = client("PUT", "/sip-accounts", {})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
