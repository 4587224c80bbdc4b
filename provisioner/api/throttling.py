"""How many requests a token may send: counted in each process, told in every answer."""

import time

from flask import Response, current_app, g
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from provisioner.access import Actor
from provisioner.api.problems import TooManyRequests


class Throttle:
    """Counts requests by token; `limit` (requests a minute) of 0 counts nothing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._item = RateLimitItemPerMinute(max(limit, 1))
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, key: str) -> bool:
        """Count a request and leave the headers for its answer; False where it is one too many."""
        if not self.limit:
            return True
        allowed = self._limiter.hit(self._item, key)
        reset_at, remaining = self._limiter.get_window_stats(self._item, key)
        g.rate = (self.limit, remaining, max(0, round(reset_at - time.time())))
        return allowed


def count(actor: Actor) -> None:
    """Count a request of an authenticated client.

    Raises:
        TooManyRequests: it is one too many.
    """
    throttle = current_app.extensions["provisioner throttle"]
    assert isinstance(throttle, Throttle)  # noqa: S101 - create_app put it there
    if not throttle.count(str(actor.id)):
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
