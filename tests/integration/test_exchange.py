"""A transaction whose statements are sent without waiting for each one's answer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest

from provisioner import db
from provisioner.errors import NameTaken
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
