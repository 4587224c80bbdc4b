import pytest

from tests.integration.conftest import Client


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "wrong", "Bearer \u00e9"],
)
def test_a_missing_or_wrong_token_is_refused(client: Client, authorization: str) -> None:
    answer = client.send("GET", "/numbers", {"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json["type"].endswith(":unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_answers_are_kept_out_of_caches(client: Client) -> None:
    assert client("GET", "/numbers").headers["Cache-Control"] == "no-store"
