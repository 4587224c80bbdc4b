"""A database that a test has used is as fresh for the next one as one that was never used."""

from typing import Any

import psycopg
import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.app import create_app
from provisioner.credentials import new_token, token_digest
from provisioner.settings import Settings
from provisioner.tenancy_store import insert_token
from tests.integration.conftest import Client
from tests.integration.databases import SEQUENCES, SHAPE, TABLES, Databases, content
from tests.integration.world import new_tenant


def connect(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.database_admin_url, autocommit=True)


def state_of(settings: Settings) -> dict[str, Any]:
    """Everything in a database: rows, sequences, and what is neither."""
    with connect(settings) as connection:
        tables = [(schema, name) for schema, name, _ in connection.execute(TABLES)]
        return {
            "rows": {table: content(connection, table) for table in tables},
            "sequences": connection.execute(SEQUENCES).fetchall(),
            "shape": connection.execute(SHAPE).fetchone(),
        }


def oid_of(settings: Settings) -> Any:
    with connect(settings) as connection:
        return connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()


def use(settings: Settings) -> None:
    """Write to as many tables as there are kinds of things, and change what was there."""
    app = create_app(settings)
    token = new_token()
    with db.connect(settings.database_admin_url, autocommit=True) as connection:
        insert_token(connection, "test", token_digest(token), role=Role.ADMIN)
        new_tenant(Client(app.test_client(), token), "Alpha", "06111111")
        connection.execute("UPDATE provisioner.customers SET name = 'other' WHERE name = 'Default'")
        connection.execute("DELETE FROM kamailio.version")
        connection.execute("INSERT INTO kamailio.address (ip_addr) VALUES ('192.0.2.1')")
    app.extensions["provisioner"].database.close()


def test_what_a_test_has_written_is_not_there_for_the_next(databases: Databases) -> None:
    """Even a connection that it leaves open does no harm."""
    with databases.lent() as settings:
        fresh, oid = state_of(settings), oid_of(settings)
        use(settings)
        used = state_of(settings)
        left_open = connect(settings)
    written = [table for table, rows in used["rows"].items() if rows != fresh["rows"][table]]
    assert len(written) > 20
    assert used["sequences"] != fresh["sequences"]
    with databases.lent() as again:
        assert oid_of(again) == oid
        assert state_of(again) == fresh
        assert again.database_url != settings.database_url
    with left_open, pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.x ()",
        "ALTER TABLE provisioner.numbers ADD COLUMN x text",
        "ALTER TABLE provisioner.numbers DROP COLUMN external_id",
        "DROP INDEX kamailio.location_aor_idx",
        "CREATE FUNCTION provisioner.x() RETURNS int LANGUAGE sql RETURN 1",
        "REVOKE SELECT ON provisioner.numbers FROM provisioner",
        "GRANT TEMPORARY ON DATABASE {name} TO PUBLIC",
        "ALTER ROLE kamailio IN DATABASE {name} SET jit = on",
        "ALTER TABLE provisioner.pending_kicks DISABLE TRIGGER ALL",
        "ANALYZE provisioner.customers",
    ],
)
def test_a_database_with_other_than_rows_changed_is_not_used_again(
    databases: Databases, statement: str
) -> None:
    with databases.lent() as settings:
        oid = oid_of(settings)
        name = settings.database_url.rpartition("/")[2]
        with connect(settings) as connection:
            connection.execute(statement.format(name=name).encode())
    with databases.lent() as settings:
        assert oid_of(settings) != oid
