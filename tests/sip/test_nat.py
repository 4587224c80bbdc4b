"""A phone behind a masquerading router registers, and is reachable for as long as it is bound."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.sip.clients import Baresip, ClientError, Registrar
from tests.sip.nat import MasqueradedNetwork, masqueraded_network
from tests.system import INTERNET_CLIENT, System, native_system

pytestmark = pytest.mark.native  # makes network namespaces

ROUTER_FORGETS = 4  # seconds without a packet; home routers take 30 or more
NEVER = 3600


@contextmanager
def system_around(
    network: MasqueradedNetwork, directory: Path, ping_interval: int
) -> Iterator[System]:
    """A system that can also be reached from the router's side."""
    environ = {"KAMAILIO_NAT_PING_INTERVAL": str(ping_interval)}
    addresses = [network.registrar_address]
    with Stack(directory, environ=environ, extra_sip_addresses=addresses) as stack:
        yield native_system(stack)


def outlast_the_router(phone: Baresip, *, kept_alive: bool) -> None:
    """Let the time pass after which the router forgets a phone to which nothing is sent."""
    if kept_alive:
        phone.wait_requests("OPTIONS", count=ROUTER_FORGETS + 2, timeout=30)
        return
    with pytest.raises(ClientError):
        phone.wait_requests("OPTIONS", count=1, timeout=ROUTER_FORGETS + 2)


@pytest.mark.parametrize(
    ("ping_interval", "rings"), [(1, True), (NEVER, False)], ids=["kept alive", "control"]
)
def test_a_phone_behind_nat_rings_if_it_is_kept_alive(
    tmp_path: Path, ping_interval: int, rings: bool
) -> None:
    with (
        masqueraded_network(udp_timeout=ROUTER_FORGETS) as network,
        system_around(network, tmp_path, ping_interval) as system,
    ):
        home, caller = system.new_line(), system.new_line()
        port = system.internet.registrar.port
        with (
            Baresip(
                Registrar(network.registrar_address, port),
                home.credentials,
                network.home_address,
                run_in=network.run_in,
            ) as phone,
            Baresip(system.internet.registrar, caller.credentials, INTERNET_CLIENT) as calling,
        ):
            assert phone.register().accepted
            assert calling.register().accepted
            (binding,) = home.bindings()
            assert network.home_address in binding["contact"]
            assert binding["source"].startswith(f"{network.public_address}:")

            outlast_the_router(phone, kept_alive=rings)
            calling.dial(f"sip:{home.credentials.username}@{system.realm}")
            if not rings:
                with pytest.raises(ClientError):
                    phone.wait_incoming(timeout=3)
                return
            phone.wait_incoming(timeout=10)
            phone.answer()
            calling.wait_established(timeout=10)
            calling.hangup()
            phone.wait_closed(timeout=10)

            # What the server itself says to it finds the way, too.
            phone.dial(f"sip:{caller.credentials.username}@{system.realm}")
            calling.wait_incoming(timeout=10)
            calling.answer()
            phone.wait_established(timeout=10)
            caller.disable()
            phone.wait_closed(timeout=10)
