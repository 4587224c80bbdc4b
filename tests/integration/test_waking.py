"""What ends the sleep of a worker's thread that listens on its own session."""

import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from provisioner import db
from provisioner.settings import Settings
from provisioner.waking import CHANNEL, SessionAlarm

LONG = 20.0  # seconds: no test takes so long, unless nothing wakes it
TELL = b"SELECT pg_notify(%(channel)s, %(table)s)"


@pytest.fixture
def session(settings: Settings) -> Iterator[db.Connection]:
    with db.connect(settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def alarm(session: db.Connection) -> SessionAlarm:
    one = SessionAlarm({"pending_kicks"})
    one.listen(session)
    return one


def tell(connection: db.Connection, table: str) -> None:
    db.rows(connection, TELL, channel=CHANNEL, table=table)


def slept(alarm: SessionAlarm, session: db.Connection, seconds: float = LONG) -> float:
    began = monotonic()
    alarm.sleep(session, seconds)
    return monotonic() - began


@pytest.mark.parametrize("table", ["pending_kicks", ""])
def test_work_of_its_own_wakes_it_and_other_work_does_not(
    alarm: SessionAlarm, session: db.Connection, admin: db.Connection, table: str
) -> None:
    tell(admin, "imports")
    assert slept(alarm, session, 0.2) >= 0.2
    tell(admin, table)
    assert slept(alarm, session) < LONG


def test_what_it_heard_while_it_worked_counts(alarm: SessionAlarm, session: db.Connection) -> None:
    alarm.clear()
    tell(session, "pending_kicks")
    assert slept(alarm, session) < LONG
    alarm.clear()
    assert slept(alarm, session, 0.2) >= 0.2


def test_another_thread_wakes_it(alarm: SessionAlarm, session: db.Connection) -> None:
    thread = threading.Timer(0.1, alarm.set)
    thread.start()
    assert slept(alarm, session) < LONG
    thread.join()
