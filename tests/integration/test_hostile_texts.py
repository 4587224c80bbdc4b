"""Every text that is stored is hostile, and so is what is typed: pages show it as text.

The texts are written into the database past all rules, so that a page is safe whatever the rules
let through now or later. The control is the same walk where templates do not escape.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from provisioner import db
from provisioner.access import Role
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.billing import kamailio_of
from tests.integration.conftest import Client
from tests.integration.console import Visitor, forms_of, logged_in, token_of, visitor
from tests.integration.walk import Parsed, Seen, Walk
from tests.integration.world import new_tenant

ELEMENT = "x-hostile"
TYPED = f"\"'><{ELEMENT} onmouseover=alert(1)>{{{{7*7}}}}</{ELEMENT}>"
CALLED = "+390687654321"

# Texts that the service reads again, and would not understand.
NOT_FREE = {
    "provisioner.api_tokens.token_digest",
    "provisioner.audit_events.subject",
    "provisioner.audit_events.subject_id",
    "provisioner.audit_events.type",
    "provisioner.audit_events.via",
    "provisioner.guessing.account_id",
    "provisioner.installation.time_zone",
    "provisioner.sessions.token_digest",
    "provisioner.users.password_hash",
    "provisioner.users.totp_sealed",
}
# Some of what the pages do show, so that the walk has come by.
SHOWN = [
    *("before", "after", "sip_accounts.name", "sip_accounts.main_number", "users.name"),
    *("users.email", "sessions.user_agent", "audit_events.actor_name", "api_tokens.name"),
    *("customers.name", "projects.name", "hook_sources.name", "webhook_endpoints.url"),
    *("webhook_attempts.response", "webhook_attempts.error", "incoming_events.detail"),
    *("call_records.caller", "call_records.called", "caller_id_rules.number"),
]
COLUMNS = """
SELECT table_schema || '.' || table_name || '.' || column_name AS name,
    table_schema AS schema, table_name AS table, column_name AS column
FROM information_schema.columns JOIN information_schema.tables
    USING (table_catalog, table_schema, table_name)
WHERE table_schema IN ('provisioner', 'kamailio') AND table_type = 'BASE TABLE'
    AND data_type IN ('text', 'character varying')
ORDER BY 1
"""


def hostile(name: str) -> str:
    """A text that ends attributes and elements, and says where it is from."""
    return f"\"'><{ELEMENT} onmouseover=alert(1)>{name}</{ELEMENT}>"


def poison(admin: db.Connection) -> list[str]:
    """Make every text of the database hostile that no constraint keeps; name their columns."""
    poisoned = []
    admin.execute("SET session_replication_role = replica")
    for row in admin.execute(COLUMNS).fetchall():
        statement = sql.SQL("UPDATE {} SET {} = %s").format(
            sql.Identifier(row["schema"], row["table"]), sql.Identifier(row["column"])
        )
        if row["name"] in NOT_FREE:
            continue
        with suppress(psycopg.DatabaseError):
            if admin.execute(statement, [hostile(row["name"])]).rowcount:
                poisoned.append(row["name"])
    admin.execute(
        "UPDATE provisioner.audit_events SET"
        " before = before || jsonb_build_object('name', %s::text),"
        " after = after || jsonb_build_object('name', %s::text)",
        [hostile("before"), hostile("after")],
    )
    admin.execute("RESET session_replication_role")
    return poisoned


def inhabit(client: Client, stack: Stack, settings: Settings, admin: db.Connection) -> None:
    """A customer with one of everything, among it a call, and an answer to a webhook."""
    tenant = new_tenant(client, "Alpha", "06111111")
    account = tenant.parameters["account_id"]
    assert client("POST", f"/sip-accounts/{account}/enable").status_code == 200
    with kamailio_of(settings, stack, admin) as kamailio:
        kamailio.end(kamailio.place(account, CALLED))
    admin.execute(
        "INSERT INTO provisioner.webhook_attempts"
        " (delivery_id, status, duration_ms, error, response) VALUES (%s, 500, 1, '', '')",
        [tenant.parameters["delivery_id"]],
    )


def faults(pages: Iterable[Seen]) -> list[str]:
    """Pages on which a text has become an element, or something else that a browser runs."""
    return [page.address for page in pages if is_broken_out_of(page.parsed)]


def is_broken_out_of(parsed: Parsed) -> bool:
    return bool(parsed.inline) or any(name == ELEMENT for name, _ in parsed.elements)


@pytest.fixture
def person(client: Client, admin: db.Connection, settings: Settings, stack: Stack) -> Visitor:
    """The operator's Admin, in a world with one of everything."""
    person = logged_in(client, admin, Role.ADMIN)
    inhabit(client, stack, settings, admin)
    return person


@pytest.fixture
def poisoned(person: Visitor, admin: db.Connection) -> Visitor:
    """The same, all texts being hostile."""
    assert len(poison(admin)) > 40
    return person


def test_a_stored_text_is_shown_as_text(poisoned: Visitor) -> None:
    walk = Walk(poisoned).go()
    assert walk.broken == []
    assert len(walk.pages) > 40
    assert faults(walk.pages) == []
    text = "".join(page.text for page in walk.pages)
    assert [name for name in SHOWN if name not in text] == []


def test_a_template_that_does_not_escape_would_be_found(poisoned: Visitor) -> None:
    environment: Any = poisoned.http.application.jinja_env
    environment.autoescape = False
    environment.cache.clear()
    assert len(faults(Walk(poisoned).go().pages)) > 20


def test_what_is_typed_is_shown_as_text(person: Visitor) -> None:
    """In every field of every form, and as every parameter of every list."""
    pages = Walk(person).go().pages
    actions = {action: fields for page in pages for action, fields in forms_of(page.text).items()}
    again = 0
    for action, fields in actions.items():
        path = urlsplit(action).path.removeprefix("/console")
        if path in ("/logout", "/language", ""):
            continue
        typed = dict.fromkeys(fields, TYPED)
        sent = typed | {"csrf_token": token_of(person.get("/profile").text)}
        for answer in (person.send(path, sent), person.get(path, query_string=typed)):
            assert not is_broken_out_of(Parsed(action, answer.text)), action
            assert answer.status_code != 500, action
            again += ELEMENT in answer.text
    assert again > 20
    for path in (f"/{TYPED}", f"/accounts/{TYPED}", f"/login?following={TYPED}"):
        for somebody in (person, visitor(Client(person.http, ""))):
            assert not is_broken_out_of(Parsed(path, somebody.get(path).text)), path
