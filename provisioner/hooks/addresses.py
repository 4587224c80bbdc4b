"""Where webhooks may be sent: to public addresses only, unless the operator allows others.

An endpoint's URL is a customer's choice, and the worker stands inside the operator's network; so
a name is resolved here, every address that it has is judged, and the connection then goes to the
address that was judged, not to the name again (it may resolve to another one a moment later).
"""

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from provisioner.errors import InvalidInput
from provisioner.sentences import Sentence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LENGTH = 2000  # characters
RESOLVE_TIMEOUT = 5.0  # seconds
DEFAULT_PORTS = {"https": 443, "http": 80}
PRIVILEGED_PORTS = 1024  # below it only the default ports are a web server's

# IANA's special-purpose registry for IPv4, multicast and class E.
_REFUSED_4 = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
# All that is public in IPv6 lies in here (IPv4-mapped, NAT64, local and multicast do not) ...
_GLOBAL_6 = ip_network("2000::/3")
# ... except for the IETF's own assignments with Teredo and ORCHID, documentation, and 6to4.
_REFUSED_6 = [
    ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


class AddressRefused(InvalidInput):
    """The URL leads to an address to which webhooks are not sent."""

    code = "address-refused"


@dataclass(frozen=True)
class Target:
    """A URL in parts."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Return what the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        InvalidInput: it is not one to which webhooks can be sent.
    """
    if len(url) > URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        rule = Sentence(
            "must have at most %(length)s printable ASCII characters", length=URL_LENGTH
        )
        raise InvalidInput("url", rule)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput("url", "must be a URL like https://example.com/path") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise InvalidInput("url", "must be a URL like https://example.com/path")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("url", "must not contain a user name or password")
    if "#" in url:
        raise InvalidInput("url", "must not have a fragment")
    if port == 0:
        raise InvalidInput("url", "must have a port from 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], path)


def resolve(target: Target, timeout: float = RESOLVE_TIMEOUT) -> list[Address]:
    """Return all addresses of a target's host, in the resolver's order.

    Raises:
        AddressRefused: it has none, or its name servers have not said so within `timeout` seconds.
    """
    answers: SimpleQueue[list[str] | None] = SimpleQueue()
    # The resolver cannot be told how long to wait; whoever asks it in vain is left behind.
    threading.Thread(target=_look_up, args=(target, answers), daemon=True).start()
    try:
        found = answers.get(timeout=max(timeout, 0.001))
    except Empty:
        found = None
    if found is None:
        raise AddressRefused("url", "must have a host name that has an address")
    return [ip_address(text.partition("%")[0]) for text in found]


def _look_up(target: Target, answers: SimpleQueue[list[str] | None]) -> None:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers.put(None)
    else:
        answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))


def checked(
    url: str, allowed: Sequence[Network], timeout: float = RESOLVE_TIMEOUT
) -> tuple[Target, list[Address]]:
    """Return where a URL leads, if webhooks may be sent there; the addresses are those judged.

    The name may take `timeout` seconds to resolve.

    Raises:
        InvalidInput: it is not one to which webhooks can be sent.
        AddressRefused: one of its addresses, its port or its scheme is not allowed.
    """
    target = parse(url)
    addresses = resolve(target, timeout)
    if all(_is_within(address, allowed) for address in addresses):
        return target, addresses
    for address in addresses:
        if not is_public(address) and not _is_within(address, allowed):
            rule = Sentence(
                "must lead to public addresses only, not to %(address)s", address=address
            )
            raise AddressRefused("url", rule)
    if target.scheme != "https":
        raise AddressRefused("url", "must begin with https://")
    if target.port < PRIVILEGED_PORTS and target.port not in DEFAULT_PORTS.values():
        raise AddressRefused("url", "must have the port 443 or one from 1024")
    return target, addresses


def is_public(address: Address) -> bool:
    """Say whether anybody on the Internet could be meant by an address."""
    if isinstance(address, IPv4Address):
        return not _is_within(address, _REFUSED_4)
    return address in _GLOBAL_6 and not _is_within(address, _REFUSED_6)


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
