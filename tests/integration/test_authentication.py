import pytest

from tests.integration.conftest import Client

PUBLIC = {"health.live", "health.ready"}


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "wrong", "Bearer \u00e9"],
)
def test_a_missing_or_wrong_token_is_refused(client: Client, authorization: str) -> None:
    answer = client.send("GET", "/numbers", {"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json["type"].endswith(":unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_but_health_asks_for_a_token(client: Client) -> None:
    rules = list(client.http.application.url_map.iter_rules())
    assert len(rules) > 10
    for rule in rules:
        if rule.endpoint in PUBLIC:
            continue
        path = str(rule).replace("<int(max=9223372036854775807):account_id>", "1")
        path = path.replace("<number>", "+390612345678").replace("<name>", "cloudfire")
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            assert client.http.open(path, method=method).status_code == 401, f"{method} {path}"


def test_answers_are_kept_out_of_caches(client: Client) -> None:
    assert client("GET", "/numbers").headers["Cache-Control"] == "no-store"
