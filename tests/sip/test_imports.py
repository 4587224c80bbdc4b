"""Accounts that came by the file, to the phone; and a worker that dies over an import."""

import csv
import io
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyrage
import pytest

from provisioner.stack.stack import Stack
from tests.sip.clients import Credentials, Sipp
from tests.system import System, eventually

TIMEOUT = 60.0  # seconds
MANY = 30_000  # accounts: some seconds' work


def send(system: System, method: str, path: str, content: bytes = b"") -> bytes:
    """Send a file, or fetch one, as curl does."""
    connection = HTTPConnection(urlsplit(system.api.url).netloc, timeout=TIMEOUT)
    try:
        headers = {**system.api.headers, "Content-Type": "text/csv"}
        connection.request(method, f"/api/v1{path}", content, headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status < 300, body
    return body


def imported(system: System, kind: str, lines: list[str], query: str = "") -> Any:
    """Import a file, and wait until it is done."""
    content = ("\n".join(lines) + "\n").encode()
    job = json.loads(send(system, "POST", f"/imports?kind={kind}{query}", content))
    return finished(system, job)


def finished(system: System, job: Any) -> Any:
    def look() -> Any:
        now = system.api.get(f"/imports/{job['id']}").expect(200)
        return now if now["status"] in ("done", "failed") else None

    return eventually(look, within=TIMEOUT)


def account_lines(numbers: list[str], state: str = "enabled") -> list[str]:
    return [
        "name,main_number,voice_channels,state",
        *(f"Line {number},{number},2,{state}" for number in numbers),
    ]


def test_a_phone_registers_with_an_imported_accounts_password(system: System) -> None:
    identity = pyrage.x25519.Identity.generate()
    number = system.new_number()
    query = f"&recipient={identity.to_public()}"
    job = imported(system, "accounts", account_lines([number]), query)
    assert job["status"] == "done"
    sealed = send(system, "GET", f"/imports/{job['id']}/credentials")
    text = pyrage.decrypt(sealed, [identity]).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    credentials = Credentials(row["username"], row["password"], row["realm"])
    with Sipp(system.internet.registrar, credentials, system.internet.client) as device:
        assert device.register().accepted


@pytest.mark.native
def test_an_import_whose_worker_was_killed_is_done_once(system: System, stack: Stack) -> None:
    """Killed while it applies: nothing of it shows, and the next worker does all of it."""
    numbers = [f"+4907{i:07d}" for i in range(MANY)]
    assert imported(system, "numbers", ["number", *numbers])["rows_done"] == MANY
    lines = account_lines(numbers, "disabled")
    content = ("\n".join(lines) + "\n").encode()
    path = "/imports?kind=accounts&credentials=none"
    job = json.loads(send(system, "POST", path, content))

    def applying() -> bool:
        return bool(system.api.get(f"/imports/{job['id']}").expect(200)["status"] == "applying")

    eventually(applying, within=TIMEOUT)
    stack.worker.kill()
    try:
        assert applying()
        assert accounts_on(stack, numbers) == []
    finally:
        stack.worker.start()
        stack.worker.wait_ready()
    assert finished(system, job)["rows_done"] == MANY
    assert len(accounts_on(stack, numbers)) == MANY


def accounts_on(stack: Stack, numbers: list[str]) -> list[str]:
    """The accounts that have one of these main numbers."""
    query = "SELECT main_number FROM provisioner.sip_accounts WHERE main_number = ANY (%s)"
    with psycopg.connect(stack.database_admin_url) as connection:
        return [str(row[0]) for row in connection.execute(query, [numbers])]
