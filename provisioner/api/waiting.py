"""`Prefer: wait=N` (RFC 7240 section 4.3): answer once every node has converged."""

import re
from collections.abc import Callable
from threading import BoundedSemaphore
from time import monotonic, sleep

from flask import Response, request

from provisioner import store
from provisioner.api.context import database
from provisioner.db import Connection
from provisioner.errors import DatabaseUnavailable
from provisioner.model import Account

WAIT_MAX = 30  # seconds
WAITERS_MAX = 8  # of a process at a time; the next one is answered without waiting
POLL_FIRST, POLL_MAX = 0.002, 0.05  # seconds between two looks

# A waiting request holds a thread, and others must be served meanwhile.
_waiters = BoundedSemaphore(WAITERS_MAX)


def preferred_wait() -> float | None:
    """Return the seconds that the client is willing to wait, or None."""
    preferences = ",".join(request.headers.getlist("Prefer"))
    match = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?", preferences, re.ASCII | re.I)
    return min(float(match[1]), WAIT_MAX) if match else None


def account_converged(account: Account, seconds: float) -> bool:
    """Wait until every node has confirmed an account's changes; False if time runs out."""
    return _wait(lambda c: store.unconfirmed_kicks(c, account.username), seconds)


def allowlists_converged(seconds: float) -> bool:
    """Wait until every node has loaded the allowlists; False if time runs out."""
    return _wait(store.unconfirmed_reloads, seconds)


def applied(response: Response, converged: bool) -> Response:
    """Say what became of the client's preference: 202 where some node is still pending."""
    if preferred_wait() is not None:
        response.headers["Preference-Applied"] = f"wait={preferred_wait():g}"
        if not converged:
            response.status_code = 202
    return response


def _wait(pending: Callable[[Connection], int], seconds: float) -> bool:
    """Look until nothing is pending. The change itself is committed by now, so a database that
    goes away meanwhile is no error: the client learns that convergence is not known.
    """
    if not _waiters.acquire(blocking=False):
        return _look(pending, 0)
    try:
        return _look(pending, seconds)
    finally:
        _waiters.release()


def _look(pending: Callable[[Connection], int], seconds: float) -> bool:
    deadline = monotonic() + seconds
    pause = POLL_FIRST
    while True:
        try:
            with database().transaction() as connection:
                if not pending(connection):
                    return True
        except DatabaseUnavailable:
            return False
        if monotonic() + pause > deadline:
            return False
        sleep(pause)
        pause = min(pause * 2, POLL_MAX)
