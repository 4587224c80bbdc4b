"""Attacks on who has logged in, each with the console that it would succeed against."""

import re
from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.console import entrance
from tests.integration.conftest import Client
from tests.integration.console import HOST, PASSWORD, Visitor, logged_in, new_person, visitor

ELSEWHERE = [
    *("https://evil.example/", "//evil.example", "/\\evil.example", "/console/../evil", "/evil"),
    *("/console//evil.example", "/console/\\evil", "/consoleevil", "javascript:alert(1)"),
    *("/console/%2e%2e/x", "/console/\t/evil.example", "\x00https://evil.example"),
]
COOKIE = "__Host-session"


@pytest.fixture
def account(client: Client) -> Any:
    return client.new_account()


def forge(person: Visitor, account: Any, **headers: str) -> int:
    """Have somebody's browser send a form that a stranger's page holds; the answer's status."""
    sent = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} | headers
    return person.send(f"/accounts/{account['id']}/enable", {}, **sent).status_code


def state(client: Client, account: Any) -> str:
    return str(client("GET", f"/sip-accounts/{account['id']}").json["state"])


def test_a_strangers_form_does_nothing_without_a_token(
    client: Client, admin: db.Connection, account: Any
) -> None:
    person = logged_in(client, admin, Role.ADMIN)
    assert forge(person, account) == 403
    assert forge(person, account, **{"Origin": HOST, "Sec-Fetch-Site": "same-origin"}) == 401
    assert state(client, account) == "disabled"


def test_a_console_that_does_not_look_would_be_forged(
    client: Client, admin: db.Connection, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "_from_our_own_page", lambda: True)
    monkeypatch.setattr(entrance.csrf, "protect", lambda: None)
    assert forge(logged_in(client, admin, Role.ADMIN), account) == 302
    assert state(client, account) == "enabled"


def lead(client: Client, admin: db.Connection, following: str) -> str:
    """Log in by a link that somebody sent; where it leads."""
    person = visitor(client)
    email = new_person(client, admin, Role.SALES)
    answer = person.post("/login", email=email, password=PASSWORD, following=following)
    assert answer.status_code == 302
    return str(answer.location)


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_no_link_leads_elsewhere(client: Client, admin: db.Connection, elsewhere: str) -> None:
    assert lead(client, admin, elsewhere) == "/console/accounts"
    person = logged_in(client, admin, Role.SALES)
    answer = person.get("/login", query_string={"following": elsewhere})
    assert answer.location == "/console/accounts"


def test_a_console_that_follows_any_link_would_lead_elsewhere(
    client: Client, admin: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "_OURS", re.compile(".*"))
    assert lead(client, admin, ELSEWHERE[0]) == ELSEWHERE[0]


def test_a_session_that_was_planted_is_not_the_one_that_is_used(
    client: Client, admin: db.Connection
) -> None:
    """Whoever knows a browser's session before its user logs in knows nothing afterwards."""
    attacker, victim = visitor(client), visitor(client)
    attacker.get("/login")
    planted = attacker.http.get_cookie(COOKIE, domain="localhost")
    assert planted
    victim.http.set_cookie(COOKIE, planted.value, domain="localhost", secure=True)
    email = new_person(client, admin, Role.SALES)
    assert victim.post("/login", email=email, password=PASSWORD).status_code == 302
    assert victim.get("/profile").status_code == 200
    assert attacker.get("/profile").status_code == 302


def test_a_session_that_was_copied_would_be_noticed(client: Client, admin: db.Connection) -> None:
    """The look of the test above: with the session of afterwards it sees the page."""
    attacker, victim = visitor(client), logged_in(client, admin, Role.SALES)
    copied = victim.http.get_cookie(COOKIE, domain="localhost")
    assert copied
    attacker.http.set_cookie(COOKIE, copied.value, domain="localhost", secure=True)
    assert attacker.get("/profile").status_code == 200
    assert victim.post("/logout", "/profile").status_code == 302
    assert attacker.get("/profile").status_code == 302
