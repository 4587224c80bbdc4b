"""Windows of the browser, and people who have logged in with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from provisioner import db, passwords
from provisioner.access import Role
from provisioner.stack.stack import Stack
from tests.secrecy import SECRETS, readable
from tests.system import System

PASSWORD = "correct horse battery"
PATIENCE = 20_000  # milliseconds; none is longer because a machine is fast

expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Person:
    """Somebody who can log in; of the operator where `customer_id` is None."""

    id: int
    email: str
    role: Role
    customer_id: int | None
    password: str = PASSWORD


class People:
    """Makes people who can log in."""

    def __init__(self, system: System, stack: Stack) -> None:
        self._api = system.api
        self._url = stack.database_admin_url
        self._hash = passwords.hashed(PASSWORD)

    def new(self, role: Role, *, language: str = "it", customer_id: int | None = None) -> Person:
        """Add one."""
        email = f"{role}-{token_hex(4)}@example.org"
        body: dict[str, Any] = {"email": email, "name": f"Anna {role}", "role": role}
        if customer_id is not None:
            body["customer_id"] = customer_id
        user = self._api.post("/users", body).expect(201)
        with db.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "UPDATE provisioner.users SET password_hash = %s, language = %s WHERE id = %s",
                (self._hash, language, user["id"]),
            )
        return Person(user["id"], email, role, customer_id)


@pytest.fixture(scope="session")
def people(system: System, stack: Stack) -> People:
    """People of the system that all tests share."""
    return People(system, stack)


@pytest.fixture
def context(browser: Browser, system: System) -> Iterator[BrowserContext]:
    """A browser's window of its own: no cookies of others."""
    context = browser.new_context(base_url=system.api.url, locale="it-IT")
    context.set_default_timeout(PATIENCE)
    yield context
    look_through(context)
    context.close()


def look_through(context: BrowserContext) -> None:
    """Look for secrets in what a browser keeps: cookies, and what scripts have stored."""
    kept = context.storage_state(indexed_db=True)
    sessions = [one["value"] for one in kept["cookies"] if one["name"].endswith("session")]
    shown = [page for page in context.pages if page.url.startswith("http")]
    texts = [str(kept), *map(readable, sessions)]
    texts += [page.evaluate("JSON.stringify(sessionStorage)") for page in shown]
    for text in texts:
        SECRETS.leaks += [f"{kind} in a browser's storage" for kind in SECRETS.found(text)]


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page in it."""
    return context.new_page()


def log_in(page: Page, person: Person) -> None:
    """Log in as a person does."""
    page.goto("/console/login")
    page.locator("#email").fill(person.email)
    page.locator("#password").fill(person.password)
    page.locator("main form button").click()
    page.wait_for_url("**/console/accounts")
