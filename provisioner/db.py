"""Connections, transactions, and PostgreSQL's errors in the domain's words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from provisioner.errors import (
    DatabaseUnavailable,
    NameTaken,
    NumberExists,
    NumberTaken,
    ProvisionerError,
)

Connection = psycopg.Connection[DictRow]

CONNECT_TIMEOUT = 3  # seconds
POOL_TIMEOUT = 1.0  # seconds to wait for a connection of the pool
STATEMENT_TIMEOUT = 10  # seconds for one statement of an API request, its locks included

# A server whose machine is gone is noticed within seconds, not hours.
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}

_CONSTRAINTS: dict[str, Callable[[], ProvisionerError]] = {
    "numbers_pkey": NumberExists,
    "sip_accounts_main_number_key": partial(NumberTaken, field="main_number"),
    "sip_accounts_name_key": NameTaken,
}

# A server that goes away, restarts, is promoted or runs out of room: nothing was changed.
_UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    PoolClosed,
    pg.ReadOnlySqlTransaction,
)


def connect(url: str, *, autocommit: bool = False, name: str = "provisioner") -> Connection:
    """Open one connection of its own, whose rows are dictionaries. PostgreSQL shows its `name`.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    with translated_errors():
        return psycopg.connect(
            url,
            autocommit=autocommit,
            row_factory=dict_row,
            application_name=name,
            **_KEEPALIVE,
        )


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, size: int = 20) -> None:
        self.url = url
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=psycopg.Connection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "application_name": "provisioner serve",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT}s",
                **_KEEPALIVE,
            },
            min_size=1,
            max_size=size,
            timeout=POOL_TIMEOUT,
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose work is committed at the end, or rolled back on an error.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached; nothing was changed.
            ProvisionerError: a constraint was violated, as the domain error it stands for.
        """
        with translated_errors(), self._connection() as connection:
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Take a connection of the pool, or a new one: after an outage the pool fills slowly."""
        try:
            connection = self._pool.getconn()
        except PoolTimeout:
            with connect(self.url) as fresh:
                yield fresh
            return
        try:
            with connection:
                yield connection
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """Close all connections; one that is being opened is waited for a second."""
        self._pool.close(timeout=1.0)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise psycopg's errors as the domain's."""
    try:
        yield
    except psycopg.IntegrityError as error:
        known = _CONSTRAINTS.get(error.diag.constraint_name or "")
        if known is None:
            raise
        raise known() from error
    except _UNAVAILABLE as error:
        raise DatabaseUnavailable() from error


class Queries:
    """The named queries of one `.sql` file: each starts at a line `-- name: NAME`."""

    def __init__(self, path: Path) -> None:
        blocks = path.read_text(encoding="utf-8").split("-- name: ")[1:]
        self._queries = dict(self._parse(block) for block in blocks)

    @staticmethod
    def _parse(block: str) -> tuple[str, bytes]:
        name, _, text = block.partition("\n")
        return name.strip(), text.strip().encode()

    def __getitem__(self, name: str) -> bytes:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)


def one(connection: Connection, query: bytes, **parameters: Any) -> DictRow | None:
    """Run a query and return its first row, or None."""
    return connection.execute(query, parameters).fetchone()


def rows(connection: Connection, query: bytes, **parameters: Any) -> list[DictRow]:
    """Run a query and return all its rows."""
    return connection.execute(query, parameters).fetchall()


def run(connection: Connection, query: bytes, **parameters: Any) -> int:
    """Run a statement and return how many rows it touched."""
    return connection.execute(query, parameters).rowcount
