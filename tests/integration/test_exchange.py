"""A transaction whose statements are sent without waiting for each one's answer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from provisioner import db
from provisioner.errors import DatabaseUnavailable, NameTaken
from provisioner.settings import Settings

INSERT = b"INSERT INTO provisioner.customers (name) VALUES (%(name)s)"
NAMES = b"SELECT name FROM provisioner.customers WHERE name LIKE 'Exchange%%' ORDER BY name"


@pytest.fixture
def database(settings: Settings) -> Iterator[db.Database]:
    one = db.Database(settings.database_url, size=1)
    yield one
    one.close()


def names(database: db.Database) -> list[str]:
    with database.transaction() as connection:
        return [row["name"] for row in db.rows(connection, NAMES)]


def insert_and_fail(begun: AbstractContextManager[db.Connection]) -> None:
    with begun as connection:
        db.run(connection, INSERT, name="Exchange 2")
        db.send(connection, INSERT, name="Exchange 3")
        raise NameTaken


def insert_around_a_fault(database: db.Database) -> None:
    with database.exchange() as connection:
        db.send(connection, INSERT, name="Exchange 1")
        db.send(connection, b"SELECT 1 / %(nothing)s", nothing=0)
        db.send(connection, INSERT, name="Exchange 2")


def test_it_is_committed_whole(database: db.Database) -> None:
    with database.exchange() as connection:
        db.send(connection, INSERT, name="Exchange 1")
        assert db.run(connection, INSERT, name="Exchange 2") == 1
        assert len(db.rows(connection, NAMES)) == 2
    assert names(database) == ["Exchange 1", "Exchange 2"]


def test_none_of_it_is_done_where_its_maker_fails(database: db.Database) -> None:
    with pytest.raises(NameTaken):
        insert_and_fail(database.exchange())
    assert names(database) == []


def test_a_statement_that_fails_is_told_at_the_end_and_none_is_done(database: db.Database) -> None:
    with pytest.raises(psycopg.DataError):
        insert_around_a_fault(database)
    assert names(database) == []


def test_what_follows_on_its_connection_is_a_transaction_again(database: db.Database) -> None:
    with database.exchange() as connection:
        db.send(connection, INSERT, name="Exchange 1")
    with pytest.raises(NameTaken):
        insert_and_fail(database.transaction())
    assert names(database) == ["Exchange 1"]


def end_its_connections(admin: db.Connection) -> None:
    """Have the server end the pool's connections, and wait until they are gone."""
    admin.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'provisioner serve' AND datname = current_database()"
    )


def test_a_connection_that_has_just_worked_is_not_asked_whether_it_does(
    database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ConnectionPool, "check_connection", asked.append)
    monkeypatch.setattr(db, "FRESH", 60.0)
    names(database)
    asked.clear()
    names(database)
    assert not asked
    monkeypatch.setattr(db, "FRESH", 0.0)
    names(database)
    names(database)
    assert len(asked) == 1


def test_one_that_the_server_has_ended_since_is_replaced(
    database: db.Database, admin: db.Connection
) -> None:
    names(database)
    end_its_connections(admin)
    assert names(database) == []


def test_it_would_fail_if_nobody_looked(
    database: db.Database, admin: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(db, "_has_said_something", lambda _: False)
    monkeypatch.setattr(db, "FRESH", 60.0)
    names(database)
    end_its_connections(admin)
    with pytest.raises(DatabaseUnavailable):
        names(database)


def pid(connection: db.Connection) -> int:
    return connection.info.backend_pid


def test_the_connection_that_was_used_last_is_used_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "POOL_TIMEOUT", 30.0)
    database = db.Database(settings.database_url, size=2)
    with database.transaction() as last, database.transaction() as first:
        assert pid(first) != pid(last)
    for _ in range(3):
        with database.transaction() as next_one:
            assert pid(next_one) == pid(last)
    database.close()
