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
