"""`Prefer: wait=N` (RFC 7240 section 4.3): answer once every node has converged."""

import re
from collections.abc import Callable
from contextlib import suppress
from threading import BoundedSemaphore
from time import monotonic, sleep

from flask import Response, request

from provisioner import tracing
from provisioner.api.context import database
from provisioner.api.serving import Call, shown
from provisioner.api.view import View
from provisioner.db import Connection
from provisioner.errors import DatabaseUnavailable, NotFound

WAIT_MAX = 30  # seconds
WAITERS_MAX = 8  # of a process at a time; the next one is answered without waiting
POLL_FIRST, POLL_MAX = 0.002, 0.05  # seconds between two looks

Pending = Callable[[Connection], int]

# A waiting request holds a thread, and others must be served meanwhile.
_waiters = BoundedSemaphore(WAITERS_MAX)


def preferred_wait() -> float | None:
    """Return the seconds that the client is willing to wait, or None."""
    preferences = request.headers.get("Prefer")  # the server joins several
    if preferences is None:
        return None
    match = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?", preferences, re.ASCII | re.I)
    return min(float(match[1]), WAIT_MAX) if match else None


def settle(
    call: Call,
    converged: bool,
    pending: Pending,
    show: Callable[[Connection], View] | None = None,
    *,
    at_least: float = 0.0,
) -> None:
    """Wait for the nodes as the client prefers, after the transaction has been committed.

    `pending` counts those that have yet to confirm; `show` makes the answer anew once none has.
    `at_least` is waited where the client prefers nothing (seconds).
    """
    seconds = preferred_wait()

    def wait(response: Response) -> Response:
        done = converged or _wait(pending, at_least if seconds is None else seconds)
        if done and not converged and show is not None:
            response = _shown_again(response, show)
        if seconds is not None:
            response.headers["Preference-Applied"] = f"wait={seconds:g}"
        if not done and (seconds is not None or at_least):
            response.status_code = 202
        return response

    if seconds is not None or at_least:
        call.afterwards.append(wait)


def _shown_again(response: Response, show: Callable[[Connection], View]) -> Response:
    """Show it as it is now; as it was then, if the database or it went away since."""
    with suppress(DatabaseUnavailable, NotFound), database().transaction() as connection:
        again = shown(show(connection), response.status_code)
        for name, value in response.headers.items():
            if name not in again.headers:
                again.headers[name] = value
        return again
    return response


def _wait(pending: Pending, seconds: float) -> bool:
    """Look until nothing is pending. The change itself is committed by now, so a database that
    goes away meanwhile is no error: the client learns that convergence is not known.
    """
    if not _waiters.acquire(blocking=False):
        return _look(pending, 0)
    try:
        with tracing.part("wait for the nodes"):
            return _look(pending, seconds)
    finally:
        _waiters.release()


def _look(pending: Pending, seconds: float) -> bool:
    began = monotonic()
    while True:
        try:
            with database().transaction(traced=False) as connection:
                if not pending(connection):
                    return True
        except DatabaseUnavailable:
            return False
        waited = monotonic() - began
        pause = min(max(POLL_FIRST, waited / 4), POLL_MAX)
        if waited + pause > seconds:
            return False
        sleep(pause)
