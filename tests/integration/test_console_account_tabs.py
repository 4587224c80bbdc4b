"""The tabs of one account's page: numbers, caller ID, transfer, calls, diagnosis, history."""

from collections.abc import Iterator

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.console import account_numbers
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.billing import Kamailio, kamailio_of
from tests.integration.calls import call_node
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.console import Visitor, forms_of, links_of, logged_in

ABROAD = "+441632960000"
TABS = ("numbers", "caller-id", "advanced", "calls", "registrations", "diagnosis", "history")
FORGED = (
    ("numbers", Role.TECHNICIAN),
    ("numbers/unlink", Role.TECHNICIAN),
    ("caller-id", Role.TECHNICIAN),
    ("caller-id/1/remove", Role.TECHNICIAN),
    ("advanced", Role.TECHNICIAN),
    ("registrations/drop", Role.SALES),
    ("registrations/drop-all", Role.SALES),
)


@pytest.fixture
def accountant(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ACCOUNTING)


@pytest.fixture
def kamailio(settings: Settings, stack: Stack, admin: db.Connection) -> Iterator[Kamailio]:
    with kamailio_of(settings, stack, admin) as kamailio:
        yield kamailio


@pytest.fixture
def account(client: Client) -> int:
    """An account that is enabled; its id."""
    made: int = client.new_account()["id"]
    assert client("POST", f"/sip-accounts/{made}/enable").status_code == 200
    return made


def linked(client: Client, account: int) -> list[str]:
    answer = client("GET", f"/sip-accounts/{account}/numbers")
    return [one["number"] for one in answer.json["items"]]


def test_a_number_is_linked_and_unlinked(client: Client, accountant: Visitor, account: int) -> None:
    client.new_number(OTHER_NUMBER)
    path = f"/accounts/{account}/numbers"
    assert accountant.post(path, number=OTHER_NUMBER).status_code == 302
    assert linked(client, account) == [NUMBER, OTHER_NUMBER]
    answer = accountant.post(f"{path}/unlink", path, number=OTHER_NUMBER)
    assert answer.status_code == 302
    assert linked(client, account) == [NUMBER]


def test_only_choosable_numbers_are_offered(
    client: Client, accountant: Visitor, account: int
) -> None:
    page = accountant.get(f"/accounts/{account}/numbers").text
    assert "There is no number that can be linked" in page
    assert "/console/numbers" in links_of(page)
    client.new_number(OTHER_NUMBER)
    client.new_number("+390612345680", "ordered")
    page = accountant.get(f"/accounts/{account}/numbers").text
    assert f'<option value="{OTHER_NUMBER}"' in page
    assert "+390612345680" not in page


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("", "Must be in E.164 format"),
        ("0612", "Must be in E.164 format"),
        ("+390699999999", "Must be a number of this project"),
        ("+390612345680", "The number is not active"),
    ],
)
def test_a_number_that_cannot_be_linked_is_told_beside_the_field(
    client: Client, accountant: Visitor, account: int, number: str, error: str
) -> None:
    client.new_number("+390612345680", "ordered")
    answer = accountant.post(f"/accounts/{account}/numbers", number=number)
    assert answer.status_code == 422
    assert f'id="number-error">{error}' in answer.text
    assert linked(client, account) == [NUMBER]


def test_where_there_are_many_numbers_some_are_suggested_and_any_can_be_typed(
    client: Client, accountant: Visitor, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_numbers, "OFFERED", 1)
    for number in (OTHER_NUMBER, "+390612345680"):
        client.new_number(number)
    path = f"/accounts/{account}/numbers"
    page = accountant.get(path).text
    assert f'<option value="{OTHER_NUMBER}"' in page
    assert "+390612345680" not in page
    assert accountant.post(path, number="+390612345680").status_code == 302
    assert linked(client, account) == [NUMBER, "+390612345680"]


def test_a_number_that_a_rule_shows_stays_and_the_page_leads_to_the_rules(
    client: Client, accountant: Visitor, account: int
) -> None:
    client.new_number(OTHER_NUMBER)
    api, path = f"/sip-accounts/{account}", f"/accounts/{account}/numbers"
    assert client("PUT", f"{api}/numbers/{OTHER_NUMBER}").status_code == 200
    rule = client.create(f"{api}/caller-id-rules", number=OTHER_NUMBER)
    answer = accountant.post(f"{path}/unlink", path, number=OTHER_NUMBER)
    assert answer.status_code == 409
    assert "remove the rule first" in answer.text
    rules = f"/accounts/{account}/caller-id"
    assert f"/console{rules}" in links_of(answer.text)
    assert accountant.post(f"{rules}/{rule['id']}/remove", rules).status_code == 302
    assert accountant.post(f"{path}/unlink", path, number=OTHER_NUMBER).status_code == 302
    assert linked(client, account) == [NUMBER]


def test_what_somebody_else_has_removed_already_is_told_without_an_error_page(
    client: Client, accountant: Visitor, account: int
) -> None:
    for tab, action, fields, told in (
        ("numbers", "unlink", {"number": OTHER_NUMBER}, "There is no such number."),
        ("caller-id", "99/remove", {}, "The account has no such caller ID rule."),
        ("registrations", "drop", {"registration": "x"}, "The account has no such registration."),
    ):
        path = f"/accounts/{account}/{tab}"
        answer = accountant.post(f"{path}/{action}", path, **fields)
        assert answer.location == f"/console{path}"
        assert told in accountant.get(path).text


def test_caller_id_rules_are_added_and_removed(
    client: Client, accountant: Visitor, account: int
) -> None:
    path, api = f"/accounts/{account}/caller-id", f"/sip-accounts/{account}/caller-id-rules"
    assert accountant.post(path, destination_prefix="+44", number=NUMBER).status_code == 302
    assert accountant.post(path, destination_prefix="", number="hidden").status_code == 302
    rules = client("GET", api).json["items"]
    shown = {rule["destination_prefix"]: rule["number"] for rule in rules}
    assert shown == {"+44": NUMBER, "": None}
    page = accountant.get(path).text
    assert "All destinations" in page
    for rule in rules:
        assert f"/console{path}/{rule['id']}/remove" in forms_of(page)
        accountant.post(f"{path}/{rule['id']}/remove", path)
    assert client("GET", api).json["items"] == []


def test_a_rule_that_is_sent_twice_is_added_once(
    client: Client, accountant: Visitor, account: int
) -> None:
    path = f"/accounts/{account}/caller-id"
    form = forms_of(accountant.get(path).text)[f"/console{path}"] | {"destination_prefix": "+44"}
    assert [accountant.send(path, form).status_code for _ in range(2)] == [302, 302]
    assert len(client("GET", f"/sip-accounts/{account}/caller-id-rules").json["items"]) == 1


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"destination_prefix": "0044"}, "destination_prefix", "Must be + and 1 to 15 digits"),
        ({"destination_prefix": "+44"}, "destination_prefix", "The account has a rule for this"),
        ({"number": OTHER_NUMBER}, "number", "Must be one of the account's own numbers"),
    ],
)
def test_a_rule_that_is_wrong_is_told_beside_its_field(
    client: Client,
    accountant: Visitor,
    account: int,
    fields: dict[str, str],
    field: str,
    error: str,
) -> None:
    client.create(f"/sip-accounts/{account}/caller-id-rules", destination_prefix="+44", number=None)
    answer = accountant.post(f"/accounts/{account}/caller-id", **fields)
    assert answer.status_code == 422
    assert f'id="{field}-error">{error}'.replace("'", "&#39;") in answer.text


def transfer(client: Client, account: int) -> dict[str, str | None]:
    """Return the targets of the transfers that are on."""
    found = client("GET", f"/sip-accounts/{account}/call-transfer").json
    return {name: one["target"] for name, one in found.items() if one["enabled"]}


def test_transfers_are_set_and_switched_off(
    client: Client, accountant: Visitor, account: int
) -> None:
    path = f"/accounts/{account}/advanced"
    both = {"no_answer": "on", "no_answer/target": ABROAD}
    both |= {"unreachable": "on", "unreachable/target": ABROAD}
    assert "After it has rung for 20 seconds." in accountant.get(path).text
    assert accountant.post(path, **both).status_code == 302
    assert transfer(client, account) == {"no_answer": ABROAD, "unreachable": ABROAD}
    assert accountant.post(path, no_answer=None).status_code == 302
    assert transfer(client, account) == {"unreachable": ABROAD}
    assert f'value="{ABROAD}"' in accountant.get(path).text


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"unconditional": "on"}, "unconditional/target", "Must be given where the transfer is on"),
        ({"no_answer/target": "06"}, "no_answer/target", "Must be in E.164 format"),
        ({"unreachable/target": "112"}, "unreachable/target", "Must not be an emergency number"),
        ({"no_answer/target": NUMBER}, "no_answer/target", "Must not be one of the account's own"),
        (
            {
                "unconditional": "on",
                "unconditional/target": ABROAD,
                "no_answer": "on",
                "no_answer/target": ABROAD,
            },
            "unconditional",
            "Must be off where another transfer is on",
        ),
    ],
)
def test_a_transfer_that_is_wrong_is_told_beside_its_field(
    client: Client,
    accountant: Visitor,
    account: int,
    fields: dict[str, str],
    field: str,
    error: str,
) -> None:
    answer = accountant.post(f"/accounts/{account}/advanced", **fields)
    assert answer.status_code == 422
    assert f'id="{field}-error">{error}'.replace("'", "&#39;") in answer.text
    for name, value in fields.items():
        assert forms_of(answer.text)[f"/console/accounts/{account}/advanced"][name] == value
    assert transfer(client, account) == {}


def test_the_second_of_two_people_sees_the_transfer_that_the_first_has_set(
    client: Client, admin: db.Connection, accountant: Visitor, account: int
) -> None:
    path = f"/accounts/{account}/advanced"
    page = accountant.get(path).text
    other = logged_in(client, admin, Role.ADMIN)
    theirs = {"unconditional": "on", "unconditional/target": ABROAD}
    assert other.post(path, **theirs).status_code == 302
    mine = {"no_answer": "on", "no_answer/target": "+390687654321"}
    answer = accountant.send(path, forms_of(page)[f"/console{path}"] | mine)
    assert answer.status_code == 409
    assert "Anna admin has changed this at" in answer.text
    assert "All calls: none → Yes" in answer.text
    assert f"none → {ABROAD}" in answer.text
    assert transfer(client, account) == {"unconditional": ABROAD}
    again = accountant.send(path, forms_of(answer.text)[f"/console{path}"])
    assert again.status_code == 302
    assert transfer(client, account) == {"no_answer": "+390687654321"}


def test_the_calls_that_have_ended_are_listed_and_lead_to_all_of_them(
    accountant: Visitor, account: int, kamailio: Kamailio
) -> None:
    kamailio.called(account, ABROAD, "2026-01-31T12:00:00Z", "2026-01-31T12:01:01Z")
    page = accountant.get(f"/accounts/{account}/calls").text
    assert "No call is in progress." in page
    assert f"<td>{ABROAD}</td>" in page
    assert '<td class="amount">61</td>' in page
    assert f"/console/calls?account={account}" in links_of(page)


def test_the_diagnosis_is_told_in_the_visitors_language(
    client: Client, accountant: Visitor, account: int, admin: db.Connection
) -> None:
    path = f"/accounts/{account}/diagnosis"
    assert "no device has tried within the last day" in accountant.get(path).text
    client("POST", f"/sip-accounts/{account}/disable")
    page = accountant.get(path).text
    assert "The account is disabled, so no device can register; enable it." in page
    admin.execute("UPDATE provisioner.users SET language = 'it'")
    page = accountant.get(path).text
    assert "disabilitato, quindi nessun dispositivo può registrarsi" in page
    assert "0 canali su 2 sono in uso." in page


def test_the_history_says_who_changed_what_from_what_to_what(
    client: Client, accountant: Visitor, account: int
) -> None:
    path = f"/accounts/{account}"
    fields = {"name": "Sala riunioni", "flat": "on", "allowed_networks": "203.0.113.0/24"}
    assert accountant.post(path, **fields).status_code == 302
    accountant.post(f"{path}/advanced", unconditional="on", **{"unconditional/target": ABROAD})
    accountant.post(f"{path}/caller-id", destination_prefix="+44", number="hidden")
    page = accountant.get(f"{path}/history").text
    assert "Anna accounting <small>Console</small>" in page
    for told in (
        f"Name: Line {NUMBER} → Sala riunioni",
        "Tariff: Pay per use → Flat",
        "Own networks: none → 203.0.113.0/24",
        "State: Disabled → Enabled",
        f"All calls: Off → On, to {ABROAD}",
        "Called number begins with: +44<",
        "Number: Hidden<",
        f"Main number: {NUMBER}<",
    ):
        assert told in page, told


def test_a_long_history_comes_by_the_page(
    client: Client, accountant: Visitor, account: int
) -> None:
    for voice_channels in range(3, 31):
        body = {"voice_channels": voice_channels}
        assert client("PATCH", f"/sip-accounts/{account}", body).status_code == 200
    page = accountant.get(f"/accounts/{account}/history").text
    assert "Voice channels: 29 → 30" in page
    assert "Created" not in page
    following = next(link for link in links_of(page) if "cursor=" in link)
    older = accountant.get(following.removeprefix("/console")).text
    assert "Voice channels: 2 → 3" in older
    assert "Created" in older


def test_a_call_in_progress_is_shown(
    stack: Stack, settings: Settings, accountant: Visitor, account: int
) -> None:
    with call_node(stack, settings.database_url) as node:
        node.answer(node.place(account, ABROAD)["call"])
        page = accountant.get(f"/accounts/{account}/calls").text
    assert "No call is in progress." not in page
    assert "<td>Answered</td>" in page


@pytest.mark.parametrize("tab", TABS)
def test_another_customers_account_does_not_exist(
    client: Client, admin: db.Connection, account: int, tab: str
) -> None:
    customer = client.create("/customers", name="Other")["id"]
    stranger = logged_in(client, admin, Role.ADMIN, customer)
    answer = stranger.get(f"/accounts/{account}/{tab}")
    assert answer.status_code == 404
    assert NUMBER not in answer.text


@pytest.mark.parametrize(("path", "role"), FORGED)
def test_whoever_may_not_do_something_sees_no_button_and_gets_403(
    client: Client, admin: db.Connection, account: int, path: str, role: Role
) -> None:
    client.create(f"/sip-accounts/{account}/caller-id-rules", number=None)
    person, tab = logged_in(client, admin, role), path.partition("/")[0]
    shown = "caller-id" if role is Role.SALES else tab  # a page that the role may see
    page = person.get(f"/accounts/{account}/{shown}")
    assert page.status_code == 200
    actions = [one for one in forms_of(page.text) if one.startswith("/console/accounts/")]
    assert actions == []
    answer = person.post(f"/accounts/{account}/{path}", f"/accounts/{account}/{shown}")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("tab", "role"), [("registrations", Role.SALES), ("diagnosis", Role.SALES)]
)
def test_a_tab_that_a_role_may_not_read_is_not_offered(
    client: Client, admin: db.Connection, account: int, tab: str, role: Role
) -> None:
    person = logged_in(client, admin, role)
    path = f"/accounts/{account}/{tab}"
    assert f"/console{path}" not in links_of(person.get(f"/accounts/{account}").text)
    assert person.get(path).status_code == 403


def test_a_node_that_is_away_is_told_of(accountant: Visitor, account: int, node: int) -> None:
    del node
    page = accountant.get(f"/accounts/{account}/registrations").text
    assert "Not all nodes answer: away." in page
    assert (
        "These nodes do not answer: away." in accountant.get(f"/accounts/{account}/diagnosis").text
    )
