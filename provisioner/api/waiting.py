"""`Prefer: wait=N` (RFC 7240 section 4.3): answer once every node has converged."""

import re
from collections.abc import Callable
from time import monotonic, sleep

from flask import Response, request

from provisioner import store
from provisioner.api.context import database
from provisioner.db import Connection
from provisioner.model import Account

WAIT_MAX = 60  # seconds
POLL_FIRST, POLL_MAX = 0.002, 0.05  # seconds between two looks


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
    deadline = monotonic() + seconds
    pause = POLL_FIRST
    while True:
        with database().transaction() as connection:
            if not pending(connection):
                return True
        if monotonic() + pause > deadline:
            return False
        sleep(pause)
        pause = min(pause * 2, POLL_MAX)
