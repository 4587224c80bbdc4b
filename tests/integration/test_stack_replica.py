"""The stack's replica: it follows, comes back with its data, and cannot fill its primary's disk."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from provisioner.stack.probes import answers_ok
from provisioner.stack.processes import family
from provisioner.stack.stack import Stack
from tests.system import eventually

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a replica, which these tests stop and kill."""
    with Stack(tmp_path_factory.mktemp("stack"), durable=False, replica=True) as stack:
        yield stack


def answer(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


READ = "SELECT table_version FROM kamailio.version WHERE table_name = 'version'"
CHANGE = """UPDATE kamailio.version SET table_version = table_version + 1
             WHERE table_name = 'version' RETURNING table_version"""


def change(stack: Stack) -> int:
    """Change something at the primary; return what `READ` finds there from now on."""
    return int(answer(stack.database_admin_url, CHANGE))


def follows(stack: Stack) -> bool:
    changed = change(stack)
    return bool(eventually(lambda: answer(stack.replica_admin_url, READ) == changed))


def made_at(stack: Stack) -> float:
    """Tell when the replica was copied."""
    return (stack.directory.replica / "backup_label.old").stat().st_mtime


def test_it_follows_and_refuses_changes(stack: Stack) -> None:
    assert follows(stack)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        answer(stack.replica_admin_url, "CREATE TABLE mine ()")


def test_its_role_may_copy_but_not_read_a_table(stack: Stack) -> None:
    password = json.loads(stack.directory.passwords.read_text())["replication_db"]
    place = urlsplit(stack.database_url).netloc.rpartition("@")[2]
    url = f"postgresql://replicator:{password}@{place}/provisioner"
    assert answer(url, "SELECT 1") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        answer(url, "SELECT count(*) FROM kamailio.subscriber")


def test_what_is_kept_for_one_that_is_away_has_a_limit(stack: Stack) -> None:
    assert answer(stack.database_admin_url, "SHOW max_slot_wal_keep_size") == "1GB"
    query = "SELECT active FROM pg_replication_slots WHERE slot_name = 'replica'"
    assert answer(stack.database_admin_url, query)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_comes_back_with_its_data_and_what_it_has_missed(stack: Stack, end: str) -> None:
    assert stack.replica is not None
    made = made_at(stack)
    getattr(stack.replica, end)()
    changed = change(stack)
    stack.replica.start()
    stack.replica.wait_ready()
    assert eventually(lambda: answer(stack.replica_admin_url, READ) == changed)
    assert made_at(stack) == made


def test_it_serves_while_its_primary_is_away_and_follows_it_again(stack: Stack) -> None:
    assert stack.replica is not None
    stack.postgres.stop()
    stack.replica.stop()
    stack.replica.start()
    stack.replica.wait_ready()
    assert answer(stack.replica_admin_url, "SELECT pg_is_in_recovery()")
    stack.postgres.start()
    stack.postgres.wait_ready()
    assert follows(stack)
    eventually(lambda: answers_ok(stack.http_port, "/readyz"))


def test_one_for_which_nothing_was_kept_is_made_anew(stack: Stack) -> None:
    assert stack.replica is not None
    made = made_at(stack)
    stack.replica.stop()
    answer(stack.database_admin_url, "SELECT pg_drop_replication_slot('replica')")
    stack.replica.start()
    stack.replica.wait_ready()
    assert follows(stack)
    assert made_at(stack) != made


def test_its_password_is_on_no_command_line_and_in_no_log(stack: Stack) -> None:
    secrets = json.loads(stack.directory.passwords.read_text()).values()
    seen = [path.read_text(errors="replace") for path in stack.directory.logs.iterdir()]
    assert stack.replica is not None
    for process in family(stack.replica.pid):
        # PostgreSQL's helpers come and go.
        with suppress(FileNotFoundError, ProcessLookupError):
            seen.append(Path(f"/proc/{process}/cmdline").read_text())
    assert not any(secret in text for secret in secrets for text in seen)
