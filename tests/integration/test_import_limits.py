"""Imports of several people: who sees them, how many may wait, whose turn it is, what is told."""

import threading
from typing import Any

import pyrage
import pytest

from provisioner import db
from provisioner.access import Role, Via, system_actor
from provisioner.bulk import staging
from provisioner.bulk.errors import TooManyImports
from provisioner.bulk.imports import NewImport, upload
from provisioner.bulk.model import Format, Kind
from provisioner.settings import Settings
from tests.integration.conftest import Client
from tests.integration.importing import ACCOUNT_HEADER, Imports, accounts_file, file_of, numbers
from tests.integration.world import Tenant, new_tenant
from tests.system import eventually


@pytest.fixture
def imports(client: Client, settings: Settings) -> Imports:
    return Imports(client, settings, pyrage.x25519.Identity.generate())


@pytest.fixture
def tenant(client: Client, admin: db.Connection) -> Tenant:
    tenant = new_tenant(client, "Alpha", "06111111")
    admin.execute("DELETE FROM provisioner.imports")
    return tenant


def customer_of(imports: Imports, tenant: Tenant) -> Imports:
    return imports.bearing(tenant.tokens[Role.ADMIN])


def project_of(imports: Imports, tenant: Tenant) -> Imports:
    """With a token that is limited to the tenant's first project."""
    return imports.bearing(tenant.tokens_of_project[Role.ADMIN])


def listed(imports: Imports) -> list[int]:
    return [job["id"] for job in imports.client("GET", "/imports").json["items"]]


def answers(imports: Imports, job: Any) -> list[int]:
    """What each way to an import is answered."""
    path = f"/imports/{job['id']}"
    ways = ("GET", ""), ("GET", "/errors"), ("GET", "/credentials"), ("POST", "/cancel")
    return [imports.client(method, f"{path}{way}").status_code for method, way in ways]


# Who sees it.


def test_an_import_of_the_customers_is_not_seen_with_a_token_of_one_project(
    imports: Imports, tenant: Tenant
) -> None:
    """Its lines may name any project, whatever the one of those that name none is."""
    customer, project = customer_of(imports, tenant), project_of(imports, tenant)
    job = customer.run("accounts", accounts_file([tenant.parameters["number"]]))
    assert (job["status"], job["project_id"]) == ("done", tenant.project)
    assert answers(project, job) == [404, 404, 404, 404]
    assert listed(project) == []
    told = project.client("GET", "/audit-events?subject=import").json["items"]
    assert told == []
    assert len(customer.credentials(job)) == 1


def test_an_import_of_one_project_is_seen_with_tokens_of_that_project_and_of_more(
    imports: Imports, tenant: Tenant
) -> None:
    project = project_of(imports, tenant)
    job = project.run("accounts", accounts_file([tenant.parameters["number"]]))
    for reader in (project, customer_of(imports, tenant), imports):
        assert listed(reader) == [job["id"]]
    assert answers(project, job) == [200, 200, 200, 409]


def test_an_import_of_one_project_is_not_seen_with_tokens_of_another(
    imports: Imports, tenant: Tenant
) -> None:
    job = project_of(imports, tenant).run("accounts", accounts_file(["+390611111199"]))
    admin = customer_of(imports, tenant).client
    second = admin.create("/projects", name="Second")
    made = admin.create("/tokens", name="second", role="admin", project_id=second["id"])
    other = imports.bearing(made["token"])
    assert answers(other, job) == [404, 404, 404, 404]
    assert listed(other) == []


def test_an_import_of_the_operators_is_not_seen_by_a_customer(
    imports: Imports, tenant: Tenant
) -> None:
    content = accounts_file([tenant.parameters["number"]])
    job = imports.run("accounts", content, f"&project={tenant.project}")
    assert job["status"] == "done"
    for reader in (customer_of(imports, tenant), project_of(imports, tenant)):
        assert answers(reader, job) == [404, 404, 404, 404]
        assert listed(reader) == []


# Side by side.


@pytest.mark.parametrize("analyze_from", [1, staging.ANALYZE_FROM])
def test_one_import_does_not_wait_for_another(
    imports: Imports, settings: Settings, monkeypatch: pytest.MonkeyPatch, analyze_from: int
) -> None:
    """The first is held up by somebody who has changed one of its numbers, but not committed."""
    monkeypatch.setattr(staging, "ANALYZE_FROM", analyze_from)
    wanted = numbers(4)
    assert imports.run("numbers", file_of("number", wanted))["status"] == "done"
    held = imports.upload("accounts", accounts_file(wanted[:2]), "&credentials=none").json
    worker = threading.Thread(target=imports.work)
    with db.connect(settings.database_url) as other:
        other.execute("SELECT FROM provisioner.numbers WHERE number = %s FOR UPDATE", wanted[:1])
        worker.start()
        eventually(lambda: imports.state(held) == "applying")
        assert imports.run("accounts", accounts_file(wanted[2:]))["status"] == "done"
        assert imports.state(held) == "applying"
    worker.join()
    assert imports.state(held) == "done"


# How many, and whose turn it is.


def test_five_imports_of_a_customer_may_wait(imports: Imports, tenant: Tenant) -> None:
    customer = customer_of(imports, tenant)
    sent = [customer.upload("accounts", "", "&credentials=none") for _ in range(6)]
    assert [answer.status_code for answer in sent] == [202] * 5 + [409]
    assert sent[5].json["type"].endswith(":too-many-imports")
    assert imports.upload("numbers", "").status_code == 202, "the operator's do not count"
    customer.client("POST", f"/imports/{sent[0].json['id']}/cancel")
    assert customer.upload("accounts", "", "&credentials=none").status_code == 202


def test_imports_that_are_sent_at_once_count_as_well(
    imports: Imports, settings: Settings, admin: db.Connection
) -> None:
    """The sixth has begun before the others were there."""

    class Late:
        """A file whose first byte comes when five others have been stored."""

        def read(self, _: int = -1, /) -> bytes:
            for _ in range(5):
                assert imports.upload("numbers", "").status_code == 202
            return b""

    actor = system_actor(Via.API, "test")
    with db.connect(settings.database_url) as connection, pytest.raises(TooManyImports):
        upload(connection, actor, NewImport(Kind.NUMBERS, Format.CSV), Late())


def test_customers_take_turns(imports: Imports, tenant: Tenant, admin: db.Connection) -> None:
    first, second = imports, customer_of(imports, tenant)
    sent = [first.upload("numbers", "").json["id"] for _ in range(3)]
    sent += [second.upload("accounts", "", "&credentials=none").json["id"] for _ in range(2)]
    imports.work()
    order = admin.execute("SELECT id FROM provisioner.imports ORDER BY started_at").fetchall()
    assert [row["id"] for row in order] == [sent[0], sent[3], sent[1], sent[4], sent[2]]


# What is told of it.


def test_a_report_does_not_repeat_a_long_line(imports: Imports) -> None:
    long = "1" * 60_000
    rows = [f"Line {i},+390612345678,1,{long}" for i in range(20)]
    job = imports.run("accounts", file_of(f"{ACCOUNT_HEADER},allowed_networks", rows))
    rule = "must have at most 50 characters"
    assert (2, "allowed_networks/0", rule) in imports.errors(job)
    assert len(imports.client("GET", f"/imports/{job['id']}/errors").text) < 20_000


def told_of(imports: Imports, job: Any) -> list[tuple[str, str]]:
    """The audit trail of an import, the oldest first: what happened, who did it."""
    query = f"/audit-events?subject=import&subject_id={job['id']}"
    events = imports.client("GET", query).json["items"]
    return [(event["type"], event["actor_name"]) for event in reversed(events)]


def test_the_audit_trail_says_who_started_an_import_and_who_fetched_its_passwords(
    imports: Imports, tenant: Tenant
) -> None:
    customer = customer_of(imports, tenant)
    job = customer.run("accounts", accounts_file([tenant.parameters["number"]]))
    imports.credentials(job)
    assert told_of(imports, job) == [
        ("import.created", "Alpha admin"),
        ("import.finished", "Alpha admin"),
        ("import.credentials_fetched", "test"),
    ]


def test_the_audit_trail_knows_a_failed_import(imports: Imports) -> None:
    job = imports.run("numbers", file_of("number", ["12"]))
    assert told_of(imports, job) == [("import.created", "test"), ("import.failed", "test")]


def test_the_audit_trail_knows_an_import_that_was_given_up(
    imports: Imports, admin: db.Connection
) -> None:
    job = imports.upload("numbers", file_of("number", numbers(1))).json
    admin.execute("UPDATE provisioner.imports SET attempts = 20")
    imports.work()
    assert told_of(imports, job) == [("import.created", "test"), ("import.failed", "test")]
    assert imports.state(job) == "failed"


def test_the_audit_trail_knows_a_cancelled_import(imports: Imports) -> None:
    job = imports.upload("numbers", "").json
    for _ in range(2):
        imports.client("POST", f"/imports/{job['id']}/cancel")
    assert told_of(imports, job) == [("import.created", "test"), ("import.cancelled", "test")]
