"""A home network behind a masquerading router, made of network namespaces.

    with masqueraded_network() as network:      # first: it has the address to listen on
        ...start Kamailio also on network.registrar_address...
        phone = Baresip(Registrar(network.registrar_address, port), credentials,
                        network.home_address, run_in=network.run_in)

The phone's namespace has one way out, through the router's, which rewrites address and port and
lets in what answers to something that went out, from exactly where it went to. So nothing but the
registrar can reach the phone, and that only while the router remembers it.

`two_homes` makes two of them, which can only reach each other through what listens on the
registrar's address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOME = ipaddress.IPv4Interface("192.168.77.2/24")
OTHER_HOME = ipaddress.IPv4Interface("192.168.78.2/24")
PUBLIC_PORTS = "40000-49999"
"""What the router rewrites ports to, so that none of them stays as the phone wrote it."""

# Reserved for tests between networks (RFC 2544); cut into small nets, one for each router.
_INTERNET = ipaddress.IPv4Network("198.19.0.0/16")
_NET_BITS = 29
_COMMAND_SECONDS = 15.0
_count = itertools.count()


class NatUnavailableError(Exception):
    """This machine cannot make network namespaces (no right, no tool, or no kernel support)."""


@dataclass(frozen=True)
class MasqueradedNetwork:
    """The addresses of a home network and of the internet around it.

    `registrar_address` and `stranger_address` are this machine's own, both on the internet;
    `public_address` is the router's, which the registrar sees instead of `home_address`.
    `run_in` goes before the command line of a program that shall run at home; `namespace` is the
    home's name.
    """

    registrar_address: str
    stranger_address: str
    public_address: str
    home_address: str
    run_in: tuple[str, ...]
    namespace: str

    def run(self, command: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program at home to its end; raises `TimeoutExpired` after `timeout` seconds."""
        return subprocess.run(
            [*self.run_in, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def count_media(self, sip_port: int) -> None:
        """Count what the phone sends and gets by UDP from now on, but what is SIP."""
        for rule in (
            ("INPUT", "-i", "eth0", "-p", "udp", "!", "--dport", str(sip_port)),
            ("OUTPUT", "-o", "eth0", "-p", "udp", "!", "--sport", str(sip_port)),
        ):
            _ip("netns", "exec", self.namespace, "iptables", "-w", "-F", rule[0])
            _ip("netns", "exec", self.namespace, "iptables", "-w", "-A", *rule)

    def arrived(self) -> int:
        """How many of the counted packets have arrived."""
        return self._counted("INPUT")

    def sent(self) -> int:
        """How many of the counted packets the phone has sent."""
        return self._counted("OUTPUT")

    def _counted(self, chain: str) -> int:
        listing = ("iptables", "-w", "-nvx", "-L", chain, "1")
        return int(_ip("netns", "exec", self.namespace, *listing).split()[0])


@contextlib.contextmanager
def two_homes() -> Iterator[tuple[MasqueradedNetwork, MasqueradedNetwork]]:
    """Make two homes, each behind a router of its own, that have one registrar in common."""
    with (
        masqueraded_network() as one,
        masqueraded_network(home=OTHER_HOME, registrar=one.registrar_address) as other,
    ):
        yield one, other


@contextlib.contextmanager
def masqueraded_network(
    *,
    udp_timeout: int = 30,
    home: ipaddress.IPv4Interface = HOME,
    registrar: str | None = None,
) -> Iterator[MasqueradedNetwork]:
    """Make the network, and remove it and whatever still runs in it at the end.

    `udp_timeout`: after so many seconds without a packet the router forgets a UDP exchange.
    `home` is the phone's address; `registrar` another network's, None: one of this network's own.
    Needs root, or sudo without a password; raises `NatUnavailableError` where it cannot be made.
    """
    name = f"pv{os.getpid()}n{next(_count)}"
    inside, router, outside = f"{name}h", f"{name}r", f"{name}w"
    net = _free_net()
    here, stranger, public = (str(net[number]) for number in (1, 2, 3))
    with contextlib.ExitStack() as undo:
        for namespace in (router, inside):
            _ip("netns", "add", namespace)
            undo.callback(_remove, namespace)
        _ip("link", "add", outside, "type", "veth", "peer", "name", "wan", "netns", router)
        undo.callback(_ip, "link", "delete", outside, ignore_errors=True)
        _up(outside, f"{here}/{_NET_BITS}", f"{stranger}/{_NET_BITS}")
        _make_home(inside, router, home)
        _make_router(router, f"{public}/{_NET_BITS}", udp_timeout)
        if registrar is not None:
            _ip("-n", router, "route", "add", f"{registrar}/32", "via", here)
        run_in = (*_as_root(), "ip", "netns", "exec", inside, *_as_ourselves())
        yield MasqueradedNetwork(registrar or here, stranger, public, str(home.ip), run_in, inside)


def _make_home(namespace: str, router: str, address: ipaddress.IPv4Interface) -> None:
    link = ("link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("-n", router, *link)
    _up("lo", namespace=namespace)
    _up("eth0", str(address), namespace=namespace)
    gateway = str(address.network[1])
    _up("lan", f"{gateway}/{address.network.prefixlen}", namespace=router)
    _ip("-n", namespace, "route", "add", "default", "via", gateway)


def _make_router(router: str, public: str, udp_timeout: int) -> None:
    _up("wan", public, namespace=router)
    masquerade = ("-j", "MASQUERADE", "--to-ports", PUBLIC_PORTS)
    known = ("-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    for rule in (
        ("-P", "FORWARD", "DROP"),
        ("-A", "FORWARD", "-i", "lan", "-o", "wan", "-j", "ACCEPT"),
        ("-A", "FORWARD", "-i", "wan", "-o", "lan", *known),
        ("-A", "INPUT", "-i", "wan", "-j", "DROP"),
        ("-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-p", "udp", *masquerade),
        ("-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-p", "tcp", *masquerade),
    ):
        _ip("netns", "exec", router, "iptables", "-w", *rule)
    # These appear with the first rule that asks about connections.
    for timeout in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
        _write_setting(router, f"netfilter/{timeout}", udp_timeout)
    _write_setting(router, "ipv4/ip_forward", 1)


def _write_setting(namespace: str, name: str, value: int) -> None:
    path = f"/proc/sys/net/{name}"
    _ip("netns", "exec", namespace, "sh", "-c", 'echo "$1" > "$2"', "sh", str(value), path)


def _up(device: str, *addresses: str, namespace: str | None = None) -> None:
    where = ("-n", namespace) if namespace else ()
    for address in addresses:
        _ip(*where, "address", "add", address, "dev", device)
    _ip(*where, "link", "set", device, "up")


def _free_net() -> ipaddress.IPv4Network:
    """A net that no address of this machine is in; the process id keeps parallel runs apart."""
    taken = [
        ipaddress.IPv4Address(address["local"])
        for link in json.loads(_ip("-json", "-4", "address", "show"))
        for address in link.get("addr_info", ())
    ]
    nets = list(_INTERNET.subnets(new_prefix=_NET_BITS))
    first = os.getpid() % len(nets)
    for net in nets[first:] + nets[:first]:
        if not any(address in net for address in taken):
            return net
    raise NatUnavailableError(f"every net of {_INTERNET} is in use")


def _remove(namespace: str) -> None:
    """Remove a namespace; what still runs in it would keep it alive."""
    for pid in _ip("netns", "pids", namespace, ignore_errors=True).split():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), signal.SIGKILL)
    _ip("netns", "delete", namespace, ignore_errors=True)


def _as_root() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("sudo", "-n", "--preserve-env=HOME")


def _as_ourselves() -> tuple[str, ...]:
    """Back from root: what a program writes must be ours to read and to remove."""
    user, group = os.getuid(), os.getgid()
    back = ("setpriv", "--reuid", str(user), "--regid", str(group), "--init-groups")
    return () if os.geteuid() == 0 else back


def _ip(*arguments: str, ignore_errors: bool = False) -> str:
    command = [*_as_root(), "ip", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except OSError as error:
        raise NatUnavailableError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0 and not ignore_errors:
        raise NatUnavailableError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
