"""Ports: finding free ones, and saying clearly why one cannot be used."""

import errno
import random
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.stack.errors import StackError

FIRST_CHOICE = 10_000  # below it live well-known and often-used ports
ATTEMPTS = 200
CANNOT_USE = {
    errno.EADDRINUSE: "is taken by another program",
    errno.EACCES: "needs root's rights",
}


@dataclass(frozen=True)
class Endpoint:
    """Where a server will listen: an address and whether by UDP or TCP."""

    address: str
    kind: socket.SocketKind

    def fault(self, port: int) -> int | None:
        """Return the `errno` that keeps a server from listening here, or None if nothing does."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        try:
            with socket.socket(family, self.kind) as probe:
                # A TCP server may reuse a port whose old connections linger. For UDP the option
                # would hide a second Kamailio, which sets it too.
                if self.kind is socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.address, port))
        except OSError as error:
            return error.errno
        return None

    def check_address(self) -> None:
        """Check that the address is this machine's, whatever the port.

        Raises:
            StackError: it is not.
        """
        if self.fault(0) is not None:
            raise StackError(
                f"{self.address} is not an address of this machine; set SIP_ADDRESS to one that is."
            )


def tcp(*addresses: str) -> list[Endpoint]:
    """Return the endpoints of a TCP server on these addresses."""
    return [Endpoint(address, socket.SOCK_STREAM) for address in addresses]


def udp(*addresses: str) -> list[Endpoint]:
    """Return the endpoints of a UDP server on these addresses."""
    return [Endpoint(address, socket.SOCK_DGRAM) for address in addresses]


def udp_and_tcp(addresses: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints of a SIP server on these addresses."""
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    return [Endpoint(address, kind) for address in addresses for kind in kinds]


def is_free(port: int, endpoints: Sequence[Endpoint]) -> bool:
    """Tell whether every endpoint could listen on this port now."""
    return all(endpoint.fault(port) is None for endpoint in endpoints)


def free_port(endpoints: Sequence[Endpoint], but: Collection[int] = ()) -> int:
    """Choose a port at random that is free on every endpoint, and none of `but`.

    It lies outside the range from which the kernel takes ports for outgoing connections, so that
    a server which is stopped for a while still finds its port free.

    Raises:
        StackError: no port was found.
    """
    for _ in range(ATTEMPTS):
        port = random.randrange(FIRST_CHOICE, first_ephemeral())  # noqa: S311 - not a secret
        if port not in but and is_free(port, endpoints):
            return port
    raise StackError("No free port was found: too many servers are running on this machine.")


def first_ephemeral() -> int:
    """Return the first port that servers leave to outgoing connections."""
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    first = int(text.split()[0])
    return first if first > FIRST_CHOICE + ATTEMPTS else 65_536


def check_free(variable: str, port: int, endpoints: Sequence[Endpoint]) -> None:
    """Check that a server may listen on the port that the user chose by `variable`.

    Raises:
        StackError: one endpoint cannot be used; says which, why, and which variable to change.
    """
    for endpoint in endpoints:
        fault = endpoint.fault(port)
        if fault is None:
            continue
        kind = "UDP" if endpoint.kind is socket.SOCK_DGRAM else "TCP"
        reason = CANNOT_USE.get(fault, f"cannot be used ({errno.errorcode.get(fault, fault)})")
        raise StackError(
            f"{kind} port {port} on {endpoint.address} {reason}; set {variable} to another port."
        )


class PortBook:
    """A stack's ports by the name of their variable: those the user gave, and chosen ones."""

    def __init__(
        self, endpoints: Mapping[str, Sequence[Endpoint]], given: Mapping[str, int | None]
    ) -> None:
        self._endpoints = dict(endpoints)
        self._given = {name: port for name, port in given.items() if port is not None}
        self._ports = dict(self._given)
        self._variables: dict[str, str] = {}

    def add(
        self, name: str, endpoints: Sequence[Endpoint], given: int | None, variable: str = ""
    ) -> None:
        """Write down one more port; `variable` is what the user gave it by, if not its name."""
        self._endpoints[name] = endpoints
        self._variables[name] = variable or name
        if given is not None:
            self._given[name] = self._ports[name] = given

    def __getitem__(self, name: str) -> int:
        if name not in self._ports:
            raise StackError(f"{name} is not known before the stack starts.")
        return self._ports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._endpoints)

    def settle(self, names: Iterable[str]) -> None:
        """Make sure that these ports are free, choosing again those that the user did not give.

        Raises:
            StackError: an address or port that the user gave cannot be used, or none is free.
        """
        for name in names:
            endpoints = self._endpoints[name]
            for endpoint in endpoints:
                endpoint.check_address()
            if name in self._given:
                check_free(self._variables.get(name, name), self._given[name], endpoints)
            elif name not in self._ports or not is_free(self._ports[name], endpoints):
                self._ports[name] = free_port(endpoints, but=self._ports.values())

    def are_free(self, names: Iterable[str]) -> bool:
        """Tell whether all of these ports are free now."""
        return all(is_free(self._ports[name], self._endpoints[name]) for name in names)
