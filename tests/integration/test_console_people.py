"""People in the console: logging in, one's own profile, users, invitations, tokens."""

import re
from html import unescape

import pytest
from passlib.totp import TOTP

from provisioner import db
from provisioner.access import Role
from tests.integration.conftest import Client
from tests.integration.console import (
    PASSWORD,
    Visitor,
    logged_in,
    new_person,
    token_of,
    visitor,
)

NEW = "another good password"


@pytest.fixture
def admin_person(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ADMIN)


@pytest.fixture
def stranger(client: Client) -> Visitor:
    return visitor(client)


def text_of(page: str, element: str) -> str:
    """What an element of a page says."""
    found = re.search(rf'id="{element}">([^<]+)<', page)
    assert found, page
    return unescape(found[1])


# Logging in.


def test_nobody_sees_a_page_without_logging_in(stranger: Visitor) -> None:
    answer = stranger.get("/accounts?q=x")
    assert answer.status_code == 302
    assert answer.location == "/console/login?following=/console/accounts?q%3Dx"


def test_who_logs_in_goes_where_he_was_going(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    email = new_person(client, admin, Role.SALES)
    page = stranger.get("/login?following=/console/numbers").text
    sent = {"csrf_token": token_of(page), "email": email, "password": PASSWORD}
    answer = stranger.send("/login", sent | {"following": "/console/numbers"})
    assert answer.location == "/console/numbers"


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("https://evil.example/", "//evil.example", "/\\evil.example", "/console/../evil"),
        *("/console//evil.example", "/console/\\evil", "/consoleevil", "/console/%2e%2e/x"),
    ],
)
def test_nobody_is_led_elsewhere(
    client: Client, admin: db.Connection, stranger: Visitor, elsewhere: str
) -> None:
    email = new_person(client, admin, Role.SALES)
    answer = stranger.post("/login", email=email, password=PASSWORD, following=elsewhere)
    assert answer.location == "/console/accounts"


@pytest.mark.parametrize("wrong", ["password", "email", "inactive"])
def test_every_refusal_reads_the_same(
    client: Client, admin: db.Connection, stranger: Visitor, wrong: str
) -> None:
    email = new_person(client, admin, Role.SALES)
    if wrong == "inactive":
        admin.execute("UPDATE provisioner.users SET active = false")
    given = {"email": "x@example.org" if wrong == "email" else email}
    given["password"] = "wrong password" if wrong == "password" else PASSWORD
    answer = stranger.post("/login", **given)
    assert answer.status_code == 401
    assert "Indirizzo e-mail o password errati." in answer.text


def test_the_session_is_another_one_after_logging_in(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    email = new_person(client, admin, Role.SALES)
    stranger.get("/login")
    before = stranger.http.get_cookie("__Host-session", domain="localhost")
    stranger.post("/login", email=email, password=PASSWORD)
    after = stranger.http.get_cookie("__Host-session", domain="localhost")
    assert before
    assert after
    assert before.value != after.value
    assert after.secure
    assert after.http_only
    assert after.same_site == "Lax"


def test_guessing_is_slowed_down_for_who_guesses_and_for_nobody_else(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    email = new_person(client, admin, Role.SALES)
    page = stranger.get("/login").text

    def guess(password: str, source: str) -> int:
        sent = {"csrf_token": token_of(page), "email": email, "password": password}
        environ = {"REMOTE_ADDR": source}
        headers = {"Origin": "https://localhost"}
        return stranger.http.post(
            "/console/login",
            data=sent,
            base_url="https://localhost",
            headers=headers,
            environ_overrides=environ,
        ).status_code

    answers = [guess(f"wrong {i}", "203.0.113.1") for i in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert guess(PASSWORD, "203.0.113.1") == 429
    assert guess(PASSWORD, "198.51.100.1") == 302


def test_logging_out_ends_the_session(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    cookie = person.http.get_cookie("__Host-session", domain="localhost")
    assert cookie
    assert person.post("/logout", "/accounts").location == "/console/login"
    thief = visitor(client)
    thief.http.set_cookie("__Host-session", cookie.value, domain="localhost", secure=True)
    assert thief.get("/accounts").status_code == 302


def test_a_person_who_is_not_active_any_more_is_out(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    admin.execute("UPDATE provisioner.users SET active = false")
    assert person.get("/accounts").status_code == 302


def test_a_session_ends_when_it_is_not_used(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    admin.execute("UPDATE provisioner.sessions SET last_seen_at = now() - interval '9 hours'")
    assert person.get("/accounts").status_code == 302


def test_a_form_is_not_lost_when_the_session_has_ended(
    client: Client, admin: db.Connection
) -> None:
    account = client.new_account()
    person = logged_in(client, admin, Role.ACCOUNTING)
    path = f"/accounts/{account['id']}"
    page = person.get(path).text
    admin.execute("DELETE FROM provisioner.sessions")
    asked = person.send(path, {"csrf_token": token_of(page), "name": "Kept", "voice_channels": "3"})
    assert asked.status_code == 401
    assert "what you typed has been kept" in asked.text or "è stato conservato" in asked.text
    kept = {"kept": "yes", "kept-name": "Kept", "kept-voice_channels": "3"}
    sent = {"csrf_token": token_of(asked.text), "email": person.email, "password": PASSWORD}
    again = person.send("/login", sent | kept | {"following": f"/console{path}"})
    assert 'name="name" value="Kept"' in again.text
    sent = {"csrf_token": token_of(again.text), "name": "Kept", "voice_channels": "3"}
    assert person.send(path, sent).status_code == 302
    assert client("GET", f"/sip-accounts/{account['id']}").json["name"] == "Kept"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_a_strangers_page_sends_no_form(
    client: Client, admin: db.Connection, headers: dict[str, str]
) -> None:
    account = client.new_account()
    person = logged_in(client, admin, Role.ADMIN)
    path = f"/accounts/{account['id']}"
    token = token_of(person.get(path).text)
    answer = person.send(f"{path}/enable", {"csrf_token": token}, **headers)
    assert answer.status_code == 403
    assert "enabled" not in client("GET", f"/sip-accounts/{account['id']}").json["state"]


def test_a_form_needs_its_browsers_token(client: Client, admin: db.Connection) -> None:
    account = client.new_account()
    person, other = logged_in(client, admin, Role.ADMIN), visitor(client)
    path = f"/accounts/{account['id']}/enable"
    for token in ("", token_of(other.get("/login").text)):
        assert person.send(path, {"csrf_token": token}).status_code == 401
    assert client("GET", f"/sip-accounts/{account['id']}").json["state"] == "disabled"


# The second factor.


def test_a_second_factor_is_asked_for_and_each_code_works_once(
    client: Client, admin: db.Connection
) -> None:
    person = logged_in(client, admin, Role.SALES)
    page = person.get("/profile/second-factor").text
    secret = text_of(page, "secret")
    assert "<svg" in page
    wrong = person.post("/profile/second-factor", code="000000")
    assert 'id="code-error">' in wrong.text
    code = TOTP(secret).generate().token
    assert person.post("/profile/second-factor", code=code).location == "/console/profile"

    again = visitor(client)
    asked = again.post("/login", email=person.email, password=PASSWORD)
    assert 'name="code"' in asked.text
    assert PASSWORD not in asked.text
    used = again.send("/login/code", {"csrf_token": token_of(asked.text), "code": code})
    assert used.status_code == 401
    admin.execute("UPDATE provisioner.users SET totp_counter = 0")
    code = TOTP(secret).generate().token
    answer = again.send("/login/code", {"csrf_token": token_of(used.text), "code": code})
    assert answer.location == "/console/accounts"
    assert again.get("/profile").status_code == 200


def test_a_code_without_the_password_opens_nothing(stranger: Visitor) -> None:
    token = token_of(stranger.get("/login").text)
    answer = stranger.send("/login/code", {"csrf_token": token, "code": "123456"})
    assert answer.location == "/console/login"


def test_codes_cannot_be_guessed_for_ever(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    secret = text_of(person.get("/profile/second-factor").text, "secret")
    person.post("/profile/second-factor", code=TOTP(secret).generate().token)
    again = visitor(client)
    page = again.post("/login", email=person.email, password=PASSWORD).text
    answers = [
        again.send("/login/code", {"csrf_token": token_of(page), "code": "000000"}).status_code
        for _ in range(11)
    ]
    assert answers == [401] * 10 + [429]


def test_the_second_factor_is_removed_with_the_password(
    client: Client, admin: db.Connection
) -> None:
    person = logged_in(client, admin, Role.SALES)
    secret = text_of(person.get("/profile/second-factor").text, "secret")
    person.post("/profile/second-factor", code=TOTP(secret).generate().token)
    path = "/profile/second-factor/remove"
    wrong = person.post(path, "/profile", password_of_factor="wrong")
    assert 'id="password_of_factor-error">' in wrong.text
    assert person.post(path, "/profile", password_of_factor=PASSWORD).status_code == 302
    assert visitor(client).post("/login", email=person.email, password=PASSWORD).status_code == 302


# One's own profile.


def test_a_new_password_ends_the_other_sessions(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    other = visitor(client)
    other.post("/login", email=person.email, password=PASSWORD)
    fields = {"password_old": PASSWORD, "password": NEW, "password_again": NEW}
    assert person.post("/profile/password", "/profile", **fields).status_code == 302
    assert person.get("/profile").status_code == 200
    assert other.get("/profile").status_code == 302
    assert visitor(client).post("/login", email=person.email, password=PASSWORD).status_code == 401
    assert visitor(client).post("/login", email=person.email, password=NEW).status_code == 302


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password_old": "wrong"}, "password_old"),
        ({"password": "short", "password_again": "short"}, "password"),
        ({"password_again": "something else"}, "password_again"),
    ],
)
def test_a_password_that_cannot_be_is_told_beside_its_field(
    client: Client, admin: db.Connection, fields: dict[str, str], field: str
) -> None:
    person = logged_in(client, admin, Role.SALES)
    given = {"password_old": PASSWORD, "password": NEW, "password_again": NEW} | fields
    answer = person.post("/profile/password", "/profile", **given)
    assert answer.status_code == 422
    assert f'id="{field}-error">' in answer.text
    assert NEW not in answer.text


def test_a_stolen_session_does_not_guess_the_password(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    fields = {"password": NEW, "password_again": NEW}
    answers = [
        person.post("/profile/password", "/profile", password_old=f"wrong {i}", **fields).text
        for i in range(11)
    ]
    assert ["Is not your present password." in one for one in answers] == [True] * 10 + [False]
    right = person.post("/profile/password", "/profile", password_old=PASSWORD, **fields)
    assert "Was wrong too often; wait a minute." in right.text


def test_a_session_is_ended_from_another(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    other = visitor(client)
    other.post("/login", email=person.email, password=PASSWORD)
    page = person.get("/profile").text
    found = re.search(r"/profile/sessions/\d+/end", page)
    assert found
    person.post(found[0], "/profile")
    assert other.get("/profile").status_code == 302


def test_the_language_is_remembered(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    assert "SIP accounts" in person.get("/accounts").text
    person.post("/language", "/accounts", language="it")
    assert "Account SIP" in person.get("/accounts").text
    assert admin.execute("SELECT language FROM provisioner.users").fetchone() == {"language": "it"}


# Users and their invitations.


def test_an_admin_invites_somebody_who_chooses_a_password(
    client: Client, admin_person: Visitor, stranger: Visitor
) -> None:
    fields = {"name": "Carla", "email": "carla@example.org", "role": "accounting"}
    page = admin_person.post("/people/new", **fields).text
    path = text_of(page, "invitation").removeprefix("https://localhost/console")
    assert "carla@example.org" in stranger.get(path).text
    fields = {"password": NEW, "password_again": NEW}
    assert stranger.post(path, **fields).location == "/console/login"
    answer = stranger.post("/login", email="carla@example.org", password=NEW)
    assert answer.location == "/console/accounts"
    assert visitor(client).get(path).status_code == 404


def test_an_invitation_expires(
    admin: db.Connection, admin_person: Visitor, stranger: Visitor
) -> None:
    fields = {"name": "Carla", "email": "carla@example.org", "role": "sales"}
    page = admin_person.post("/people/new", **fields).text
    path = text_of(page, "invitation").removeprefix("https://localhost/console")
    admin.execute("UPDATE provisioner.invitations SET expires_at = now()")
    assert stranger.get(path).status_code == 404


def test_an_email_address_that_is_taken_is_told_beside_its_field(admin_person: Visitor) -> None:
    fields = {"name": "Carla", "email": admin_person.email, "role": "sales"}
    answer = admin_person.post("/people/new", **fields)
    assert 'id="email-error">Another user has this email address.' in answer.text


def test_a_person_is_changed_and_removed(client: Client, admin_person: Visitor) -> None:
    user = client.create("/users", name="Carla", email="c@example.org", role="sales")
    path = f"/people/{user['id']}"
    assert admin_person.post(path, role="technician", name="Carla Verdi").status_code == 302
    assert client("GET", f"/users/{user['id']}").json["role"] == "technician"
    assert admin_person.post(f"{path}/delete").location == "/console/people"
    assert client("GET", f"/users/{user['id']}").status_code == 404


@pytest.mark.parametrize(("field", "change"), [("role", {"role": "sales"}), ("active", {})])
def test_nobody_shuts_himself_out(
    client: Client, admin_person: Visitor, field: str, change: dict[str, str]
) -> None:
    own = client("GET", f"/users?q={admin_person.email}").json["items"][0]["id"]
    fields: dict[str, str | None] = {**change} or {"active": None}
    answer = admin_person.post(f"/people/{own}", **fields)
    assert answer.status_code == 422
    assert f'id="{field}-error">' in answer.text
    assert admin_person.post(f"/people/{own}/delete", f"/people/{own}").status_code == 422


def test_another_customers_people_are_as_if_they_did_not_exist(
    client: Client, admin: db.Connection
) -> None:
    theirs = client.create("/customers", name="Verdi")
    user = client.create(
        "/users", name="X", email="x@example.org", role="sales", customer_id=theirs["id"]
    )
    ours = client.create("/customers", name="Bianchi")
    person = logged_in(client, admin, Role.ADMIN, ours["id"])
    assert person.get(f"/people/{user['id']}").status_code == 404
    assert person.post(f"/people/{user['id']}/invite", "/people").status_code == 404
    assert "x@example.org" not in person.get("/people").text


# Tokens.


def test_a_token_is_shown_once_and_revoked(client: Client, admin_person: Visitor) -> None:
    page = admin_person.post(
        "/tokens/new", name="Portal", role="read_only", expires_at="2999-01-01"
    )
    text = text_of(page.text, "token")
    assert client.bearing(text)("GET", "/numbers").status_code == 200
    listed = admin_person.get("/people").text
    assert text not in listed
    found = re.search(r"/tokens/\d+/revoke", listed[listed.index("Portal") :])
    assert found
    assert admin_person.post(found[0]).status_code == 302
    assert client.bearing(text)("GET", "/numbers").status_code == 401


def test_a_token_form_that_is_sent_twice_makes_one(client: Client, admin_person: Visitor) -> None:
    page = admin_person.get("/tokens/new").text
    key = re.search(r'name="form_key" value="([^"]+)"', page)
    assert key
    sent = {"csrf_token": token_of(page), "form_key": key[1], "name": "Portal", "role": "sales"}
    assert admin_person.send("/tokens/new", sent).status_code == 200
    assert admin_person.send("/tokens/new", sent).location == "/console/people"
    names = [one["name"] for one in client("GET", "/tokens").json["items"]]
    assert names.count("Portal") == 1
