"""No connection to PostgreSQL is left, neither in the API's pool nor at the server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from time import monotonic

import psycopg
import pytest

from provisioner.stack.stack import Stack
from tests.api import Answer
from tests.figures import Figures
from tests.sip.conftest import Database
from tests.sip.faults.repeating import registering
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native

STUCK = 60  # requests that wait for a lock: more than both processes' pools hold (40)
SERVED = 5.0  # seconds in which another request is answered nevertheless
RECOVERY = 10.0  # seconds

WAITING = (
    "SELECT count(*) AS n FROM pg_stat_activity"
    " WHERE usename = 'provisioner' AND wait_event_type = 'Lock'"
)


def test_requests_beyond_the_pool_are_served(
    system: System, stack: Stack, database: Database, figures: Figures
) -> None:
    line, other = system.new_line(), system.new_line()
    with ThreadPoolExecutor(STUCK) as clients:
        with database.transaction():
            database.execute(
                "SELECT 1 FROM provisioner.sip_accounts WHERE id = %s FOR UPDATE", [line.id]
            )
            with psycopg.connect(stack.database_admin_url, autocommit=True) as watcher:
                stuck = [clients.submit(change, line, n) for n in range(1, STUCK + 1)]
                eventually(lambda: waiting(watcher) == STUCK)
            began = monotonic()
            assert change(other, 7) == 200
            taken = monotonic() - began
        assert {one.result() for one in stuck} == {200}
    figures("a request while 60 others hold all connections of the pool (s)", round(taken, 1))
    assert taken < SERVED


def change(line: Line, channels: int) -> int:
    return line.api.patch(line.path, {"voice_channels": channels}).status


def waiting(watcher: psycopg.Connection) -> int:
    row = watcher.execute(WAITING).fetchone()
    assert row
    return int(row[0])


def test_a_server_without_a_free_connection_is_told_and_recovered_from(
    system: System, stack: Stack, database: Database, figures: Figures
) -> None:
    line = system.new_line()
    phone = registering(system.internet, line.credentials)
    assert phone() == 200
    with ExitStack() as hogs:

        def refused() -> Answer | None:
            """Drop the API's connections, and take their places; None where it was faster."""
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'provisioner serve'"
            )
            take_all(stack, hogs)
            answer = line.api.get(line.path)
            return answer if answer.status == 503 else None

        answer = eventually(refused)
        assert answer
        assert answer.json["type"].endswith(":database-unavailable")
        assert answer.headers["Retry-After"]
        assert phone() == 200  # Kamailio has its own
    free = monotonic()
    eventually(lambda: line.api.get(line.path).status == 200, within=RECOVERY)
    line.disable()
    assert phone() == 403
    figures("recovery from no free connection (s)", round(monotonic() - free, 1))


def take_all(stack: Stack, hogs: ExitStack) -> None:
    """Open connections until there is no place for another."""
    with suppress(psycopg.OperationalError):
        for _ in range(1000):
            hogs.enter_context(psycopg.connect(stack.database_url))
        raise AssertionError("there is no end of connections")
