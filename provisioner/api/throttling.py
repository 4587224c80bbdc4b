"""How many requests a token may send: counted in each process, told in every answer."""

import threading
from time import monotonic

from flask import Response, current_app, g

from provisioner.access import Actor
from provisioner.api.problems import TooManyRequests

WINDOW = 60.0  # seconds
WINDOWS_MAX = 10_000  # tokens that are remembered before those that were silent are forgotten


class Throttle:
    """Counts requests by token; `limit` (requests a minute) of 0 counts nothing.

    A minute begins with its first request.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._windows: dict[int | None, tuple[float, int]] = {}  # its end, its requests

    def count(self, token: int | None) -> bool:
        """Count a request and leave the headers for its answer; False where it is one too many."""
        if not self.limit:
            return True
        now = monotonic()
        with self._lock:
            end, requests = self._windows.get(token, (0.0, 0))
            if end <= now:
                self._forget(now)
                end, requests = now + WINDOW, 0
            self._windows[token] = end, requests + 1
        g.rate = (self.limit, max(0, self.limit - requests - 1), round(end - now))
        return requests < self.limit

    def _forget(self, now: float) -> None:
        if len(self._windows) >= WINDOWS_MAX:
            self._windows = {token: one for token, one in self._windows.items() if one[0] > now}


def count(actor: Actor) -> None:
    """Count a request of an authenticated client.

    Raises:
        TooManyRequests: it is one too many.
    """
    throttle = current_app.extensions["provisioner throttle"]
    assert isinstance(throttle, Throttle)  # noqa: S101 - create_app put it there
    if not throttle.count(actor.id):
        raise TooManyRequests()


def tell(response: Response) -> Response:
    """Tell how many requests are left, and in how many seconds there will be all of them again."""
    if "rate" in g:
        limit, remaining, reset = g.rate
        response.headers["RateLimit-Limit"] = str(limit)
        response.headers["RateLimit-Remaining"] = str(remaining)
        response.headers["RateLimit-Reset"] = str(reset)
        if response.status_code == 429:
            response.headers["Retry-After"] = str(max(reset, 1))
    return response
