"""Sends one message to one endpoint: no redirect, no second address, no more time than there is."""

import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from time import monotonic

from provisioner.errors import InvalidInput
from provisioner.hooks.addresses import Address, Network, Target, checked

CONNECT_TIMEOUT = 5.0  # seconds
TIMEOUT = 15.0  # seconds for all of an attempt
ADDRESSES_MAX = 4  # of a name that are tried
RESPONSE_KEPT = 4096  # bytes of an answer's body that are read and kept
USER_AGENT = "provisioner-webhooks"


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt: an HTTP status, or why there is none."""

    status: int | None
    duration_ms: int
    error: str | None = None
    response: str | None = None

    @property
    def delivered(self) -> bool:
        """True where the endpoint has taken the message (any 2xx)."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """True where the endpoint asks for no more messages (410)."""
        return self.status == 410


def deliver(
    url: str, headers: Mapping[str, str], body: bytes, allowed: Sequence[Network]
) -> Outcome:
    """POST a message to a URL, after judging its addresses anew; whatever happens is an outcome."""
    began = monotonic()
    try:
        target, addresses = checked(url, allowed)
        status, response = _exchange(target, addresses, headers, body, began + TIMEOUT)
    except InvalidInput as error:
        return Outcome(None, _milliseconds(began), f"{error.code}: {error.detail}")
    except (OSError, HTTPException, ValueError) as error:
        return Outcome(None, _milliseconds(began), _reason(error, began))
    return Outcome(status, _milliseconds(began), _complaint(status), response)


def _milliseconds(began: float) -> int:
    return round((monotonic() - began) * 1000)


def _reason(error: Exception, began: float) -> str:
    if isinstance(error, TimeoutError) or monotonic() - began >= TIMEOUT:
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return f"tls: {error.reason or error}"
    return f"{type(error).__name__}: {error}"[:500]


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _exchange(
    target: Target,
    addresses: Sequence[Address],
    headers: Mapping[str, str],
    body: bytes,
    deadline: float,
) -> tuple[int, str]:
    """Send the request to the first address that takes a connection, and read the answer.

    Raises:
        TimeoutError: the monotonic clock has come to the deadline.
    """
    # The watchdog has a descriptor of its own, because TLS takes over the connection's.
    with _connected(target, addresses, deadline) as connection, connection.dup() as handle:
        late = threading.Event()
        watchdog = threading.Timer(_left(deadline), _hang_up, [handle, late])
        watchdog.start()
        try:
            answer = _request(target, connection, headers, body)
        finally:
            watchdog.cancel()
        if late.is_set():
            raise TimeoutError
        return answer


def _left(deadline: float) -> float:
    """Return the seconds until a deadline.

    Raises:
        TimeoutError: there are none.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(target: Target, addresses: Sequence[Address], deadline: float) -> socket.socket:
    failure: OSError = ConnectionError("no address")
    for address in addresses[:ADDRESSES_MAX]:
        timeout = min(CONNECT_TIMEOUT, _left(deadline))
        try:
            return socket.create_connection((str(address), target.port), timeout=timeout)
        except OSError as error:
            failure = error
    raise failure


def _hang_up(connection: socket.socket, late: threading.Event) -> None:
    """End an exchange that takes too long, even one that drips a byte now and then."""
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _request(
    target: Target, connection: socket.socket, headers: Mapping[str, str], body: bytes
) -> tuple[int, str]:
    connection.settimeout(TIMEOUT)
    http = HTTPConnection(target.host, target.port)
    http.sock = connection
    if target.scheme == "https":
        # On the connection to the checked address, for the name that the URL has.
        http.sock = ssl.create_default_context().wrap_socket(
            connection, server_hostname=target.host
        )
    try:
        fixed = {
            "Host": target.authority,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Connection": "close",
        }
        http.request("POST", target.path, body, {**fixed, **headers})
        response = http.getresponse()
        content = response.read(RESPONSE_KEPT)
    finally:
        http.close()
    return response.status, content.decode("utf-8", "replace").replace("\0", "\ufffd")
