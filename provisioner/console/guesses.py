"""How often somebody may guess a password or a code, counted in each process.

A guess is counted before it is checked, so that many at once are no more than one after another;
one that was right is taken back. Passwords are counted by where the guesses come from, so that
nobody locks out somebody else. Codes are also counted by user: whoever guesses those has the
password already.
"""

import hashlib
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Flask, current_app
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

IPV6_PREFIX = 64  # bits: what one subscriber has

# Passwords from one network: at all email addresses, and at one.
AT_ALL, AT_ONE = RateLimitItemPerMinute(60), RateLimitItemPerMinute(10)
# Codes of one user: from everywhere, and from one network.
CODES, CODES_FROM_ONE = RateLimitItemPerHour(50), RateLimitItemPerHour(10)
TOLD = RateLimitItemPerMinute(1)  # refusals of one user that are written down

_Counts = list[tuple[RateLimitItem, tuple[str, ...]]]


def register(app: Flask) -> None:
    """Count the guesses of an application's visitors."""
    app.extensions["console guesses"] = Guesses()


def guesses() -> "Guesses":
    """Return those of the running application."""
    found = current_app.extensions["console guesses"]
    assert isinstance(found, Guesses)  # noqa: S101 - register put it there
    return found


class Guesses:
    """Counts what was guessed, in memory."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def take_password(self, source: str, email: str) -> bool:
        """Count a password before it is checked; False where it is one too many."""
        return self._take(_passwords(source, email))

    def password_was_right(self, source: str, email: str) -> None:
        """Take back what `take_password` has counted."""
        self._give_back(_passwords(source, email))

    def take_code(self, source: str, user_id: int) -> bool:
        """Count a code before it is checked; False where it is one too many."""
        return self._take(_codes(source, user_id))

    def code_was_right(self, source: str, user_id: int) -> None:
        """Take back what `take_code` has counted."""
        self._give_back(_codes(source, user_id))

    def may_tell(self, user_id: int) -> bool:
        """Say whether it is time to write down another refusal of a user."""
        return self._limiter.hit(TOLD, "told", str(user_id))

    def _take(self, counts: _Counts) -> bool:
        return all(self._limiter.hit(item, *key) for item, key in counts)

    def _give_back(self, counts: _Counts) -> None:
        for item, key in counts:
            self._limiter.hit(item, *key, cost=-1)


def _passwords(source: str, email: str) -> _Counts:
    network = _network(source)
    # Of a fixed size, whatever was sent as an address.
    digest = hashlib.sha256(email.casefold().encode("utf-8", "replace")).hexdigest()
    return [(AT_ALL, ("passwords", network)), (AT_ONE, ("passwords", network, digest))]


def _codes(source: str, user_id: int) -> _Counts:
    user = str(user_id)
    return [(CODES_FROM_ONE, ("codes", user, _network(source))), (CODES, ("codes", user))]


def _network(source: str) -> str:
    try:
        address = ip_address(source)
    except ValueError:
        return source  # a Unix socket has none
    if isinstance(address, IPv6Address):
        return str(ip_network((address.packed, IPV6_PREFIX), strict=False))
    return str(address)
