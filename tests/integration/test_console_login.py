"""Logging in where somebody means harm."""

import time
from datetime import timedelta
from typing import Any

import pytest
from passlib.totp import TOTP

from provisioner import db, login_store, logins, passwords
from provisioner.access import Role
from provisioner.console import login
from provisioner.console.guesses import AT_ONE, Guesses
from provisioner.errors import LoginRefused
from tests.integration.conftest import Client
from tests.integration.console import (
    HOST,
    PASSWORD,
    Visitor,
    logged_in,
    new_person,
    token_of,
    visitor,
)


@pytest.fixture
def stranger(client: Client) -> Visitor:
    return visitor(client)


def refusals(client: Client) -> list[Any]:
    """What the audit trail tells of failed logins."""
    found: list[Any] = client("GET", "/audit-events?type=user.login_refused").json["items"]
    return found


def with_second_factor(client: Client, admin: db.Connection) -> tuple[str, TOTP]:
    """Somebody whose codes are asked for: his email address, and his app."""
    person = logged_in(client, admin, Role.SALES)
    page = person.get("/profile/second-factor").text
    app = TOTP(page.partition('id="secret">')[2].partition("<")[0])
    assert person.post("/profile/second-factor", code=app.generate().token).status_code == 302
    admin.execute("UPDATE provisioner.users SET totp_counter = 0")
    return person.email, app


def test_guesses_at_once_are_no_more_than_one_after_another() -> None:
    guesses = Guesses()
    taken = [guesses.take_password("203.0.113.1", "a@example.org") for _ in range(12)]
    assert taken == [True] * AT_ONE.amount + [False] * 2
    assert guesses.take_password("203.0.113.2", "a@example.org")


def test_a_right_password_is_not_counted() -> None:
    guesses = Guesses()
    for _ in range(200):
        assert guesses.take_password("203.0.113.1", "a@example.org")
        guesses.password_was_right("203.0.113.1", "a@example.org")


def test_all_addresses_of_one_ipv6_network_are_one() -> None:
    guesses = Guesses()
    taken = [guesses.take_password(f"2001:db8::{i:x}", "a@example.org") for i in range(11)]
    assert taken == [True] * 10 + [False]
    assert guesses.take_password("2001:db8:1::1", "a@example.org")


def test_codes_are_counted_from_wherever_they_come() -> None:
    guesses = Guesses()
    assert sum(guesses.take_code(f"203.0.113.{i}", 1) for i in range(200)) == 50
    assert guesses.take_code("203.0.113.1", 2)


def test_a_refusal_is_told_once_a_minute_and_holds_no_secret(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    email = new_person(client, admin, Role.SALES)
    for _ in range(3):
        stranger.post("/login", email=email, password="a wrong password")
    (told,) = refusals(client)
    assert told["after"] == {"reason": "password"}
    assert told["source"] == "127.0.0.1"
    assert "a wrong password" not in str(told)


def test_nothing_is_told_of_who_does_not_exist(client: Client, stranger: Visitor) -> None:
    stranger.post("/login", email="nobody@example.org", password=PASSWORD)
    assert refusals(client) == []


def test_a_wrong_code_is_told(client: Client, admin: db.Connection, stranger: Visitor) -> None:
    email, _ = with_second_factor(client, admin)
    page = stranger.post("/login", email=email, password=PASSWORD).text
    stranger.send("/login/code", {"csrf_token": token_of(page), "code": "000000"})
    assert [one["after"]["reason"] for one in refusals(client)] == ["code"]


@pytest.mark.parametrize("known", [True, False])
def test_a_refusal_takes_as_long_for_whoever_exists(
    client: Client, admin: db.Connection, stranger: Visitor, *, known: bool
) -> None:
    email = new_person(client, admin, Role.SALES) if known else "nobody@example.org"
    token = token_of(stranger.get("/login").text)
    began = time.monotonic()
    stranger.send("/login", {"csrf_token": token, "email": email, "password": "wrong"})
    assert time.monotonic() - began >= login.REFUSED_AFTER


@pytest.mark.parametrize("email", ["a\0b@example.org", "a" * 100_000, "", "\N{GRINNING FACE}@x.y"])
def test_an_address_that_cannot_be_is_refused_like_others(stranger: Visitor, email: str) -> None:
    token = token_of(stranger.get("/login").text)
    sent = {"csrf_token": token, "email": email, "password": PASSWORD}
    assert stranger.send("/login", sent).status_code == 401


@pytest.mark.parametrize("code", ["", "１２３４５６", "²²²²²²", "0" * 1000, "12 34", "\0"])
def test_a_code_that_cannot_be_is_refused(
    client: Client, admin: db.Connection, stranger: Visitor, code: str
) -> None:
    email, _ = with_second_factor(client, admin)
    page = stranger.post("/login", email=email, password=PASSWORD).text
    answer = stranger.send("/login/code", {"csrf_token": token_of(page), "code": code})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        b"UPDATE provisioner.users SET active = false",
        b"UPDATE provisioner.users SET password_changed_at = now()",
        b"UPDATE provisioner.users SET totp_sealed = NULL",
    ],
)
def test_a_password_that_was_right_does_not_outlive_a_change(
    client: Client, admin: db.Connection, stranger: Visitor, change: bytes
) -> None:
    email, app = with_second_factor(client, admin)
    page = stranger.post("/login", email=email, password=PASSWORD).text
    admin.execute(change)
    sent = {"csrf_token": token_of(page), "code": app.generate().token}
    assert stranger.send("/login/code", sent).status_code == 401
    assert stranger.get("/accounts").status_code == 302


def test_a_password_that_was_right_counts_for_minutes_only(
    client: Client, admin: db.Connection, stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "PASSED_FOR", -1)
    email, app = with_second_factor(client, admin)
    page = stranger.post("/login", email=email, password=PASSWORD).text
    sent = {"csrf_token": token_of(page), "code": app.generate().token}
    assert stranger.send("/login/code", sent).location == "/console/login"


def test_a_password_found_right_before_a_change_begins_no_session(
    client: Client, admin: db.Connection
) -> None:
    email = new_person(client, admin, Role.SALES)
    right = logins.authenticate(login_store.candidates(admin, email), PASSWORD)
    admin.execute("UPDATE provisioner.users SET active = false")
    with pytest.raises(LoginRefused):
        logins.begin(admin, right, source=None, user_agent="", request_id="x")


def test_users_of_one_address_each_log_in_with_their_own_password(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    email = new_person(client, admin, Role.SALES)
    customer = client.create("/customers", name="Verdi")["id"]
    client.create("/users", email=email, name="Theirs", role="sales", customer_id=customer)
    admin.execute(
        "UPDATE provisioner.users SET password_hash = %s WHERE name = 'Theirs'",
        (passwords.hashed("their own password"),),
    )
    assert stranger.post("/login", email=email, password="their own password").status_code == 302
    assert "Theirs" in stranger.get("/profile").text


def test_logging_in_again_ends_the_former_session(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    token = token_of(person.get("/profile").text)
    sent = {"csrf_token": token, "email": person.email, "password": PASSWORD}
    assert person.send("/login", sent).status_code == 302
    row = admin.execute("SELECT count(*) AS n FROM provisioner.sessions").fetchone()
    assert row == {"n": 1}


def test_a_page_that_came_over_http_sends_no_form(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.SALES)
    token = token_of(person.get("/profile").text)
    answer = person.send("/logout", {"csrf_token": token}, Origin=HOST.replace("https", "http"))
    assert answer.status_code == 403


def test_a_login_page_that_is_too_old_is_shown_again_with_what_was_typed(
    stranger: Visitor,
) -> None:
    sent = {"csrf_token": "old", "email": "a@example.org", "kept": "yes", "kept-name": "Kept"}
    answer = stranger.send("/login", sent | {"following": "/console/numbers"})
    assert answer.status_code == 401
    assert 'value="a@example.org"' in answer.text
    assert 'name="kept-name" value="Kept"' in answer.text


@pytest.mark.parametrize("path", ["/logout", "/language"])
def test_a_form_that_nobody_misses_is_not_kept(stranger: Visitor, path: str) -> None:
    assert stranger.send(path, {"csrf_token": "old"}).location == "/console/login"


def test_a_kept_form_cannot_come_from_elsewhere(stranger: Visitor) -> None:
    token = token_of(stranger.get("/login").text)
    sent = {"csrf_token": token, "kept": "yes", "kept-name": "Evil"}
    answer = stranger.send("/login", sent, Origin="https://evil.example")
    assert answer.status_code == 403
    assert "Evil" not in answer.text


def test_what_a_page_asks_by_itself_does_not_keep_a_session_alive(
    client: Client, admin: db.Connection
) -> None:
    new_person(client, admin, Role.SALES)
    token, last = _idle_session(admin)
    assert logins.resume(admin, token, seen=False) is not None
    assert _last_seen(admin) == last
    assert logins.resume(admin, token) is not None
    assert _last_seen(admin) > last + timedelta(minutes=30)


def _idle_session(admin: db.Connection) -> tuple[str, Any]:
    row = admin.execute("SELECT id, password_changed_at FROM provisioner.users").fetchone()
    assert row
    right = logins.Login(row["id"], row["password_changed_at"], needs_second_factor=False)
    token, _ = logins.begin(admin, right, source=None, user_agent="", request_id="x")
    admin.execute("UPDATE provisioner.sessions SET last_seen_at = now() - interval '1 hour'")
    return token, _last_seen(admin)


def _last_seen(admin: db.Connection) -> Any:
    row = admin.execute("SELECT last_seen_at FROM provisioner.sessions").fetchone()
    assert row
    return row["last_seen_at"]


def test_an_admin_cannot_get_round_his_own_password(client: Client, admin: db.Connection) -> None:
    person = logged_in(client, admin, Role.ADMIN)
    own = client("GET", f"/users?q={person.email}").json["items"][0]["id"]
    for action in ("invite", "second-factor"):
        assert person.post(f"/people/{own}/{action}", f"/people/{own}").status_code == 409


def test_the_address_of_an_invitation_is_told_to_nobody(
    client: Client, admin: db.Connection, stranger: Visitor
) -> None:
    new_person(client, admin, Role.SALES)
    user = client("GET", "/users").json["items"][0]["id"]
    url = client("POST", f"/users/{user}/invitation").json["url"]
    answer = stranger.get(url.partition("/console")[2])
    assert answer.status_code == 200
    assert answer.headers["Referrer-Policy"] == "strict-origin"
    text = url.rpartition("/")[2]
    assert text not in client("GET", "/audit-events").text


def test_no_hash_and_no_secret_is_ever_answered(client: Client, admin: db.Connection) -> None:
    with_second_factor(client, admin)
    for path in ("/users", "/audit-events"):
        answer = client("GET", path).text
        assert "argon2" not in answer
        assert "sealed" not in answer
        assert "totp" not in answer
