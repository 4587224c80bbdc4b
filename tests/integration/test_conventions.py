"""What holds for all of the API: idempotency keys, entity tags, rate limits, request ids, lists."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from provisioner import db
from provisioner.api.context import Services
from provisioner.app import create_app
from provisioner.settings import Settings
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Answer, Client

ACCOUNT = {"name": "Front desk", "main_number": NUMBER, "voice_channels": 2}


# Idempotency-Key


def test_a_repeated_post_is_done_once(client: Client) -> None:
    first = client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")
    again = client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_repeated_answer_omits_the_password(client: Client, admin: db.Connection) -> None:
    client.new_number()
    first = client("POST", "/sip-accounts", ACCOUNT, Idempotency_Key="k1").json
    again = client("POST", "/sip-accounts", ACCOUNT, Idempotency_Key="k1").json
    password = first["credentials"].pop("password")
    assert again == first
    assert password not in str(
        admin.execute("SELECT * FROM provisioner.idempotency_keys").fetchall()
    )


def test_a_repeated_answer_omits_the_token(client: Client) -> None:
    body = {"name": "Portal", "role": "sales"}
    first = client("POST", "/tokens", body, Idempotency_Key="k1").json
    assert first.pop("token")
    assert client("POST", "/tokens", body, Idempotency_Key="k1").json == first


def test_a_repeated_action_is_answered_as_the_first_time(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    enabled = client("POST", f"{path}/enable", Idempotency_Key="k1").json
    client("POST", f"{path}/disable")
    assert client("POST", f"{path}/enable", Idempotency_Key="k1").json == enabled
    assert client("GET", path).json["state"] == "disabled"


def test_a_key_belongs_to_one_request(client: Client) -> None:
    client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")
    for path, body in (("/numbers", {"number": OTHER_NUMBER}), ("/projects", {"number": NUMBER})):
        answer = client("POST", path, body, Idempotency_Key="k1")
        assert answer.status_code == 422
    assert client("GET", f"/numbers/{OTHER_NUMBER}").status_code == 404


def test_a_key_belongs_to_one_token(client: Client) -> None:
    client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")
    other = client.bearing(client.create("/tokens", name="x", role="admin")["token"])
    answer = other("POST", "/numbers", {"number": OTHER_NUMBER}, Idempotency_Key="k1")
    assert answer.status_code == 201


def test_a_refused_request_can_be_tried_again_with_its_key(client: Client) -> None:
    refused = client("POST", "/sip-accounts", ACCOUNT, Idempotency_Key="k1")
    assert refused.status_code == 422
    client.new_number()
    assert client("POST", "/sip-accounts", ACCOUNT, Idempotency_Key="k1").status_code == 201


def test_twenty_requests_with_one_key_at_once_are_done_once(client: Client) -> None:
    def send(_: int) -> Answer:
        return client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1


def test_a_key_is_free_again_after_a_day(client: Client, admin: db.Connection) -> None:
    client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k1")
    admin.execute("UPDATE provisioner.idempotency_keys SET created_at = now() - interval '25 h'")
    answer = client("POST", "/numbers", {"number": OTHER_NUMBER}, Idempotency_Key="k1")
    assert answer.status_code == 201


def test_a_key_that_is_too_long_is_refused(client: Client) -> None:
    answer = client("POST", "/numbers", {"number": NUMBER}, Idempotency_Key="k" * 256)
    assert answer.status_code == 422


# ETag, If-Match


def test_a_change_by_someone_else_is_noticed(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    seen = client("GET", path).headers["ETag"]
    assert client("PATCH", path, {"voice_channels": 3}, If_Match=seen).status_code == 200
    late = client("PATCH", path, {"voice_channels": 4}, If_Match=seen)
    assert late.status_code == 412
    assert late.json["type"].endswith(":precondition-failed")
    assert client("GET", path).json["voice_channels"] == 3


@pytest.mark.parametrize("action", ["enable", "disable", "link-to-teams", "credentials"])
def test_actions_take_if_match_too(client: Client, action: str) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    assert client("POST", f"{path}/{action}", If_Match='"other"').status_code == 412
    seen = client("GET", path).headers["ETag"]
    assert client("POST", f"{path}/{action}", If_Match=f'"other", {seen}').status_code == 200


def test_a_deletion_takes_if_match_too(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    assert client("DELETE", path, If_Match='"other"').status_code == 412
    assert client("DELETE", path, If_Match="*").status_code == 204


def test_a_change_answers_with_the_new_tag(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    changed = client("PATCH", path, {"voice_channels": 3}).headers["ETag"]
    assert client("GET", path).headers["ETag"] == changed


def test_a_tag_does_not_depend_on_convergence(
    client: Client, node: int, admin: db.Connection
) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    client("POST", f"{path}/enable")
    before = client("POST", f"{path}/disable")
    admin.execute("DELETE FROM provisioner.pending_kicks")
    after = client("GET", path)
    assert before.json["convergence"] != after.json["convergence"]
    assert before.headers["ETag"] == after.headers["ETag"]


def test_what_the_client_has_is_not_sent_again(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    tag = client("GET", path).headers["ETag"]
    answer = client("GET", path, If_None_Match=tag)
    assert (answer.status_code, answer.text) == (304, "")
    client("PATCH", path, {"voice_channels": 3})
    assert client("GET", path, If_None_Match=tag).status_code == 200


# Rate limit


@pytest.fixture
def limited(settings: Settings, client: Client) -> Iterator[Client]:
    """The API with three requests a minute."""
    app = create_app(replace(settings, rate_limit=3))
    yield Client(app.test_client(), client.token)
    services: Services = app.extensions["provisioner"]
    services.database.close()


def test_too_many_requests_are_refused_and_say_when_to_come_back(limited: Client) -> None:
    left = [limited("GET", "/numbers").headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = limited("GET", "/numbers")
    assert answer.status_code == 429
    assert answer.json["type"].endswith(":too-many-requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Limit"] == "3"


def test_each_token_has_a_limit_of_its_own(client: Client, limited: Client) -> None:
    other = limited.bearing(client.create("/tokens", name="x", role="admin")["token"])
    for _ in range(4):
        limited("GET", "/numbers")
    assert other("GET", "/numbers").status_code == 200


# Request ids


def test_a_request_keeps_its_id(client: Client, admin: db.Connection) -> None:
    answer = client("POST", "/numbers", {"number": NUMBER}, X_Request_Id="portal-4711")
    assert answer.headers["X-Request-Id"] == "portal-4711"
    (event,) = client("GET", "/audit-events?request_id=portal-4711").json["items"]
    assert event["type"] == "number.created"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "é"])
def test_an_unusable_id_is_replaced(client: Client, sent: str) -> None:
    answer = client("GET", "/numbers/1", X_Request_Id=sent)
    assert answer.headers["X-Request-Id"] not in ("", sent)
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


# Lists


@pytest.fixture
def three(client: Client) -> list[str]:
    """Three accounts: their names in the order of creation."""
    names = ["Charlie", "Alpha", "Bravo"]
    for i, name in enumerate(names):
        client.new_account(f"+39061234567{i}", name=name, external_id=f"crm-{i}")
    return names


def names_of(answer: Answer) -> list[str]:
    return [item["name"] for item in answer.json["items"]]


def pages(client: Client, path: str) -> list[str]:
    """Follow a list to its end."""
    found: list[str] = []
    following: Any = f"/api/v1{path}"
    while following:
        answer = client("GET", following.removeprefix("/api/v1"))
        assert answer.status_code == 200, answer.json
        found += names_of(answer)
        following = answer.json["next"]
    return found


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", ["Charlie", "Alpha", "Bravo"]),
        ("-id", ["Bravo", "Alpha", "Charlie"]),
        ("name", ["Alpha", "Bravo", "Charlie"]),
        ("-name", ["Charlie", "Bravo", "Alpha"]),
        ("main_number", ["Charlie", "Alpha", "Bravo"]),
        ("-main_number", ["Bravo", "Alpha", "Charlie"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_lists_are_sorted_page_after_page(
    client: Client, three: list[str], sort: str, expected: list[str], limit: int
) -> None:
    assert pages(client, f"/sip-accounts?sort={sort}&limit={limit}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=lph", ["Alpha"]),
        ("q=ALPHA", ["Alpha"]),
        ("q=4567", ["Charlie", "Alpha", "Bravo"]),
        ("q=%2B390612345672", ["Bravo"]),
        ("q=%25", []),
        ("q=_", []),
        ("q='", []),
        ("number=%2B390612345671", ["Alpha"]),
        ("external_id=crm-1", ["Alpha"]),
        ("external_id=crm", []),
        ("state=disabled", ["Charlie", "Alpha", "Bravo"]),
        ("state=enabled", []),
        ("project=1", ["Charlie", "Alpha", "Bravo"]),
        ("project=999", []),
        ("customer=1&q=r&sort=name", ["Bravo", "Charlie"]),
    ],
)
def test_lists_are_filtered(
    client: Client, three: list[str], query: str, expected: list[str]
) -> None:
    assert names_of(client("GET", f"/sip-accounts?{query}")) == expected


def test_an_additional_number_finds_its_account(client: Client, three: list[str]) -> None:
    client.new_number(OTHER_NUMBER + "9")
    account = client("GET", "/sip-accounts?q=Alpha").json["items"][0]
    client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}9")
    found = client("GET", f"/sip-accounts?number=%2B{OTHER_NUMBER[1:]}9")
    assert names_of(found) == ["Alpha"]


def test_a_cursor_carries_the_longest_name(client: Client) -> None:
    names = ["\U0001f4de" * 119 + last for last in ("a", "b")]
    for i, name in enumerate(names):
        client.new_account(f"+39061234567{i}", name=name)
    assert pages(client, "/sip-accounts?sort=name&limit=1") == names


def test_a_cursor_belongs_to_its_order(client: Client, three: list[str]) -> None:
    following = client("GET", "/sip-accounts?sort=name&limit=1").json["next"]
    wrong = following.removeprefix("/api/v1").replace("sort=name", "sort=id")
    answer = client("GET", wrong)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize("query", ["colour=red", "limit=1&limit=2", "sort=state", "q=%00", "q="])
def test_a_parameter_that_is_none_is_named(client: Client, query: str) -> None:
    answer = client("GET", f"/sip-accounts?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_times_are_rfc_3339_in_utc(client: Client) -> None:
    account = client.new_account()
    for field in ("created_at", "changed_at"):
        assert account[field].endswith("Z")
        assert len(account[field]) == len("2026-01-31T12:00:01.042Z")
