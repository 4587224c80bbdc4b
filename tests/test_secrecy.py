"""After all other tests: no secret that they were shown is anywhere else.

Not in a log, not in an answer but the first, not in the database, not in a browser. HA1 is where
Kamailio reads it, and nowhere else.
"""

import logging
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import db
from provisioner.stack.passwords import load_passwords
from provisioner.stack.postgres import find_binary
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.secrecy import SECRETS, Secrets, Watch, readable
from tests.system import System

pytestmark = [pytest.mark.native, pytest.mark.last]  # reads the stack's own files

HASHED = {"provisioner.credentials", "provisioner.credential_changes", "kamailio.subscriber"}


def in_logs(secrets: Secrets, directory: Path) -> list[str]:
    """What the logs of all systems hold that the tests have started."""
    found = []
    for path in directory.rglob("*.log"):
        if path.parent.name == "log" or path.name == "serve.log":
            kinds = secrets.found(path.read_text(encoding="utf-8", errors="replace"))
            found += [f"{kind} in {path.name}" for kind in kinds]
    return found


def in_database(secrets: Secrets, url: str) -> list[str]:
    """What a dump of a database holds."""
    command = [str(find_binary("pg_dump")), "--dbname", url]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, table = set(), ""
    for line in dump.splitlines():
        if line.startswith("COPY "):
            table = line.split()[1]
        found |= {f"{kind} in {table}" for kind in secrets.found(line, hashes=table not in HASHED)}
    return sorted(found)


@pytest.fixture
def secrets(system: System, stack: Stack) -> Secrets:
    """All that has been shown, one account's at least, and what the system keeps to itself."""
    system.new_line()
    own = load_passwords(stack.directory.passwords)
    for secret in (own.provisioner_db, own.kamailio_db, own.rpc_token, own.nonce_secret):
        SECRETS.saw(secret, "a password of the system's own")
    SECRETS.saw(stack.admin_token_file.read_text().strip(), "the Admin's token")
    return SECRETS


@pytest.fixture
def planted(system: System) -> Secrets:
    """What is shown of an account, apart from all others."""
    line = system.new_line(enabled=False)
    answer = system.api.post(f"{line.path}/credentials").expect(200)
    secrets = Secrets()
    secrets.answered("POST", "", answer)
    return secrets


def password_of(secrets: Secrets) -> str:
    return next(run for run, kind in secrets.passwords.items() if kind == "a password")


@pytest.mark.timeout(600)  # the logs of all systems of a run are long
def test_no_secret_is_anywhere_else(
    secrets: Secrets, stack: Stack, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> None:
    assert "/api/v1/sip-accounts" in (stack.directory.logs / "provisioner.log").read_text()
    logs = in_logs(secrets, tmp_path_factory.getbasetemp())
    stored = in_database(secrets, stack.database_admin_url)
    figures("passwords and tokens shown", len(secrets.passwords) // 2)
    figures("HA1 hashes made of them", len(secrets.hashes))
    figures(
        "of them in logs, later answers, the database, browsers", len(secrets.leaks + logs + stored)
    )
    assert secrets.leaks + logs + stored == []


def test_a_secret_in_a_log_would_be_found(planted: Secrets, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "worker.log").write_text(f'{{"password":"{password_of(planted)}"}}')
    assert in_logs(planted, tmp_path) == ["a password in worker.log"]
    watch = Watch(planted)
    watch.emit(logging.LogRecord("x", logging.INFO, "", 1, password_of(planted), (), None))
    assert planted.leaks == ["a password in the log of x"]


def test_a_secret_in_an_answer_would_be_found(planted: Secrets) -> None:
    planted.answered("GET /x", f'{{"name": "is {password_of(planted)}"}}', {})
    assert planted.leaks == ["a password in the answer to GET /x"]
    planted.answered("GET /y", next(iter(planted.hashes)), {})
    assert planted.leaks[1].startswith("an MD5 HA1")


@pytest.fixture
def table(stack: Stack) -> Iterator[db.Connection]:
    """A table that is not there in earnest."""
    with db.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE provisioner.planted (a text, b bytea)")
        yield connection
        connection.execute("DROP TABLE provisioner.planted")


def test_a_secret_in_the_database_would_be_found(
    planted: Secrets, stack: Stack, table: db.Connection
) -> None:
    assert in_database(planted, stack.database_admin_url) == []
    password = password_of(planted)
    table.execute("INSERT INTO provisioner.planted VALUES (%s, %s)", [password, password.encode()])
    table.execute("INSERT INTO provisioner.planted VALUES (%s)", [next(iter(planted.hashes))])
    assert in_database(planted, stack.database_admin_url) == [
        "a password in hexadecimal in provisioner.planted",
        "a password in provisioner.planted",
        "an MD5 HA1 in provisioner.planted",
    ]


def test_hashes_are_where_they_belong(planted: Secrets, stack: Stack) -> None:
    planted.passwords = planted.hashes
    found = in_database(planted, stack.database_admin_url)
    assert {one.rpartition(" in ")[2] for one in found} == HASHED - {
        "provisioner.credential_changes"
    }


def test_a_secret_in_a_session_cookie_would_be_found(planted: Secrets) -> None:
    assert readable("eyJhIjoiYiJ9.Zx.y") == '{"a":"b"}'
    assert readable(".eJyrVkpUslJKUqoFAAxwAn4.Zx.y") == '{"a":"b"}'
    assert planted.found(readable(_cookie_of(password_of(planted)))) == {"a password"}


def _cookie_of(text: str) -> str:
    return urlsafe_b64encode(f'{{"said":"{text}"}}'.encode()).decode().rstrip("=") + ".Zx.y"
