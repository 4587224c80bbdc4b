"""The page of one account: its settings, its state, its end."""

import pytest
from werkzeug.test import TestResponse

from provisioner import db
from provisioner.access import Role
from tests.integration.conftest import Client
from tests.integration.console import Visitor, forms_of, logged_in


@pytest.fixture
def accountant(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ACCOUNTING)


def test_an_accountant_changes_an_accounts_settings(client: Client, accountant: Visitor) -> None:
    account = client.new_account()
    path = f"/accounts/{account['id']}"
    fields = {"name": "Sala riunioni", "voice_channels": "4", "flat": "on"}
    answer = accountant.post(path, **fields, allowed_networks="203.0.113.0/24 198.51.100.7/32")
    assert answer.status_code == 302
    changed = client("GET", f"/sip-accounts/{account['id']}").json
    assert (changed["name"], changed["voice_channels"]) == ("Sala riunioni", 4)
    assert changed["tariff"] == "flat"
    assert changed["allowed_networks"] == ["203.0.113.0/24", "198.51.100.7/32"]


def test_an_error_stands_beside_its_field_and_the_input_is_kept(
    client: Client, accountant: Visitor
) -> None:
    account = client.new_account()
    answer = accountant.post(
        f"/accounts/{account['id']}", name="Sala", voice_channels="0", allowed_networks="10.0.0.1/8"
    )
    assert answer.status_code == 422
    assert 'id="voice_channels-error">Must be at least 1.<' in answer.text
    assert 'id="allowed_networks-error">Must be a network in CIDR notation' in answer.text
    assert 'value="Sala"' in answer.text
    assert client("GET", f"/sip-accounts/{account['id']}").json["name"] == account["name"]


def test_the_second_of_two_people_sees_what_the_first_has_changed(
    client: Client, admin: db.Connection, accountant: Visitor
) -> None:
    path = f"/accounts/{client.new_account()['id']}"
    page = accountant.get(path)
    other = logged_in(client, admin, Role.ADMIN)
    assert other.post(path, name="Theirs").status_code == 302
    answer = stale(accountant, path, page.text, name="Mine")
    assert answer.status_code == 409
    assert "Anna admin has changed this at" in answer.text
    assert "Line +390612345678 → Theirs" in answer.text
    assert 'value="Mine"' in answer.text
    again = stale(accountant, path, answer.text, name="Mine")
    assert again.status_code == 302


def stale(person: Visitor, path: str, page: str, **fields: str) -> TestResponse:
    """Send the form of a page that was opened earlier."""
    return person.send(path, forms_of(page)[f"/console{path}"] | fields)


@pytest.mark.parametrize(
    ("action", "state"),
    [("enable", "enabled"), ("link-to-teams", "linked_to_teams"), ("disable", "disabled")],
)
def test_the_state_is_changed_by_a_button(
    client: Client, accountant: Visitor, action: str, state: str
) -> None:
    account = client.new_account()
    path = f"/accounts/{account['id']}"
    if action == "disable":
        client("POST", f"/sip-accounts/{account['id']}/enable")
    answer = accountant.post(f"{path}/{action}", path)
    assert answer.status_code == 302
    assert client("GET", f"/sip-accounts/{account['id']}").json["state"] == state


def test_a_new_password_is_shown_once(client: Client, accountant: Visitor) -> None:
    account = client.new_account()
    path = f"/accounts/{account['id']}/credentials"
    answer = accountant.post(path)
    assert answer.status_code == 200
    assert account["credentials"]["password"] not in answer.text
    assert "only time that the password is shown" in answer.text


def test_what_is_in_the_way_of_deleting_is_listed_with_links(
    client: Client, accountant: Visitor
) -> None:
    account = client.new_account()
    api = f"/sip-accounts/{account['id']}"
    other = client.new_number("+390612345699")
    client("PUT", f"{api}/numbers/{other}")
    client("POST", f"{api}/caller-id-rules", {"number": other})
    client("POST", f"{api}/enable")
    path = f"/accounts/{account['id']}"
    page = accountant.get(f"{path}/delete").text
    assert f'href="/console{path}"' in page
    assert f'href="/console{path}/numbers"' in page
    assert f'href="/console{path}/caller-id"' in page
    assert "Delete for ever" not in page
    assert accountant.post(f"{path}/delete").status_code == 409


def test_a_disabled_account_is_deleted_in_two_steps(client: Client, accountant: Visitor) -> None:
    account = client.new_account()
    path = f"/accounts/{account['id']}/delete"
    assert "Delete for ever" in accountant.get(path).text
    assert accountant.post(path).location == "/console/accounts"
    assert client("GET", f"/sip-accounts/{account['id']}").status_code == 404
