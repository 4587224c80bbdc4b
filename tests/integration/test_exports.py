"""Everything but secrets by the file, and back in elsewhere."""

import csv
import io
import json
from typing import Any

import pyrage
import pytest

from provisioner import db
from provisioner.settings import Settings
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Answer, Client
from tests.integration.importing import Imports, numbers
from tests.integration.world import new_tenant


@pytest.fixture
def imports(client: Client, settings: Settings) -> Imports:
    return Imports(client, settings, pyrage.x25519.Identity.generate())


def cells(answer: Answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_accounts_are_exported(client: Client) -> None:
    account = client.new_account(NUMBER, cloudfire_only=True, external_id="crm-1")
    client.new_number(OTHER_NUMBER)
    client("PUT", f"/sip-accounts/{account['id']}/numbers/{OTHER_NUMBER}")
    answer = client("GET", "/exports/accounts")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="accounts.csv"'
    (row,) = cells(answer)
    assert (row["id"], row["name"]) == (str(account["id"]), account["name"])
    assert (row["main_number"], row["cloudfire_only"]) == (NUMBER, "true")
    assert (row["additional_numbers"], row["external_id"]) == (OTHER_NUMBER, "crm-1")


def test_an_export_has_no_secret(client: Client, admin: db.Connection) -> None:
    account = client.new_account(NUMBER)
    text = client("GET", "/exports/accounts").text
    hashes = admin.execute("SELECT ha1, ha1_sha256 FROM provisioner.credentials").fetchone()
    assert hashes
    secrets = [account["credentials"]["password"], *hashes.values()]
    assert not any(secret in text for secret in secrets)


def test_an_export_may_be_ndjson(client: Client) -> None:
    client.new_number(NUMBER)
    answer = client("GET", "/exports/numbers?format=ndjson")
    assert answer.mimetype == "application/x-ndjson"
    (line,) = answer.text.splitlines()
    assert json.loads(line)["number"] == NUMBER


@pytest.mark.parametrize("kind", ["customers", "projects"])
def test_customers_and_projects_are_exported(client: Client, kind: str) -> None:
    (row,) = cells(client("GET", f"/exports/{kind}"))
    assert row["name"] == "Default"


def test_an_export_shows_ones_own(client: Client) -> None:
    ours = new_tenant(client, "Alpha", "06111111")
    new_tenant(client, "Zeta", "06222222")
    member = client.bearing(ours.tokens["admin"])  # type: ignore[index] # a role is its name
    for kind in ("accounts", "numbers", "customers", "projects"):
        assert {row["external_id"][:5] for row in cells(member("GET", f"/exports/{kind}"))} == {
            "Alpha"
        }


@pytest.mark.parametrize("name", ["=1+1", "+390612345678", "-x", "@SUM(A1)", "'=1", 'a"b;c,d'])
@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_what_is_exported_from_one_project_is_imported_into_another(
    imports: Imports, admin: db.Connection, name: str, file_format: str
) -> None:
    """Names that a spreadsheet would run as formulas come back as they were."""
    imports.client.new_account(NUMBER, name=name, tariff="flat", external_id="crm-1")
    media = {"csv": "text/csv", "ndjson": "application/x-ndjson"}[file_format]
    query = f"format={file_format}&project=1"
    files = {k: imports.client("GET", f"/exports/{k}?{query}").text for k in KINDS}
    for table in ("sip_accounts", "numbers"):
        admin.execute(f"TRUNCATE provisioner.{table} CASCADE".encode())
    admin.execute("TRUNCATE kamailio.subscriber")
    customer = imports.client.create("/customers", name="New")
    project = imports.client.create("/projects", name="New", customer_id=customer["id"])
    for kind in KINDS:
        job = imports.run(kind, files[kind], f"&project={project['id']}", media=media)
        assert job["status"] == "done", imports.errors(job)
    (account,) = imports.client("GET", "/sip-accounts").json["items"]
    assert account["project_id"] == project["id"]
    found = (account["name"], account["main_number"], account["tariff"], account["external_id"])
    assert found == (name, NUMBER, "flat", "crm-1")


KINDS = ("numbers", "accounts")


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)"])
def test_no_cell_is_run_as_a_formula(client: Client, name: str) -> None:
    client.new_account(NUMBER, name=name)
    (row,) = cells(client("GET", "/exports/accounts"))
    assert row["name"] == f"'{name}"


def test_an_export_is_longer_than_what_is_in_memory_at_a_time(imports: Imports) -> None:
    wanted = numbers(2500)
    imports.run("numbers", "number\n" + "\n".join(wanted))
    found: list[Any] = cells(imports.client("GET", "/exports/numbers"))
    assert [row["number"] for row in found] == wanted
