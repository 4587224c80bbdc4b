"""Who may read what is measured, and the worker's own listener for it."""

import logging
from hmac import compare_digest
from ipaddress import ip_address

log = logging.getLogger(__name__)

REFUSED = "Show METRICS_TOKEN as a bearer token; where there is none, ask from this machine.\n"


def may_read(token: str, authorization: str, peer: str | None, *, passed_on: bool = False) -> bool:
    """Say whether a request may read the metrics: it shows the token, or, where none is set, comes
    from this machine itself and was not passed on by a proxy.
    """
    if token:
        scheme, _, shown = authorization.partition(" ")
        # As bytes: a comparison of texts takes ASCII only.
        same = compare_digest(shown.strip().encode(), token.encode())
        return scheme.lower() == "bearer" and same
    return not passed_on and is_local(peer)


def is_local(address: str | None) -> bool:
    """Say whether an address is the loopback's."""
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
