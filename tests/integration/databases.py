"""Databases for tests: each test gets one as it is after `migrate()`.

To create a database takes longer than most tests, so one is used again under another name, which
nothing that outlives its test knows: what a test has written is deleted, and sequences start again.
A database of which a test has changed more than rows, such as the schema, rights or statistics, is
dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import psycopg
from psycopg import sql

from provisioner.migrate import migrate
from provisioner.settings import Settings, load_settings
from provisioner.stack.passwords import load_passwords
from provisioner.stack.stack import Stack

TABLES = """
SELECT relnamespace::regnamespace::text, relname, pg_relation_size(oid) > 0 FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('provisioner'::regnamespace, 'kamailio'::regnamespace)
ORDER BY 1, 2
"""

SEQUENCES = """
SELECT oid::regclass::text, pg_sequence_last_value(oid), seqstart
FROM pg_class JOIN pg_sequence ON seqrelid = oid ORDER BY 1
"""

# All that is no row and no sequence's value. A sum of xmin tells that a row was added or replaced,
# and also that one was removed; VACUUM leaves it alone. In pg_class it would not.
SHAPE = """
SELECT
    (SELECT array_agg(ROW(oid, relname, relnamespace, relkind, relpersistence, relowner, relacl,
        reloptions, relrowsecurity)::text ORDER BY oid) FROM pg_class WHERE oid >= 16384
        AND relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace),
    (SELECT sum(xmin::text::numeric) FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT sum(xmin::text::numeric) FROM pg_proc),
    (SELECT sum(xmin::text::numeric) FROM pg_trigger),
    (SELECT sum(xmin::text::numeric) FROM pg_constraint),
    (SELECT sum(xmin::text::numeric) FROM pg_attrdef),
    (SELECT sum(xmin::text::numeric) FROM pg_rewrite),
    (SELECT sum(xmin::text::numeric) FROM pg_sequence),
    (SELECT sum(xmin::text::numeric) FROM pg_type),
    (SELECT sum(xmin::text::numeric) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'),
    (SELECT sum(xmin::text::numeric) FROM pg_policy),
    (SELECT sum(xmin::text::numeric) FROM pg_default_acl),
    (SELECT sum(xmin::text::numeric) FROM pg_extension),
    (SELECT sum(xmin::text::numeric) FROM pg_event_trigger),
    (SELECT array_agg(datacl::text) FROM pg_database WHERE datname = current_database()),
    (SELECT array_agg(setrole || setconfig::text ORDER BY setrole) FROM pg_db_role_setting
        JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()),
    (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384)
"""

TERMINATE = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

Table = tuple[str, str]  # schema and name


def settings_of(stack: Stack, name: str) -> Settings:
    """Point the stack's settings at another database of its cluster."""
    environ = dict(stack.environ)
    for variable, url in (
        ("DATABASE_URL", stack.database_url),
        ("DATABASE_ADMIN_URL", stack.database_admin_url),
    ):
        environ[variable] = url.rpartition("/")[0] + f"/{name}"
    return load_settings(environ)


def as_role(settings: Settings, stack: Stack, role: str) -> psycopg.Connection[Any]:
    """Connect as `kamailio` or `provisioner`, with the role's own password."""
    passwords = load_passwords(stack.directory.passwords)
    password = passwords.kamailio_db if role == "kamailio" else passwords.provisioner_db
    return psycopg.connect(settings.database_url, user=role, password=password, autocommit=True)


def administer(stack: Stack, statement: str, *names: str) -> None:
    """Run a statement on the cluster as its superuser."""
    with psycopg.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def new_name() -> str:
    """Return a name that no database has."""
    return f"test_{token_hex(6)}"


@dataclass
class TestDatabase:
    """A migrated database, and what is to be restored in it."""

    __test__ = False  # a class for tests, not of tests

    stack: Stack
    name: str
    _shape: Any = field(init=False)
    _seeds: dict[Table, bytes] = field(init=False)
    _sequences: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        with self._connect() as connection:
            self._shape = connection.execute(SHAPE).fetchone()
            self._seeds = {table: content(connection, table) for table in used(connection)}
            self._sequences = connection.execute(SEQUENCES).fetchall()

    @property
    def settings(self) -> Settings:
        """The stack's settings with this database."""
        return settings_of(self.stack, self.name)

    def rename(self) -> None:
        """Give it a name that it never had."""
        name = new_name()
        administer(self.stack, "ALTER DATABASE {} RENAME TO {}", self.name, name)
        self.name = name

    def drop(self) -> None:
        """Drop it, whoever is connected."""
        administer(self.stack, "DROP DATABASE {} WITH (FORCE)", self.name)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.settings.database_admin_url, autocommit=True)

    def restore(self) -> bool:
        """Make it as it was; False where that takes more than rows and sequences' values."""
        with self._connect() as connection:
            connection.execute(TERMINATE)
            if connection.execute(SHAPE).fetchone() != self._shape:
                return False
            written = [
                table
                for table in used(connection)
                if table not in self._seeds or content(connection, table) != self._seeds[table]
            ]
            connection.execute("SET session_replication_role = replica")  # no trigger, no cascade
            with connection.transaction():
                for table in written:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(*table)))
            if written:
                names = sql.SQL(", ").join(sql.Identifier(*table) for table in written)
                connection.execute(sql.SQL("VACUUM {}").format(names))
            for table in written:
                if table in self._seeds:
                    fill(connection, table, self._seeds[table])
            self._restart_sequences(connection)
            return True

    def _restart_sequences(self, connection: psycopg.Connection[Any]) -> None:
        now = connection.execute(SEQUENCES).fetchall()
        for was, is_now in zip(self._sequences, now, strict=True):
            if was != is_now:
                name, value, start = was
                connection.execute(
                    "SELECT setval(%s, %s, %s)",
                    [name, start if value is None else value, value is not None],
                )


def used(connection: psycopg.Connection[Any]) -> list[Table]:
    """The tables that hold something, be it only rows that are deleted."""
    return [(schema, name) for schema, name, used in connection.execute(TABLES) if used]


def content(connection: psycopg.Connection[Any], table: Table) -> bytes:
    """All rows of a table, as they are stored."""
    statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*table))
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        return b"".join(bytes(row) for row in rows)


def fill(connection: psycopg.Connection[Any], table: Table, rows: bytes) -> None:
    """Write all rows of a table."""
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(*table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows)


class Databases:
    """Lends databases, each as it is after `migrate()`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._free: list[TestDatabase] = []
        self._template = "template_migrated"
        administer(stack, "CREATE DATABASE {}", self._template)
        migrate(settings_of(stack, self._template))

    @contextmanager
    def lent(self) -> Iterator[Settings]:
        """Lend a database that nobody else uses; its settings."""
        database = self._free.pop() if self._free else self._create()
        yield database.settings
        if database.restore():
            database.rename()
            self._free.append(database)
        else:
            database.drop()

    def _create(self) -> TestDatabase:
        name = new_name()
        administer(self._stack, "CREATE DATABASE {} TEMPLATE {}", name, self._template)
        # A copy does not have the rights that were given on the database itself.
        migrate(settings_of(self._stack, name))
        return TestDatabase(self._stack, name)
