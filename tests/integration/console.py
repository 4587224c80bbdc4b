"""A person who uses the console, without a browser."""

import re
from dataclasses import dataclass
from functools import cache
from html import unescape
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from provisioner import db, passwords
from provisioner.access import Role
from tests.integration.conftest import Client

HOST = "https://localhost"
PASSWORD = "correct horse battery"


@cache
def _hash() -> str:
    return passwords.hashed(PASSWORD)


class _Fields(HTMLParser):
    """Collects what the forms of a page would send, by the address that they send it to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.links: list[str] = []
        self._form: dict[str, str] = {}
        self._field = ""
        self._in_area = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = self.forms.setdefault(given.get("action", ""), {})
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "input" and "name" in given and not _is_unchecked(given):
            self._form[given["name"]] = given.get("value", "on")
        elif tag == "select":
            self._field = given["name"]
        elif tag == "option" and ("selected" in given or self._field not in self._form):
            self._form[self._field] = given.get("value", "")
        elif tag == "textarea":
            self._field = given["name"]
            self._form[self._field] = ""
            self._in_area = True

    def handle_data(self, data: str) -> None:
        if self._in_area:
            self._form[self._field] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._in_area = False


def _is_unchecked(given: dict[str, str]) -> bool:
    return given.get("type") in ("checkbox", "radio") and "checked" not in given


@dataclass
class Visitor:
    """Somebody with a browser of his own."""

    http: FlaskClient
    email: str = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        """Open a page."""
        return self.http.get(f"/console{path}", base_url=HOST, **more)

    def post(self, path: str, page: str | None = None, **fields: Any) -> TestResponse:
        """Send the form that `page` (`path` itself) has for `path`, with these fields instead.

        A field that is None is not sent. A page without such a form gives its token alone, as
        somebody would who forges the request.
        """
        shown = self.get(path if page is None else page).text
        forms = _Fields(shown).forms
        sent: dict[str, Any] = dict(forms.get(f"/console{path}", {}))
        sent.setdefault("csrf_token", token_of(shown))
        sent |= fields
        return self.send(path, {name: one for name, one in sent.items() if one is not None})

    def send(self, path: str, fields: dict[str, Any], **headers: str) -> TestResponse:
        """Send just these fields."""
        sent = {"Origin": HOST} | headers
        return self.http.post(f"/console{path}", data=fields, base_url=HOST, headers=sent)


def token_of(page: str) -> str:
    """Find the CSRF token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    return unescape(found[1]) if found else ""


def forms_of(page: str) -> dict[str, dict[str, str]]:
    """List a page's forms: what they would send, by address."""
    return _Fields(page).forms


def links_of(page: str) -> list[str]:
    """List the addresses that a page leads to."""
    return _Fields(page).links


def new_person(
    client: Client, admin: db.Connection, role: Role, customer_id: int | None = None
) -> str:
    """Add somebody who can log in; return his email address."""
    count = len(client("GET", "/users?limit=100").json["items"])
    email = f"{role}-{count}@example.org"
    user = client.create(
        "/users", email=email, name=f"Anna {role}", role=role, customer_id=customer_id
    )
    admin.execute(
        "UPDATE provisioner.users SET password_hash = %s, language = 'en' WHERE id = %s",
        (_hash(), user["id"]),
    )
    return email


def visitor(client: Client) -> Visitor:
    """Somebody who has not logged in."""
    return Visitor(client.http.application.test_client())


def logged_in(
    client: Client, admin: db.Connection, role: Role, customer_id: int | None = None
) -> Visitor:
    """Somebody of a role who has logged in; his pages are in English."""
    person = visitor(client)
    person.email = new_person(client, admin, role, customer_id)
    answer = person.post("/login", email=person.email, password=PASSWORD)
    assert answer.status_code == 302, answer.text
    return person


def text_of(page: str, element_id: str) -> str:
    """Find the text of an element that holds nothing else; empty where there is no such element."""
    found = re.search(rf'id="{element_id}"[^>]*>([^<]*)<', page)
    return unescape(found[1]).strip() if found else ""


def read_of(page: str) -> str:
    """Return what can be read on a page, its blanks made one."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
