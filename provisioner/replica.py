"""The replica that a node reads from, as the node's worker sees it: does it show what it should?

It is asked for a row that the primary has, not for its position in a log: a replica that follows
another primary, or was promoted beside it, does not show that row, whatever it has replayed. One
that has become the primary does.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from time import monotonic

import psycopg
from psycopg.conninfo import conninfo_to_dict

from provisioner import db, sync_store
from provisioner.errors import DatabaseUnavailable
from provisioner.model import NodeReplica, ReplicaState
from provisioner.sync_store import Kick

log = logging.getLogger(__name__)

PATIENCE = 0.05  # seconds that a node's work may wait for its replica
POLL_INTERVAL = 0.002  # seconds between two questions
HANGING = 5.0  # seconds after which a connection that says nothing is given up


class Replica:
    """A replica, asked in a thread of its own: connecting to one that hangs takes seconds.

    `found` is what the last look found.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replica")
        self._question: Future[bool] | None = None
        self._connection: db.Connection | None = None
        self.found = NodeReplica(_address(url), ReplicaState.AWAY, None)

    def follows(self, node_id: int, mark: datetime) -> bool:
        """Tell whether it shows the mark that the worker has just left at the primary."""
        began = monotonic()
        seen: list[datetime | None] = []

        def shows_mark(connection: db.Connection) -> bool:
            seen.append(sync_store.node_mark(connection, node_id))
            return seen[-1] == mark

        if self._ask(shows_mark):
            state, lag = ReplicaState.USED, monotonic() - began
        elif seen and seen[-1]:
            state, lag = ReplicaState.BEHIND, (mark - seen[-1]).total_seconds()
        else:
            state, lag = ReplicaState.AWAY, None
        if state is not self.found.state:
            level = logging.INFO if state is ReplicaState.USED else logging.WARNING
            log.log(level, "the replica at %s is %s", self.found.address, state)
        seconds = None if lag is None else round(lag, 3)
        self.found = replace(self.found, state=state, lag_seconds=seconds)
        return state is ReplicaState.USED

    def shows(self, node_id: int, kicks: Sequence[Kick]) -> bool:
        """Tell whether it shows the changes that a node is to obey."""
        return self._ask(lambda connection: sync_store.shows_kicks(connection, node_id, kicks))

    def _ask(self, question: Callable[[db.Connection], bool]) -> bool:
        """Ask until the answer is yes, for as long as patience lasts."""
        if self._question is not None and not self._question.done():
            return False  # it hangs
        self._question = self._thread.submit(self._repeat, question, monotonic() + PATIENCE)
        try:
            return self._question.result(timeout=2 * PATIENCE)
        except (TimeoutError, DatabaseUnavailable, psycopg.Error):
            return False

    def _repeat(self, question: Callable[[db.Connection], bool], deadline: float) -> bool:
        try:
            with db.translated_errors():
                if self._connection is None:
                    self._connection = db.connect(
                        self._url, autocommit=True, name="provisioner replica", patience=HANGING
                    )
                while not question(self._connection):
                    if monotonic() >= deadline:
                        return False
                    time.sleep(POLL_INTERVAL)
        except (DatabaseUnavailable, psycopg.Error):
            self._hang_up()
            raise
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Ask no more."""
        self._thread.submit(self._hang_up)
        self._thread.shutdown(wait=False)


def _address(url: str) -> str:
    """Return where it is, without the password."""
    parts = conninfo_to_dict(url)
    return f"{parts.get('host', '')}:{parts.get('port', 5432)}"
