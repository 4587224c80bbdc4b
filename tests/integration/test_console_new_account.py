"""Creating an account in the console: the form, its errors, the confirmation, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from werkzeug.test import TestResponse

from provisioner import db
from provisioner.access import Role
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.console import (
    Visitor,
    forms_of,
    links_of,
    logged_in,
    read_of,
    text_of,
    token_of,
    visitor,
)

FORM, CREATION = "/accounts/new", "/accounts"
FIELDS = {"name": "Front desk", "main_number": NUMBER, "voice_channels": "3"}

LogIn = Callable[..., Visitor]


@pytest.fixture
def log_in(client: Client, admin: db.Connection) -> LogIn:
    """Lets somebody of a role log in."""
    return partial(logged_in, client, admin)


@pytest.fixture
def accountant(log_in: LogIn) -> Visitor:
    """Somebody who may create accounts."""
    return log_in(Role.ACCOUNTING)


def fill_in(person: Visitor, **fields: str) -> TestResponse:
    """Fill in the form and go on."""
    return person.post(FORM, **FIELDS | fields)


def confirm(person: Visitor, confirmation: TestResponse, **fields: str) -> TestResponse:
    """Send what the confirmation shows."""
    return person.send(CREATION, creation(confirmation) | fields)


def creation(confirmation: TestResponse) -> dict[str, str]:
    return forms_of(confirmation.text)["/console/accounts"]


def kept(answer: TestResponse) -> dict[str, str]:
    return forms_of(answer.text)["/console/accounts/new"]


def names(client: Client) -> list[str]:
    return [one["name"] for one in client("GET", "/sip-accounts").json["items"]]


def test_an_account_is_created_after_a_confirmation(client: Client, accountant: Visitor) -> None:
    client.new_number()
    confirmation = fill_in(accountant, flat="on", cloudfire_only="on")
    assert confirmation.status_code == 200
    for part in ("Front desk", NUMBER, "Voice channels 3", "Flat", "CloudFire networks only"):
        assert part in read_of(confirmation.text)
    assert names(client) == []
    created = confirm(accountant, confirmation)
    assert created.status_code == 200
    account = client("GET", "/sip-accounts").json["items"][0]
    assert {name: account[name] for name in ("name", "main_number", "voice_channels", "state")} == {
        "name": "Front desk",
        "main_number": NUMBER,
        "voice_channels": 3,
        "state": "disabled",
    }
    assert (account["tariff"], account["cloudfire_only"]) == ("flat", True)
    assert text_of(created.text, "username") == NUMBER[1:]
    assert len(text_of(created.text, "password")) >= 20
    assert text_of(created.text, "realm") == "talkytime.test"
    assert "not active yet" in read_of(created.text)
    assert f"/console/accounts/{account['id']}/enable" in forms_of(created.text)
    assert len(created.data) <= 20_000
    assert created.headers["Cache-Control"] == "no-store"


def test_the_password_shown_is_in_each_devices_settings(
    client: Client, accountant: Visitor
) -> None:
    client.new_number()
    page = confirm(accountant, fill_in(accountant)).text
    password = text_of(page, "password")
    for device in (
        *("yealink", "snom", "grandstream", "fritzbox", "threecx", "asterisk", "freepbx"),
    ):
        assert text_of(page, device).count(password) == 1, device


def test_a_name_is_shown_as_it_is_and_as_xml_has_it(client: Client, accountant: Visitor) -> None:
    client.new_number()
    page = confirm(accountant, fill_in(accountant, name='<b>"R&D"')).text
    assert "<b>" not in page
    assert 'Trunk Name: <b>"R&D"' in text_of(page, "freepbx")
    assert "&lt;b&gt;&#34;R&amp;D&#34;" in text_of(page, "snom")


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"name": ""}, "name", "Must have 1 to 120 characters."),
        ({"name": "x" * 121}, "name", "Must have 1 to 120 characters."),
        ({"name": "a\x01b"}, "name", "Must not contain control characters."),
        ({"main_number": ""}, "main_number", "Must be in E.164 format"),
        ({"main_number": "0612345678"}, "main_number", "Must be in E.164 format"),
        ({"main_number": "+390699999999"}, "main_number", "Must be one of your numbers."),
        ({"voice_channels": ""}, "voice_channels", "Must be a whole number."),
        ({"voice_channels": "many"}, "voice_channels", "Must be a whole number."),
        ({"voice_channels": "0"}, "voice_channels", "Must be at least 1."),
        ({"voice_channels": "1001"}, "voice_channels", "Must be at most 1000."),
    ],
)
@pytest.mark.parametrize("path", [FORM, CREATION])
def test_what_is_wrong_is_said_beside_its_field(
    client: Client, accountant: Visitor, path: str, fields: dict[str, str], field: str, said: str
) -> None:
    """By the confirmation, and by what creates, which trusts nothing that was confirmed."""
    client.new_number()
    sent = FIELDS | {"flat": "on"} | fields
    answer = accountant.send(path, {"csrf_token": token_of(accountant.get(FORM).text)} | sent)
    assert answer.status_code == 422
    assert said in text_of(answer.text, f"{field}-error")
    for name in ("name", "voice_channels", "flat"):
        assert kept(answer)[name] == sent[name]
    assert names(client) == []


def test_several_faults_are_said_at_once(client: Client, accountant: Visitor) -> None:
    client.new_number()
    answer = fill_in(accountant, name="", voice_channels="0")
    assert text_of(answer.text, "name-error")
    assert text_of(answer.text, "voice_channels-error")


def test_what_is_taken_is_refused_before_it_is_confirmed(
    client: Client, accountant: Visitor
) -> None:
    client.new_account(name="Front desk")
    client.new_number(OTHER_NUMBER)
    answer = fill_in(accountant, main_number=OTHER_NUMBER)
    assert text_of(answer.text, "name-error") == "Another account of the project has this name."
    assert kept(answer)["main_number"] == OTHER_NUMBER
    answer = fill_in(accountant, name="Other", main_number=NUMBER)
    assert text_of(answer.text, "main_number-error") == "The number is in use by another account."
    assert names(client) == ["Front desk"]


@pytest.mark.parametrize("state", ["ordered", "porting", "ceased"])
def test_a_number_that_is_not_active_cannot_be_chosen(
    client: Client, accountant: Visitor, state: str
) -> None:
    client.new_number()
    client.new_number(OTHER_NUMBER, state)
    assert OTHER_NUMBER not in accountant.get(FORM).text
    answer = fill_in(accountant, main_number=OTHER_NUMBER)
    assert "not active" in text_of(answer.text, "main_number-error")


def test_a_number_taken_since_the_confirmation_is_said(client: Client, accountant: Visitor) -> None:
    client.new_number(OTHER_NUMBER)
    client.new_number()
    confirmation = fill_in(accountant)
    body = {"name": "Quicker", "main_number": NUMBER, "voice_channels": 1}
    assert client("POST", "/sip-accounts", body).status_code == 201
    answer = confirm(accountant, confirmation)
    assert answer.status_code == 422
    assert text_of(answer.text, "main_number-error") == "The number is in use by another account."
    again = accountant.send(FORM, kept(answer) | {"main_number": OTHER_NUMBER})
    created = confirm(accountant, again)
    assert text_of(created.text, "username") == OTHER_NUMBER[1:]
    assert names(client) == ["Quicker", "Front desk"]


def test_going_back_keeps_what_was_typed(client: Client, accountant: Visitor) -> None:
    client.new_number()
    client.new_number(OTHER_NUMBER)
    typed = FIELDS | {"main_number": OTHER_NUMBER, "flat": "on", "cloudfire_only": "on"}
    confirmation = accountant.post(FORM, **typed)
    back = accountant.send(FORM, creation(confirmation) | {"back": "yes"})
    assert back.status_code == 200
    assert {name: kept(back)[name] for name in typed} == typed


def test_where_no_number_can_be_chosen_the_page_says_why(
    client: Client, accountant: Visitor
) -> None:
    client.new_account()
    client.new_number(OTHER_NUMBER, "porting")
    page = accountant.get(FORM).text
    assert "must be active and linked to no other account" in page
    assert links_of(page).count("/console/numbers") == 2  # in the navigation, and beside the reason
    assert "/console/accounts/new" not in forms_of(page)


def test_of_many_numbers_one_is_searched_for(client: Client, accountant: Visitor) -> None:
    for digits in range(101):
        client.new_number(f"+3906120{digits:05d}")
    page = accountant.get(FORM)
    assert '<input id="main_number"' in page.text
    assert page.text.count("<option") == 100
    assert len(page.data) <= 20_000
    found = accountant.get(f"{FORM}/numbers?q=0 00100").json
    assert found == [["+390612000100", "+390612000100"]]
    assert accountant.get(f"{FORM}/numbers?q=%25").json == []
    assert fill_in(accountant, main_number="+39 06120-00100").status_code == 200


def test_numbers_of_others_are_not_offered(client: Client, log_in: LogIn) -> None:
    first, second = (client.create("/customers", name=name) for name in ("First", "Second"))
    for customer, number in ((first, NUMBER), (second, OTHER_NUMBER)):
        project = client.create("/projects", name="Only", customer_id=customer["id"])
        client.create("/numbers", number=number, project_id=project["id"])
    person = log_in(Role.ACCOUNTING, first["id"])
    page = person.get(FORM).text
    assert NUMBER in page
    assert OTHER_NUMBER not in page
    assert person.get(f"{FORM}/numbers?q={OTHER_NUMBER[1:]}").json == []
    answer = fill_in(person, main_number=OTHER_NUMBER)
    assert text_of(answer.text, "main_number-error") == "Must be one of your numbers."
    assert confirm(person, fill_in(person)).status_code == 200


def test_the_account_belongs_to_its_numbers_project(client: Client, log_in: LogIn) -> None:
    customer = client.create("/customers", name="Two projects")
    projects = [
        client.create("/projects", name=name, customer_id=customer["id"])["id"]
        for name in ("Rome", "Milan")
    ]
    for project, number in zip(projects, (NUMBER, OTHER_NUMBER), strict=True):
        client.create("/numbers", number=number, project_id=project)
    person = log_in(Role.ADMIN, customer["id"])
    assert f"{OTHER_NUMBER} · Milan" in person.get(FORM).text
    confirm(person, fill_in(person, main_number=OTHER_NUMBER))
    assert client("GET", "/sip-accounts").json["items"][0]["project_id"] == projects[1]


def test_a_form_that_is_sent_again_creates_nothing(client: Client, accountant: Visitor) -> None:
    client.new_number()
    confirmation = fill_in(accountant)
    first = confirm(accountant, confirmation)
    second = confirm(accountant, confirmation)
    assert "exists already" in second.text
    assert text_of(first.text, "password") not in second.text
    account = client("GET", "/sip-accounts").json["items"][0]
    assert f"/console/accounts/{account['id']}/credentials" in forms_of(second.text)
    assert names(client) == ["Front desk"]


def test_two_clicks_at_once_create_one_account(client: Client, accountant: Visitor) -> None:
    client.new_number()
    sent = creation(fill_in(accountant))
    cookie = accountant.http.get_cookie("__Host-session")
    assert cookie

    def click(_: int) -> TestResponse:
        tab = visitor(client)
        tab.http.set_cookie(cookie.key, cookie.value, secure=True)
        return tab.send(CREATION, sent)

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(click, range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted("exists already" in answer.text for answer in answers) == [False, True]
    assert names(client) == ["Front desk"]


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.SALES, Role.READ_ONLY])
def test_other_roles_may_not(client: Client, log_in: LogIn, role: Role) -> None:
    """Neither by the page, which they have no link to, nor by a forged form."""
    client.new_number()
    person = log_in(role)
    assert "/console/accounts/new" not in links_of(person.get("/accounts").text)
    for path in (FORM, f"{FORM}/numbers"):
        assert person.get(path).status_code == 403
    for path in (FORM, CREATION):
        assert person.post(path, "/accounts", **FIELDS).status_code == 403
    assert names(client) == []


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ACCOUNTING])
def test_those_who_may_see_the_button(log_in: LogIn, role: Role) -> None:
    assert "/console/accounts/new" in links_of(log_in(role).get("/accounts").text)


def test_a_form_that_comes_after_the_session_is_kept(client: Client, accountant: Visitor) -> None:
    """It is sent once more after the login, and still acts once."""
    client.new_number()
    sent = creation(fill_in(accountant))
    accountant.http.delete_cookie("__Host-session")
    asked = accountant.send(CREATION, sent)
    assert asked.status_code == 401
    held = forms_of(asked.text)["/console/login"]
    assert held["kept-main_number"] == NUMBER
    assert held["kept-form_key"] == sent["form_key"]
    assert names(client) == []
