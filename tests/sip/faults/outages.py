"""Parts of the stack that are away, or held back, for a while."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from provisioner.stack.processes import Process, family
from tests.sip.conftest import Database

GATE = 7_000_001  # of the advisory lock that holds back the credentials query


@contextmanager
def stopped(process: Process, *, kill: bool = False) -> Iterator[None]:
    """Do without a process for a while."""
    process.kill() if kill else process.stop()
    try:
        yield
    finally:
        process.start()
        process.wait_ready()


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Let a process hang, with all below it: its sockets are open, and nobody answers."""
    pids = family(process.pid)
    send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Send them a signal; those that have ended need none, as PostgreSQL's sessions do."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def held_credentials(database: Database) -> Iterator[None]:
    """Let Kamailio's credentials query read its row, and return when the block is left."""
    row = database.execute(
        "SELECT pg_get_functiondef('kamailio.cred'::regproc) AS definition"
    ).fetchone()
    assert row
    original = row["definition"]
    gate = f"PERFORM pg_advisory_lock_shared({GATE}), pg_advisory_unlock_shared({GATE});"
    held = original.replace("\nEND\n", f"\n{gate}\nEND\n", 1)
    assert held != original
    database.execute("SELECT pg_advisory_lock(%s)", [GATE])
    database.execute(held.encode())
    try:
        yield
    finally:
        database.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        database.execute(original.encode())


def asked(database: Database) -> bool:
    """Say whether Kamailio's query waits at the gate."""
    return bool(
        database.execute(
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'kamailio' AND wait_event_type = 'Lock'"
        ).fetchone()
    )
