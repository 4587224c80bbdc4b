"""Webhooks as a way into the operator's network: names that lie, and addresses in disguise.

The network that may be sent to plays the public here, the rest of the loopback what is inside. Each
attack reaches the inside where addresses are not judged, or a name is resolved again.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest

from provisioner.hooks import addresses, delivery
from provisioner.hooks.delivery import deliver
from tests.system import eventually

PUBLIC, INSIDE = "127.0.30.9", "127.0.0.1"
ALLOWED = [ip_network("127.0.30.0/24")]
DISGUISES = [
    *("127.0.0.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "localhost"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0", "0.0.0.0", "LOCALHOST"),
]


class Inside:
    """A server that nobody outside ought to reach; counts who does."""

    def __init__(self, server: socket.socket) -> None:
        self.port: int = server.getsockname()[1]
        self.reached = 0
        self._server = server

    def run(self) -> None:
        """Take connections until the socket is closed."""
        with suppress(OSError):
            while True:
                self._server.accept()[0].close()
                self.reached += 1


@pytest.fixture
def inside() -> Iterator[Inside]:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        place = Inside(server)
        thread = threading.Thread(target=place.run)
        thread.start()
        yield place
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def rebinding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that first tells a public address, then one inside."""
    answers = iter([PUBLIC])

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        address = next(answers, INSIDE) if host == "rebinding.test" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_name_is_not_resolved_again(monkeypatch: pytest.MonkeyPatch, inside: Inside) -> None:
    rebinding(monkeypatch)
    monkeypatch.setattr(delivery, "CONNECT_TIMEOUT", 0.5)
    outcome = deliver(f"http://rebinding.test:{inside.port}/", {}, b"{}", ALLOWED)
    assert not outcome.delivered
    outcome = deliver(f"http://rebinding.test:{inside.port}/", {}, b"{}", ALLOWED)
    assert (outcome.error or "").startswith("address-refused")


def test_a_name_that_is_resolved_again_would_lead_inside(
    monkeypatch: pytest.MonkeyPatch, inside: Inside
) -> None:
    rebinding(monkeypatch)
    monkeypatch.setattr(
        delivery,
        "_connected",
        lambda target, *_: socket.create_connection((target.host, target.port)),
    )
    deliver(f"http://rebinding.test:{inside.port}/", {}, b"{}", ALLOWED)
    eventually(lambda: inside.reached)


def test_one_address_inside_among_public_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch, inside: Inside
) -> None:
    told = [(2, 1, 6, "", (address, inside.port)) for address in (PUBLIC, INSIDE)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: told)
    outcome = deliver(f"http://mixed.test:{inside.port}/", {}, b"{}", ALLOWED)
    assert (outcome.error or "").startswith("address-refused")
    assert not inside.reached


@pytest.mark.parametrize("host", DISGUISES)
def test_no_disguise_leads_inside(inside: Inside, host: str) -> None:
    for scheme in ("https", "http"):
        outcome = deliver(f"{scheme}://{host}:{inside.port}/", {}, b"{}", ALLOWED)
        assert (outcome.error or "").startswith("address-refused")
    assert not inside.reached


def test_the_disguises_would_lead_inside(monkeypatch: pytest.MonkeyPatch, inside: Inside) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda _: True)
    for host in DISGUISES:
        deliver(f"https://{host}:{inside.port}/", {}, b"{}", ALLOWED)
    eventually(lambda: inside.reached == len(DISGUISES))
