import pytest

from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client


def test_a_number_is_created(client: Client) -> None:
    answer = client("POST", "/numbers", {"number": NUMBER, "state": "active"})
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/numbers/{NUMBER}"
    assert answer.json["number"] == NUMBER
    assert answer.json["account_id"] is None


def test_a_number_that_exists_is_a_conflict(client: Client) -> None:
    client.new_number()
    answer = client("POST", "/numbers", {"number": NUMBER})
    assert answer.status_code == 409
    assert answer.json["errors"][0]["pointer"] == "#/number"


def test_a_number_is_read_with_the_account_that_uses_it(client: Client) -> None:
    account = client.new_account()
    assert client("GET", f"/numbers/{NUMBER}").json["account_id"] == account["id"]


def test_an_unknown_number_is_not_found(client: Client) -> None:
    assert client("GET", f"/numbers/{NUMBER}").status_code == 404


def test_numbers_are_listed_a_page_at_a_time(client: Client) -> None:
    for number in (NUMBER, OTHER_NUMBER):
        client.new_number(number)
    first = client("GET", "/numbers?limit=1")
    assert [item["number"] for item in first.json["items"]] == [NUMBER]
    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'
    second = client("GET", first.json["next"].removeprefix("/api/v1"))
    assert [item["number"] for item in second.json["items"]] == [OTHER_NUMBER]
    assert second.json["next"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (["ordered", "porting", "active", "ceased", "ordered"], 200),
        (["ordered", "active"], 200),
        (["active", "active"], 200),
        (["active", "ordered"], 409),
        (["ceased", "active"], 409),
        (["porting", "ordered"], 409),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_a_number_goes_through_its_states(client: Client, path: list[str], status: int) -> None:
    client.new_number(NUMBER, path[0])
    for state in path[1:]:
        answer = client("PATCH", f"/numbers/{NUMBER}", {"state": state})
    assert answer.status_code == status
    expected = path[-1] if status == 200 else path[-2]
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == expected


def test_a_number_in_use_stays_active(client: Client) -> None:
    client.new_account()
    answer = client("PATCH", f"/numbers/{NUMBER}", {"state": "ceased"})
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-in-use")


def test_choosable_numbers_are_active_and_unlinked(client: Client) -> None:
    client.new_account()
    client.new_number(OTHER_NUMBER)
    client.new_number("+390600000001", "ordered")
    found = client("GET", "/numbers?choosable=true").json["items"]
    assert [item["number"] for item in found] == [OTHER_NUMBER]
    ordered = client("GET", "/numbers?state=ordered").json["items"]
    assert [item["number"] for item in ordered] == ["+390600000001"]


def test_a_wrong_filter_is_named(client: Client) -> None:
    for query in ("state=new", "choosable=perhaps"):
        answer = client("GET", f"/numbers?{query}")
        assert answer.status_code == 422
        assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_an_additional_number_is_linked_and_unlinked(client: Client) -> None:
    account = client.new_account()
    client.new_number(OTHER_NUMBER)
    path = f"/sip-accounts/{account['id']}/numbers"
    for _ in range(2):  # repeating it changes nothing
        linked = client("PUT", f"{path}/{OTHER_NUMBER}")
        assert linked.status_code == 200
        assert linked.json["account_id"] == account["id"]
    assert [item["number"] for item in client("GET", path).json["items"]] == [NUMBER, OTHER_NUMBER]
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 409
    assert client("DELETE", f"{path}/{OTHER_NUMBER}").status_code == 204
    assert client("DELETE", f"{path}/{OTHER_NUMBER}").status_code == 404
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 204


def test_the_main_number_cannot_be_unlinked(client: Client) -> None:
    account = client.new_account()
    answer = client("DELETE", f"/sip-accounts/{account['id']}/numbers/{NUMBER}")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":main-number-permanent")


def test_a_number_belongs_to_one_account(client: Client) -> None:
    client.new_account()
    other = client.new_account(OTHER_NUMBER)
    answer = client("PUT", f"/sip-accounts/{other['id']}/numbers/{NUMBER}")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-taken")


def test_only_an_active_number_can_be_linked(client: Client) -> None:
    account = client.new_account()
    client.new_number(OTHER_NUMBER, "ordered")
    answer = client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}")
    assert answer.status_code == 409
    assert answer.json["type"].endswith(":number-not-active")


def test_an_unknown_number_cannot_be_linked(client: Client) -> None:
    account = client.new_account()
    for number in (OTHER_NUMBER, "390", "%00"):
        answer = client("PUT", f"/sip-accounts/{account['id']}/numbers/{number}")
        assert answer.status_code == 404
