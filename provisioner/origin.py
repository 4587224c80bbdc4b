"""What the present thread works for: the id of the request that asked for it, if one did.

It goes into each line of the logs, and with pending work to whoever does that later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from secrets import token_hex

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def new_request_id() -> str:
    """Make an id for a request that has none."""
    return token_hex(8)


def request_id() -> str | None:
    """Return the id of the request that is worked for."""
    return _request_id.get()


def set_request_id(known: str | None) -> None:
    """Work for a request from now on; None: for no one's."""
    _request_id.set(known)


@contextmanager
def of_request(known: str | None) -> Iterator[None]:
    """Work for a request for a while."""
    former = _request_id.set(known)
    try:
        yield
    finally:
        _request_id.reset(former)
