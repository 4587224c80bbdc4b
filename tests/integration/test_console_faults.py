"""What goes wrong around a page: it is told plainly, and what somebody typed is not lost."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from werkzeug.test import TestResponse

from provisioner import db
from provisioner.access import Role
from provisioner.console.console import CACHED, HEADERS
from provisioner.settings import Settings
from tests.integration.conftest import Client
from tests.integration.console import (
    HOST,
    PASSWORD,
    Visitor,
    forms_of,
    logged_in,
    token_of,
    visitor,
)
from tests.integration.walk import Walk
from tests.system import eventually

TYPED = '<b>Front</b> "desk"'


@pytest.fixture
def person(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ADMIN)


@pytest.fixture
def account(client: Client) -> Any:
    return client.new_account()


def change(person: Visitor, account: Any, token: str, **headers: str) -> TestResponse:
    """Send the form that gives an account another name."""
    fields = {"csrf_token": token, "name": TYPED, "voice_channels": "2", "password": "secret word"}
    return person.send(f"/accounts/{account['id']}", fields, **headers)


def name_of(client: Client, account: Any) -> str:
    return str(client("GET", f"/sip-accounts/{account['id']}").json["name"])


def a_token(person: Visitor) -> str:
    return token_of(person.get("/accounts").text)


@contextmanager
def away(settings: Settings) -> Iterator[None]:
    """Nobody can reach the database."""
    cluster, _, name = settings.database_admin_url.rpartition("/")
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as boss:
        boss.execute(statement.format(sql.Identifier(name), sql.SQL("false")))
        boss.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            boss.execute(statement.format(sql.Identifier(name), sql.SQL("true")))


def test_a_form_outlives_the_end_of_the_session(
    client: Client, admin: db.Connection, person: Visitor, account: Any
) -> None:
    token = a_token(person)
    admin.execute("DELETE FROM provisioner.sessions")
    asked = change(person, account, token)
    assert asked.status_code == 401
    assert "secret word" not in asked.text
    login = forms_of(asked.text)["/console/login"]
    again = person.send("/login", login | {"email": person.email, "password": PASSWORD})
    assert again.status_code == 200
    kept = forms_of(again.text)[f"/console/accounts/{account['id']}"]
    assert kept["name"] == TYPED
    assert person.send(f"/accounts/{account['id']}", kept).status_code == 302
    assert name_of(client, account) == TYPED


def test_a_form_outlives_the_absence_of_the_database(
    client: Client, settings: Settings, person: Visitor, account: Any
) -> None:
    token = a_token(person)
    with away(settings):
        page = person.get("/accounts")
        failed = change(person, account, token)
    assert (page.status_code, failed.status_code) == (503, 503)
    assert page.headers["Retry-After"] == "2"
    for told in (page.text, failed.text):
        assert "The database cannot be reached at the moment; try again." in told
        assert "Traceback" not in told
        assert "psycopg" not in told
    assert "secret word" not in failed.text
    kept = forms_of(failed.text)[f"/console/accounts/{account['id']}"]
    assert kept["name"] == TYPED

    def sent() -> bool:  # the pool finds out after a moment that the database is there
        return person.send(f"/accounts/{account['id']}", kept).status_code == 302

    eventually(sent)
    assert name_of(client, account) == TYPED


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_a_form_of_another_site_does_nothing_and_is_not_kept(
    client: Client, person: Visitor, account: Any, headers: dict[str, str]
) -> None:
    answer = change(person, account, a_token(person), **headers)
    assert answer.status_code == 403
    assert "Front" not in answer.text
    assert name_of(client, account) == account["name"]


def test_a_form_without_this_browsers_token_does_nothing(
    client: Client, admin: db.Connection, person: Visitor, account: Any
) -> None:
    other = logged_in(client, admin, Role.ADMIN)
    for token in ("", "nonsense", a_token(other)):
        assert change(person, account, token).status_code == 401
    assert name_of(client, account) == account["name"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nothing/here", 404, "There is no such page."),
        ("/accounts/999999999", 404, "There is no such account."),
        ("/accounts/99999999999999999999", 404, "There is no such page."),
        ("/numbers/x", 404, "There is no such number."),
        ("/logout", 404, "There is no such page."),
        ("/accounts?state=x", 404, "There is no such page."),
        ("/accounts?q=%00", 404, "There is no such page."),
        ("/accounts?cursor=x", 422, "must be the cursor of an earlier page"),
        ("/static/x/../../console.py", 404, "There is no such page."),
    ],
)
def test_what_does_not_exist_is_told_on_a_page(
    person: Visitor, path: str, status: int, text: str
) -> None:
    answer = person.get(path)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert text in answer.text


def test_a_form_that_is_too_large_is_refused_with_a_page(person: Visitor, account: Any) -> None:
    fields = {"csrf_token": a_token(person), "name": "x" * 1_100_000}
    answer = person.send(f"/accounts/{account['id']}", fields)
    assert (answer.status_code, answer.mimetype) == (413, "text/html")
    assert "What was sent is too large." in answer.text


def test_a_node_that_is_away_is_named(person: Visitor, account: Any, node: int) -> None:
    for path in ("/accounts", f"/accounts/{account['id']}"):
        assert "Not all nodes answer: away." in person.get(path).text


def test_every_page_is_safe_by_its_headers_and_has_nothing_inline(
    client: Client, person: Visitor, account: Any
) -> None:
    pages = Walk(person).go().pages
    assert len(pages) > 25
    for page in pages:
        assert page.parsed.inline == [], page.address
        assert {name: page.headers.get(name) for name in HEADERS} == HEADERS, page.address
        assert page.headers["Strict-Transport-Security"], page.address
        assert page.headers["Cache-Control"] == "no-store", page.address
        ids = [given["id"] for _, given in page.parsed.elements if "id" in given]
        assert len(ids) == len(set(ids)), page.address
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    for answer in (visitor(client).get("/login"), person.get("/nothing")):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_file_is_kept_for_ever_only_under_its_own_address(person: Visitor) -> None:
    found = re.search(r"/console/static/[^\"]+css", person.get("/accounts").text)
    assert found
    with person.http.get(found[0], base_url=HOST) as own:
        assert own.headers["Cache-Control"] == CACHED
    elsewhere = re.sub("static/[^/]+", "static/0", found[0])
    with person.http.get(elsewhere, base_url=HOST) as other:
        assert other.headers["Cache-Control"] == "no-store"
