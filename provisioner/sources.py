"""From where an account may register: CloudFire's networks, its own, either, or anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


@dataclass(frozen=True)
class Sources:
    """The networks whose addresses an account is used from; with neither kind, any address is.

    `cloudfire`: CloudFire's networks; `own`: its customer's, in CIDR notation.
    """

    cloudfire: bool
    own: tuple[str, ...] = ()

    @property
    def restricted(self) -> bool:
        """False where any source is in."""
        return self.cloudfire or bool(self.own)

    def networks(self, cloudfire: Sequence[str]) -> list[str]:
        """List the networks that a source may be in, given CloudFire's."""
        return [*(cloudfire if self.cloudfire else ()), *self.own]

    def admit(self, source: str, cloudfire: Sequence[str]) -> bool:
        """Say whether an IP address is in, given CloudFire's networks."""
        return not self.restricted or is_inside(source, self.networks(cloudfire))

    def cover(self, other: "Sources") -> bool:
        """Say whether all that `other` lets in is let in.

        False also where several networks are needed to cover one: whoever takes that for a
        restriction looks at bindings that may stay, and leaves them.
        """
        if not self.restricted:
            return True
        if not other.restricted or (other.cloudfire and not self.cloudfire):
            return False
        mine = [ip_network(cidr) for cidr in self.own]
        return all(any(_is_part(ip_network(cidr), one) for one in mine) for cidr in other.own)


def is_inside(source: str, cidrs: Sequence[str]) -> bool:
    """Say whether an IP address is in one of the networks; what is no address is in none."""
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in ip_network(cidr) for cidr in cidrs)


def _is_part(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    if isinstance(part, IPv4Network):
        return isinstance(whole, IPv4Network) and part.subnet_of(whole)
    return isinstance(whole, IPv6Network) and part.subnet_of(whole)
