"""Connections, transactions, and PostgreSQL's errors in the domain's words."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from select import POLLIN, poll
from time import monotonic
from typing import Any, TypeVar

import psycopg
from prometheus_client import CollectorRegistry
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from provisioner import tracing
from provisioner.errors import (
    DatabaseUnavailable,
    EmailTaken,
    ExternalIdTaken,
    InvalidInput,
    NameTaken,
    NumberExists,
    NumberInCallerIdRule,
    NumberNotActive,
    NumberTaken,
    NumberUnknown,
    PrefixTaken,
    ProjectNameTaken,
    ProvisionerError,
    StillInUse,
    TrunkNameTaken,
    UsernameTaken,
)
from provisioner.meters import PoolMeter

Connection = psycopg.Connection[DictRow]
_Result = TypeVar("_Result")

CONNECT_TIMEOUT = 3  # seconds
POOL_SIZE = 20  # connections of one process of the API
POOL_TIMEOUT = 1.0  # seconds to wait for a connection of the pool
STATEMENT_TIMEOUT = 10  # seconds for one statement of an API request, its locks included
FRESH = 0.5  # seconds for which a connection is trusted that was used without a fault
ANSWER_TIMEOUT = STATEMENT_TIMEOUT + 2.0  # seconds until a server that says nothing is away

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
    "projects_customer_id_name_key": ProjectNameTaken,
    "users_email_key": EmailTaken,
    "trunks_name_key": TrunkNameTaken,
    "caller_id_rules_prefix_key": PrefixTaken,
    "caller_id_rules_number_linked": NumberInCallerIdRule,
    # What provisioner.create_account raises.
    "new_account_project": partial(InvalidInput, "project_id", "must be one of your projects"),
    "new_account_number_unknown": partial(NumberUnknown, "main_number"),
    "new_account_number_taken": partial(NumberTaken, field="main_number"),
    "new_account_number_not_active": partial(NumberNotActive, field="main_number"),
    "new_account_username_taken": UsernameTaken,
    **dict.fromkeys(
        [
            "customers_external_id_key",
            "projects_external_id_key",
            "numbers_external_id_key",
            "sip_accounts_external_id_key",
        ],
        ExternalIdTaken,
    ),
    # A customer or project that something belongs to.
    **dict.fromkeys(
        [
            "projects_customer_id_fkey",
            "users_customer_id_fkey",
            "api_tokens_customer_id_fkey",
            "numbers_project_id_fkey",
            "numbers_project_of_customer",
            "sip_accounts_project_id_fkey",
            "sip_accounts_project_of_customer",
            "api_tokens_project_id_fkey",
            "api_tokens_project_of_customer",
            "hook_sources_customer_id_fkey",
            "webhook_endpoints_customer_id_fkey",
            "webhook_endpoints_project_of_customer",
            "trunks_project_id_fkey",
        ],
        StillInUse,
    ),
}

# A server that goes away, restarts, is promoted or runs out of room: nothing was changed.
_UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    PoolClosed,
    pg.ReadOnlySqlTransaction,
)


class _Impatient(psycopg.Connection[DictRow]):
    """A connection that gives up on a server which hangs.

    The machine of such a server still acknowledges what is sent, so no keep-alive notices, and no
    timeout of the server's own ends the wait.
    """

    patience = ANSWER_TIMEOUT  # seconds
    fresh_until = 0.0  # of the monotonic clock: as long as it need not be asked whether it works

    def wait(
        self, gen: PQGen[_Result], interval: float = 0.1, timeout: float | None = None
    ) -> _Result:
        """Wait for an answer; without one in time the connection is of no use any more."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # it is not the server that says so
                self.pgconn.finish()
            raise


def connect(
    url: str, *, autocommit: bool = False, name: str = "provisioner", patience: float | None = None
) -> Connection:
    """Open one connection of its own, whose rows are dictionaries. PostgreSQL shows its `name`.

    With `patience` (seconds) a server that says nothing for so long is given up.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    options: dict[str, Any] = {"autocommit": autocommit, "row_factory": dict_row, **_KEEPALIVE}
    with translated_errors():
        if patience is None:
            return psycopg.connect(url, application_name=name, **options)
        connection = _Impatient.connect(url, application_name=name, **options)
        connection.patience = patience
        return connection


def _check(connection: _Impatient) -> None:
    """Find out whether a connection of the pool still works, in no more time than one may take. One
    that has worked a moment ago still does, unless the server has said something since: it takes
    its leave of who is idle.
    """
    if monotonic() < connection.fresh_until and not _has_said_something(connection):
        return
    connection.patience = POOL_TIMEOUT
    ConnectionPool.check_connection(connection)
    connection.patience = ANSWER_TIMEOUT


def _has_said_something(connection: _Impatient) -> bool:
    unread = poll()
    unread.register(connection, POLLIN)
    return bool(unread.poll(0))


class _Pool(ConnectionPool[_Impatient]):
    """A pool that gives the connection that was used last: its server process has all it needs at
    hand, and its plans are made.
    """

    def _get_ready_connection(self, timeout: float | None) -> _Impatient | None:
        self._pool.rotate(1)
        return super()._get_ready_connection(timeout)


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, size: int = POOL_SIZE, meter: PoolMeter | None = None) -> None:
        self.url = url
        self._meter = meter or PoolMeter(CollectorRegistry(), size)
        self._options: dict[str, Any] = {
            "row_factory": dict_row,
            "application_name": "provisioner serve",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT}s",
            **_KEEPALIVE,
        }
        self._pool = _Pool(
            url,
            connection_class=_Impatient,
            kwargs=self._options,
            min_size=1,
            max_size=size,
            timeout=POOL_TIMEOUT,
            check=_check,
            open=True,
        )

    @contextmanager
    def transaction(self, *, traced: bool = True) -> Iterator[Connection]:
        """Give a connection whose work is committed at the end, or rolled back on an error.

        Who only looks, over and over, has it not `traced`.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached; nothing was changed.
            ProvisionerError: a constraint was violated, as the domain error it stands for.
        """
        span = tracing.part("transaction") if traced else nullcontext()
        with span, translated_errors(), self._connection() as connection:
            yield connection

    @contextmanager
    def exchange(self) -> Iterator[Connection]:
        """Give a transaction whose statements are sent `together`, as is its end. Not for COPY, nor
        for cursors that the server keeps.

        Raises:
            DatabaseUnavailable, ProvisionerError: as `transaction` does.
        """
        span = tracing.part("transaction")
        # psycopg would wait for the beginning that it makes.
        with (
            span,
            translated_errors(),
            self._connection(autocommit=True) as connection,
            atomically(connection),
        ):
            yield connection

    @contextmanager
    def _connection(self, *, autocommit: bool = False) -> Iterator[Connection]:
        """Take a connection of the pool, or a new one: after an outage the pool fills slowly."""
        try:
            with self._meter.waiting():
                connection = self._pool.getconn()
        except PoolTimeout:
            options = {**self._options, "autocommit": autocommit}
            with _Impatient.connect(self.url, **options) as fresh:
                yield fresh
            return
        self._meter.taken()
        try:
            if connection.autocommit is not autocommit:
                connection.autocommit = autocommit
            with connection:
                yield connection
            connection.fresh_until = monotonic() + FRESH
        finally:
            self._meter.returned()
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


# What an actor sees (`Actor.scope`), as a condition; queries write the name in braces.
_VISIBLE = "(%(scope_{0})s::bigint IS NULL OR {1} = %(scope_{0})s)"
_SCOPES = {
    "{scope}": (("customer", "customer_id"), ("project", "project_id")),
    "{customer_scope}": (("customer", "id"),),
    "{project_scope}": (("customer", "customer_id"), ("project", "id")),
    "{user_scope}": (("customer", "customer_id"),),
    # An import reaches as far as its maker, so nobody who sees less may see it.
    "{import_scope}": (("customer", "customer_id"), ("project", "scope_project_id")),
}
SCOPES = {
    name: " AND ".join(_VISIBLE.format(*pair) for pair in pairs) for name, pairs in _SCOPES.items()
}


class Queries:
    """The named queries of one `.sql` file: each starts at a line `-- name: NAME`.

    What several have in common starts at a line `-- fragment: NAME`, and stands in for `{NAME}`.
    """

    def __init__(self, path: Path) -> None:
        _, *blocks = re.split(r"^-- (?=name: |fragment: )", path.read_text("utf-8"), flags=re.M)
        parts = SCOPES | dict(self._parse(one) for one in blocks if one.startswith("fragment: "))
        self._queries = {
            name: self._filled(text, parts)
            for name, text in (self._parse(one) for one in blocks if one.startswith("name: "))
        }

    @staticmethod
    def _parse(block: str) -> tuple[str, str]:
        head, _, text = block.partition("\n")
        kind, _, name = head.partition(": ")
        return f"{{{name}}}" if kind == "fragment" else name, text.strip()

    @staticmethod
    def _filled(text: str, parts: Mapping[str, str]) -> bytes:
        for name, part in parts.items():
            text = text.replace(name, part)
        return text.encode()

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
    cursor = connection.execute(query, parameters)
    if connection.pgconn.pipeline_status:
        with connection.pipeline() as pipeline:
            pipeline.sync()
    return cursor.rowcount


def send(connection: Connection, query: bytes, **parameters: Any) -> None:
    """Run a statement about which nobody asks; within `together` its answer is not waited for."""
    connection.execute(query, parameters)


@contextmanager
def together(connection: Connection) -> Iterator[None]:
    """Send what is sent without waiting for each statement's answer, which saves round trips. What
    fails is raised by the next statement that is waited for, or at the end; none after it is run.
    """
    with connection.pipeline():
        yield


@contextmanager
def atomically(
    connection: Connection, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Make a transaction whose statements are sent `together`, as is its end, of a connection that
    is in none (autocommit). What is done `meanwhile` waits for no answer, and holds nothing.
    """
    try:
        with together(connection):
            connection.execute("BEGIN")
            yield
            connection.execute("COMMIT")
            meanwhile()
    finally:
        with suppress(psycopg.OperationalError):
            connection.rollback()  # which there is nothing of, unless it has failed
