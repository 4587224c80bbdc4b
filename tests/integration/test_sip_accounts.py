import hashlib
from typing import Any

import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client


def subscriber(admin: db.Connection) -> Any:
    return admin.execute("SELECT * FROM kamailio.subscriber").fetchone()


def test_a_new_account_is_disabled_and_shows_its_credentials(client: Client) -> None:
    account = client.new_account(name="Front desk")
    assert account["state"] == "disabled"
    assert account["name"] == "Front desk"
    assert account["tariff"] == "pay_per_use"
    credentials = account["credentials"]
    assert credentials["username"] == "390612345678"
    assert credentials["realm"] == "talkytime.test"
    assert credentials["transports"] == ["udp", "tcp"]
    assert set(credentials) == {"username", "password", "realm", "server", "port", "transports"}


def test_the_password_is_in_no_other_answer(client: Client) -> None:
    account = client.new_account()
    password = account["credentials"]["password"]
    for path in ("/sip-accounts", f"/sip-accounts/{account['id']}", "/numbers"):
        assert password not in client("GET", path).text


def test_only_ha1_is_stored(client: Client, admin: db.Connection) -> None:
    shown = client.new_account()["credentials"]
    line = f"{shown['username']}:{shown['realm']}:{shown['password']}".encode()
    stored = admin.execute("SELECT * FROM provisioner.credentials").fetchone()
    assert stored
    assert stored["ha1"] == hashlib.md5(line, usedforsecurity=False).hexdigest()
    assert stored["ha1_sha256"] == hashlib.sha256(line).hexdigest()
    assert shown["password"] not in str(stored) + str(subscriber(admin))


def test_a_new_account_is_kamailios_to_read_at_once(client: Client, admin: db.Connection) -> None:
    account = client.new_account(voice_channels=7, cloudfire_only=True)
    row = subscriber(admin)
    assert row["account_id"] == account["id"]
    assert (row["username"], row["domain"]) == ("390612345678", "talkytime.test")
    assert (row["registration_allowed"], row["channels"], row["source_group"]) == (False, 7, 1)
    assert row["password"] == ""


def test_an_account_is_read(client: Client) -> None:
    account = client.new_account()
    read = client("GET", f"/sip-accounts/{account['id']}").json
    assert read == {name: value for name, value in account.items() if name != "credentials"}


def test_an_unknown_account_is_not_found(client: Client) -> None:
    for account_id in ("1", "99999999999999999999999", "abc", "-1"):
        assert client("GET", f"/sip-accounts/{account_id}").status_code == 404


def test_accounts_are_listed_a_page_at_a_time(client: Client) -> None:
    ids = [client.new_account(number)["id"] for number in (NUMBER, OTHER_NUMBER)]
    first = client("GET", "/sip-accounts?limit=1").json
    second = client("GET", first["next"].removeprefix("/api/v1")).json
    assert [first["items"][0]["id"], second["items"][0]["id"]] == ids
    assert second["next"] is None


@pytest.mark.parametrize(
    ("state", "path", "allowed", "group"),
    [
        ("enabled", "enable", True, 0),
        ("linked_to_teams", "link-to-teams", True, 1),
        ("disabled", "disable", False, 0),
    ],
)
def test_a_state_is_projected(
    client: Client, admin: db.Connection, state: str, path: str, allowed: bool, group: int
) -> None:
    account = client.new_account()
    answer = client("POST", f"/sip-accounts/{account['id']}/{path}")
    assert answer.status_code == 200
    assert answer.json["state"] == state
    row = subscriber(admin)
    assert (row["registration_allowed"], row["source_group"]) == (allowed, group)


@pytest.mark.parametrize("path", ["enable", "disable", "link-to-teams"])
def test_repeating_a_state_changes_nothing(client: Client, path: str) -> None:
    account = client.new_account()
    first = client("POST", f"/sip-accounts/{account['id']}/{path}")
    again = client("POST", f"/sip-accounts/{account['id']}/{path}")
    assert again.status_code == 200
    assert again.json == first.json


def test_a_patch_changes_what_it_names_and_nothing_else(
    client: Client, admin: db.Connection
) -> None:
    account = client.new_account()
    patch = {"voice_channels": 30, "tariff": "flat"}
    answer = client("PATCH", f"/sip-accounts/{account['id']}", patch)
    assert answer.status_code == 200
    assert (answer.json["voice_channels"], answer.json["tariff"]) == (30, "flat")
    assert answer.json["name"] == account["name"]
    assert answer.json["generation"] > account["generation"]
    assert subscriber(admin)["channels"] == 30


def test_an_empty_patch_changes_nothing(client: Client) -> None:
    account = client.new_account()
    answer = client("PATCH", f"/sip-accounts/{account['id']}", {})
    assert answer.status_code == 200
    assert answer.json["generation"] == account["generation"]


def test_the_main_number_is_permanent(client: Client) -> None:
    account = client.new_account()
    client.new_number(OTHER_NUMBER)
    path = f"/sip-accounts/{account['id']}"
    answer = client("PATCH", path, {"name": "Changed", "main_number": OTHER_NUMBER})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/main_number"
    assert client("GET", path).json["name"] == account["name"]


def test_rotation_replaces_the_password(client: Client, admin: db.Connection) -> None:
    account = client.new_account()
    before = subscriber(admin)["ha1"]
    answer = client("POST", f"/sip-accounts/{account['id']}/credentials")
    assert answer.status_code == 200
    assert answer.json["credentials"]["password"] != account["credentials"]["password"]
    assert subscriber(admin)["ha1"] != before


def test_a_deleted_account_leaves_nothing_and_frees_its_number(
    client: Client, admin: db.Connection
) -> None:
    account = client.new_account()
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 204
    assert client("GET", f"/sip-accounts/{account['id']}").status_code == 404
    assert subscriber(admin) is None
    assert admin.execute("SELECT FROM provisioner.credentials").fetchone() is None
    assert client("GET", f"/numbers/{NUMBER}").json["account_id"] is None
    body = {"name": "Next", "main_number": NUMBER, "voice_channels": 1}
    assert client("POST", "/sip-accounts", body).status_code == 201


def test_a_refused_deletion_says_every_reason(client: Client, admin: db.Connection) -> None:
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client.new_number(OTHER_NUMBER)
    admin.execute(
        "UPDATE provisioner.numbers SET account_id = %s WHERE number = %s",
        [account["id"], OTHER_NUMBER],
    )
    answer = client("DELETE", f"/sip-accounts/{account['id']}")
    assert answer.status_code == 409
    reasons = {reason["code"]: reason["items"] for reason in answer.json["reasons"]}
    assert reasons == {"account_not_disabled": ["enabled"], "numbers_linked": [OTHER_NUMBER]}
    assert client("GET", f"/sip-accounts/{account['id']}").status_code == 200


def test_a_change_that_takes_away_is_pending_until_the_node_confirms(
    client: Client, node: int
) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    assert client("POST", f"{path}/enable").json["convergence"]["converged"]
    answer = client("POST", f"{path}/disable", Prefer="wait=0")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=0"
    convergence = answer.json["convergence"]
    assert convergence["pending_nodes"] == ["away"]
    assert (convergence["nodes_converged"], convergence["nodes_total"]) == (0, 1)
    assert convergence["since"] is None
    assert client("GET", "/nodes").json["items"][0]["pending"] == 1
    assert not client("GET", "/nodes").json["items"][0]["converged"]


def test_a_deletion_that_nodes_have_yet_to_confirm_is_accepted(client: Client, node: int) -> None:
    account = client.new_account()
    answer = client("DELETE", f"/sip-accounts/{account['id']}", Prefer="wait=0")
    assert answer.status_code == 202
    assert client("GET", f"/sip-accounts/{account['id']}").status_code == 404


def test_a_node_that_was_never_compared_has_not_converged(
    client: Client, admin: db.Connection, node: int
) -> None:
    admin.execute("UPDATE provisioner.nodes SET state = 'catching_up', last_compared_at = NULL")
    assert client.new_account()["convergence"]["pending_nodes"] == ["away"]


def test_the_next_account_on_a_number_waits_for_the_former_ones_bindings_to_go(
    client: Client, node: int
) -> None:
    account = client.new_account()
    client("DELETE", f"/sip-accounts/{account['id']}")
    body = {"name": "Next", "main_number": NUMBER, "voice_channels": 1}
    following = client("POST", "/sip-accounts", body).json
    assert following["convergence"]["pending_nodes"] == ["away"]
    answer = client("POST", f"/sip-accounts/{following['id']}/enable", Prefer="wait=0")
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("first", "then", "drop_all"),
    [
        ("POST /enable", "POST /disable", True),
        ("POST /enable", "POST /credentials", True),
        ("POST /enable", "POST /link-to-teams", False),
        ("POST /enable", "PATCH cloudfire_only", False),
        ("POST /disable", "POST /enable", None),
        ("POST /enable", "PATCH voice_channels", None),
    ],
)
def test_work_is_left_only_by_what_takes_something_away(
    client: Client, admin: db.Connection, node: int, first: str, then: str, drop_all: bool | None
) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    values = {"cloudfire_only": True, "voice_channels": 9}
    for step in (first, then):
        verb, _, what = step.partition(" ")
        body = {what: values[what]} if verb == "PATCH" else None
        suffix = "" if verb == "PATCH" else what
        assert client(verb, path + suffix, body).status_code == 200
    work = admin.execute("SELECT drop_all FROM provisioner.pending_kicks").fetchall()
    assert work == ([] if drop_all is None else [{"drop_all": drop_all}])


def test_the_operators_own_subscriber_is_never_overwritten(
    client: Client, admin: db.Connection
) -> None:
    admin.execute(
        "INSERT INTO kamailio.subscriber (username, domain, ha1)"
        " VALUES ('390612345678', 'talkytime.test', 'theirs')"
    )
    client.new_number()
    body = {"name": "Ours", "main_number": NUMBER, "voice_channels": 1}
    answer = client("POST", "/sip-accounts", body)
    assert answer.status_code == 409
    assert answer.json["type"].endswith("username-taken")
    assert subscriber(admin)["ha1"] == "theirs"
    assert client("GET", "/sip-accounts").json["items"] == []
    assert client("GET", f"/numbers/{NUMBER}").json["account_id"] is None


# Its own networks.


OWN = ["198.51.100.0/24", "2001:db8::/32"]


def test_an_account_has_no_networks_of_its_own_at_first(
    client: Client, admin: db.Connection
) -> None:
    assert client.new_account()["allowed_networks"] is None
    assert subscriber(admin)["allowed_networks"] == ""


def test_own_networks_are_shown_as_they_were_given_once_each(client: Client) -> None:
    account = client.new_account(allowed_networks=[*OWN, "198.51.100.7", OWN[0]])
    assert account["allowed_networks"] == [*OWN, "198.51.100.7/32"]
    read = client("GET", f"/sip-accounts/{account['id']}").json
    assert read["allowed_networks"] == [*OWN, "198.51.100.7/32"]


def test_own_networks_are_projected_with_the_longest_prefix_first(
    client: Client, admin: db.Connection
) -> None:
    """Kamailio would let others in if a shorter prefix came first."""
    networks = ["4::/16", "::/128", "10.0.0.0/8", "2001:db8::1", "10.9.8.7"]
    client.new_account(allowed_networks=networks)
    ordered = "::/128,2001:db8::1/128,10.9.8.7/32,4::/16,10.0.0.0/8"
    assert subscriber(admin)["allowed_networks"] == ordered


def test_own_networks_are_changed_and_taken_away(client: Client, admin: db.Connection) -> None:
    account = client.new_account(allowed_networks=OWN)
    path = f"/sip-accounts/{account['id']}"
    assert client("PATCH", path, {"name": "New"}).json["allowed_networks"] == OWN
    changed = client("PATCH", path, {"allowed_networks": OWN[:1]}).json
    assert changed["allowed_networks"] == OWN[:1]
    assert client("PATCH", path, {"allowed_networks": None}).json["allowed_networks"] is None
    assert subscriber(admin)["allowed_networks"] == ""


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ([], "#/allowed_networks"),
        (["10.0.0.1/8"], "#/allowed_networks/0"),
        (["10.0.0.0/8", "0.0.0.0/0"], "#/allowed_networks/1"),
        (["::/0"], "#/allowed_networks/0"),
        (["phone.example"], "#/allowed_networks/0"),
        ([167772160], "#/allowed_networks/0"),
        ("10.0.0.0/8", "#/allowed_networks"),
        ([f"10.0.0.{n}" for n in range(51)], "#/allowed_networks"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_networks_are_refused(client: Client, value: Any, pointer: str) -> None:
    account = client.new_account()
    refused = client("PATCH", f"/sip-accounts/{account['id']}", {"allowed_networks": value})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]


def test_a_teams_accounts_own_networks_wait_until_it_is_one_no_longer(
    client: Client, admin: db.Connection
) -> None:
    account = client.new_account(allowed_networks=OWN)
    client("POST", f"/sip-accounts/{account['id']}/link-to-teams")
    assert subscriber(admin)["allowed_networks"] == ""
    client("POST", f"/sip-accounts/{account['id']}/enable")
    assert subscriber(admin)["allowed_networks"] == ",".join(sorted(OWN, reverse=True))


@pytest.mark.parametrize(
    ("change", "kicked"),
    [
        ({"allowed_networks": OWN}, True),
        ({"cloudfire_only": True, "allowed_networks": OWN}, True),
        ({"name": "New"}, False),
    ],
)
def test_narrower_networks_leave_work(
    client: Client, admin: db.Connection, node: int, change: Any, kicked: bool
) -> None:
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("PATCH", f"/sip-accounts/{account['id']}", change)
    found = admin.execute("SELECT drop_all FROM provisioner.pending_kicks").fetchall()
    assert found == ([{"drop_all": False}] if kicked else [])
