"""How the worker's threads sleep: until there is work, until they are told to stop, never long."""

import os
import select
import threading
import weakref
from collections.abc import Collection
from time import monotonic

from provisioner.db import Connection

CHANNEL = "provisioner_work"

Alarm = threading.Event


class SessionAlarm(Alarm):
    """Also rings when the thread's own database session hears of work of its own.

    No other thread has to run in between: what PostgreSQL tells arrives where the work is done.
    """

    def __init__(self, tables: Collection[str]) -> None:
        """Take the tables whose rows are the thread's work."""
        super().__init__()
        self._tables = tables
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._bell)

    def listen(self, connection: Connection) -> None:
        """Listen on a session, which is then the one to wait on."""
        connection.add_notify_handler(lambda notice: self._hear(notice.payload))
        connection.execute(f"LISTEN {CHANNEL}".encode())

    def set(self) -> None:
        """Wake the thread; any may."""
        super().set()
        os.eventfd_write(self._bell, 1)

    def sleep(self, connection: Connection, seconds: float) -> None:
        """Wait for work. What the session heard since `clear`, while it worked, counts, too."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        poll.register(connection.fileno(), select.POLLIN)
        until = monotonic() + seconds
        while not self.is_set() and (left := until - monotonic()) > 0:
            for descriptor, _ in poll.poll(1000 * left):
                if descriptor == self._bell:
                    os.eventfd_read(self._bell)
                else:
                    self._read(connection)

    def _read(self, connection: Connection) -> None:
        connection.pgconn.consume_input()
        while notice := connection.pgconn.notifies():
            self._hear(notice.extra.decode())

    def _hear(self, table: str) -> None:
        if not table or table in self._tables:
            super().set()
