"""A source that has guessed passwords, and that a node therefore refuses for a while.

Nothing here does input or output.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from typing import Self

NETWORK_BITS = 64  # of IPv6: whoever has one such network has all of its addresses


@dataclass(frozen=True)
class Ban:
    """A source, or with `username` that source for one account only, and until when.

    `source` is an IPv4 address or an IPv6 network; `guesses` are the wrong passwords that led to
    it. Times are whole seconds, by the node's clock.
    """

    key: str
    source: str
    username: str | None
    since: datetime
    until: datetime
    guesses: int

    @classmethod
    def parse(cls, key: str, value: str) -> Self:
        """Read what kamailio/guard.cfg has written.

        Raises:
            ValueError: it is something else.
        """
        source, _, username = key.partition(" ")
        since, until, guesses = map(int, value.split(" "))
        return cls(
            key=key,
            source=source_of(source),
            username=username or None,
            since=datetime.fromtimestamp(since, UTC),
            until=datetime.fromtimestamp(until, UTC),
            guesses=guesses,
        )


def source_of(address: str) -> str:
    """Return what is counted and banned of an address: itself, or the network of an IPv6 one.

    A network may be given in the address's place.

    Raises:
        ValueError: it is neither.
    """
    one = ip_address(address.partition("/")[0])
    if isinstance(one, IPv4Address):
        return str(ip_address(address))
    return str(ip_network((one, NETWORK_BITS), strict=False))


def key_of(source: str) -> str:
    """Return a source as a node writes it: none of a network's four groups is left out."""
    if ":" not in source:
        return source
    groups = IPv6Network(source).network_address.exploded.split(":")[:4]
    return ":".join(f"{int(group, 16):x}" for group in groups) + f"::/{NETWORK_BITS}"
