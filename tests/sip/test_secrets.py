"""A password is shown once: neither a log nor the database holds it, nor any other secret."""

import hashlib
import subprocess
from dataclasses import astuple

import pytest

from provisioner.stack.passwords import load_passwords
from provisioner.stack.postgres import find_binary
from provisioner.stack.stack import Stack
from tests.sip.clients import Credentials, Sipp
from tests.system import System

pytestmark = pytest.mark.native  # reads the stack's own files


def logs(stack: Stack) -> str:
    return "\n".join(path.read_text() for path in stack.directory.logs.iterdir())


def dump(stack: Stack) -> str:
    command = [str(find_binary("pg_dump")), "--dbname", stack.database_admin_url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def secrets(system: System, stack: Stack) -> list[str]:
    """Every kind of secret, after it has been used rightly and wrongly."""
    line = system.new_line()
    wrong = Credentials(line.credentials.username, "a-wrong-guess", line.credentials.realm)
    for credentials in (line.credentials, wrong):
        Sipp(system.internet.registrar, credentials, system.internet.client).register()
    rotated = line.api.post(f"{line.path}/credentials").expect(200)["credentials"]["password"]
    token = stack.admin_token_file.read_text().strip()
    own = load_passwords(stack.directory.passwords)
    infrastructure = [own.provisioner_db, own.kamailio_db, own.rpc_token, own.nonce_secret]
    return [line.credentials.password, wrong.password, rotated, token, *infrastructure]


def test_no_log_holds_a_secret(stack: Stack, secrets: list[str]) -> None:
    written = logs(stack)
    assert "/api/v1/sip-accounts" in written  # the control: these are the logs
    assert [secret for secret in secrets if secret in written] == []


def test_the_database_holds_no_secret_in_clear(stack: Stack, secrets: list[str]) -> None:
    stored = dump(stack)
    assert "CREATE TABLE provisioner.credentials" in stored
    assert [secret for secret in secrets if secret in stored] == []


def test_ha1_is_stored_in_two_tables_only(system: System, stack: Stack) -> None:
    line = system.new_line()
    user, password, realm = astuple(line.credentials)
    ha1 = hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()
    found, table = set(), ""
    for text in dump(stack).splitlines():
        if text.startswith("COPY "):
            table = text.split()[1]
        if ha1 in text:
            found.add(table)
    assert found == {"provisioner.credentials", "kamailio.subscriber"}
