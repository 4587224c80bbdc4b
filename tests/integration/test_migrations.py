"""A migration of a system in use: whoever is in its way is waited for, and nobody behind it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from provisioner import db
from provisioner import migrate as migrations
from provisioner.db import Connection
from provisioner.migrate import MigrationBlocked, MigrationChanged, migrate
from provisioner.settings import Settings
from tests.integration.conftest import Client
from tests.system import eventually

NAME = "9999_next.sql"


@pytest.fixture
def folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `sql/` with one more migration, which needs a lock of the accounts; the test's
    database is there before.
    """
    for path in migrations._folder().glob("*.sql"):  # noqa: SLF001 - a copy of the real ones
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(migrations, "_folder", lambda: tmp_path)
    (tmp_path / NAME).write_text("ALTER TABLE provisioner.sip_accounts ADD COLUMN later text;")
    return tmp_path


@contextmanager
def long_transaction(settings: Settings) -> Iterator[Connection]:
    """A transaction that has read the accounts and does not end, as a backup's does."""
    with db.connect(settings.database_admin_url, name="a long report") as connection:
        connection.execute("SELECT count(*) FROM provisioner.sip_accounts")
        yield connection
        connection.rollback()


def test_nobody_waits_for_long_behind_a_migration_that_waits(
    folder: Path, client: Client, settings: Settings, admin: Connection
) -> None:
    applied: list[str] = []
    thread = threading.Thread(target=lambda: applied.extend(migrate(settings)))
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with long_transaction(settings):
        thread.start()
        eventually(lambda: admin.execute(waiting).fetchall())
        began = monotonic()
        answer = client("GET", "/sip-accounts")
        assert answer.status_code == 200
        # The API gives up on a statement after 10 seconds; this one was behind the migration's.
        assert monotonic() - began < 5
        assert applied == []
    thread.join(timeout=30)
    assert applied == [NAME]


def test_who_is_in_the_way_is_named(folder: Path, settings: Settings, admin: Connection) -> None:
    with long_transaction(settings), pytest.raises(MigrationBlocked, match="a long report"):
        migrate(settings, patience=0)
    # It has let go of all that it had, and is not half there.
    columns = "SELECT FROM pg_attribute WHERE attname = 'later'"
    assert admin.execute(columns).fetchall() == []
    assert migrate(settings) == [NAME]


def test_a_migration_that_fails_leaves_those_before_it(
    folder: Path, settings: Settings, admin: Connection
) -> None:
    (folder / "9999_that_fails.sql").write_text("SELECT 1; SELECT nothing_like_it();")
    with pytest.raises(Exception, match="nothing_like_it"):
        migrate(settings)
    (folder / "9999_that_fails.sql").write_text("SELECT 1;")
    assert migrate(settings) == ["9999_that_fails.sql"]


def test_what_was_applied_is_never_edited(folder: Path, settings: Settings) -> None:
    migrate(settings)
    (folder / NAME).write_text("SELECT 1;")
    with pytest.raises(MigrationChanged, match=NAME):
        migrate(settings)


def test_an_index_is_made_while_others_write(
    folder: Path, settings: Settings, admin: Connection
) -> None:
    (folder / NAME).write_text(
        "-- Without a transaction.\n"
        "DROP INDEX CONCURRENTLY IF EXISTS provisioner.later_idx;\n"
        "CREATE INDEX CONCURRENTLY later_idx ON provisioner.sip_accounts (tariff);\n"
    )
    assert migrate(settings) == [NAME]
    assert migrate(settings) == []
    found = "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    assert admin.execute(found, ["provisioner.later_idx"]).fetchall() == [{"valid": True}]
