"""A migrated database of its own for each test, and the application on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from provisioner import db
from provisioner.access import Role
from provisioner.api.context import Services
from provisioner.app import create_app
from provisioner.credentials import new_token, token_digest
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from provisioner.tenancy_store import insert_token
from tests.integration.databases import Databases
from tests.secrecy import SECRETS

NUMBER = "+390612345678"
OTHER_NUMBER = "+390612345679"


@pytest.fixture(scope="session")
def databases(stack: Stack) -> Databases:
    """Databases for the tests to write to."""
    return Databases(stack)


@pytest.fixture
def settings(databases: Databases) -> Iterator[Settings]:
    """Settings of a fresh, migrated database."""
    with databases.lent() as settings:
        yield settings


@pytest.fixture
def admin(settings: Settings) -> Iterator[db.Connection]:
    """A superuser's connection to the test's database."""
    with db.connect(settings.database_admin_url, autocommit=True) as connection:
        yield connection


class Answer(Protocol):
    """An HTTP answer; a test that indexes `json` expects a body."""

    status_code: int
    headers: Headers
    mimetype: str | None
    text: str
    json: Any


@dataclass
class Client:
    """The API without a network between."""

    http: FlaskClient
    token: str

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request with the Admin's token; header names with `_` for `-`."""
        sent = {"Authorization": f"Bearer {self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(method, path, sent, json=body)

    def send(self, method: str, path: str, headers: dict[str, str], **content: Any) -> Answer:
        """Send a request with just these headers."""
        answer = cast(
            Answer, self.http.open(f"/api/v1{path}", method=method, headers=headers, **content)
        )
        if (answer.mimetype or "").endswith(("/json", "+json")):
            SECRETS.answered(f"{method} {path}", answer.text, answer.json)
        return answer

    def bearing(self, token: str) -> "Client":
        """The same API with another token."""
        return Client(self.http, token)

    def create(self, path: str, **body: Any) -> Any:
        """Create something and return it."""
        answer = self("POST", path, body)
        assert answer.status_code == 201, answer.json
        return answer.json

    def new_number(self, number: str = NUMBER, state: str = "active") -> str:
        """Create a number."""
        assert self("POST", "/numbers", {"number": number, "state": state}).status_code == 201
        return number

    def new_account(self, number: str = NUMBER, **fields: Any) -> Any:
        """Create a number and an account on it."""
        self.new_number(number)
        body = {"name": f"Line {number}", "main_number": number, "voice_channels": 2} | fields
        answer = self("POST", "/sip-accounts", body)
        assert answer.status_code == 201, answer.json
        return answer.json


@contextmanager
def application(settings: Settings) -> Iterator[Client]:
    """The application on a database, called with a valid token."""
    token = new_token()
    SECRETS.saw(token, "a token")
    with db.connect(settings.database_admin_url, autocommit=True) as connection:
        insert_token(connection, "test", token_digest(token), role=Role.ADMIN)
    app = create_app(settings)
    yield Client(app.test_client(), token)
    services = app.extensions["provisioner"]
    assert isinstance(services, Services)
    services.database.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """The application on the test's database, called with a valid token."""
    with application(settings) as client:
        yield client


@pytest.fixture
def node(admin: db.Connection) -> int:
    """A known Kamailio node that never answers; its id."""
    row = admin.execute(
        "INSERT INTO provisioner.nodes (name, rpc_url, state, last_compared_at)"
        " VALUES ('away', 'http://127.0.0.1:9/rpc', 'away', now()) RETURNING id"
    ).fetchone()
    assert row
    return int(row["id"])
