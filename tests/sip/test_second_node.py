"""What holds of a system with two nodes as its users see it, without a look inside."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.sip.attacks.nodes import seen_through
from tests.sip.calls.conftest import Device, hang_up, talk
from tests.sip.clients import ClientError, IncomingCall, Registrar, RovingPhone, Wire
from tests.system import Line, System, eventually

SECOND = "TEST_INTERNET_REGISTRAR_2"

pytestmark = pytest.mark.skipif(
    SECOND not in os.environ,
    reason="this system has one node; natively tests/sip/cluster/ has two",
)


class MakePhone(Protocol):
    def __call__(self, node: System, line: Line) -> Device: ...


@pytest.fixture(scope="module")
def nodes(system: System) -> list[System]:
    """The system as it is seen through each of its nodes."""
    host, _, port = os.environ[SECOND].rpartition(":")
    return [system, seen_through(system, Registrar(host, int(port)))]


@pytest.fixture
def phone() -> Iterator[MakePhone]:
    """Make phones that have registered with a node."""
    with ExitStack() as devices:

        def make(node: System, line: Line) -> Device:
            device = devices.enter_context(Device(node, line, node.internet, "udp"))
            assert device.register(line.credentials).status == 200
            return device

        yield make


@pytest.mark.parametrize(("of", "through"), [(0, 1), (1, 0)])
def test_a_phone_of_one_node_is_called_through_the_other(
    nodes: list[System], phone: MakePhone, of: int, through: int
) -> None:
    """Whichever versions they have: the upgrade runs this when each has another."""
    line, other = nodes[of].new_line(), nodes[of].new_line()
    callee = phone(nodes[of], line)
    caller = phone(nodes[through], other)

    def taken() -> IncomingCall | None:
        """Until the nodes have told each other, the call finds nobody."""
        call = caller.call(line.number)
        try:
            incoming = callee.incoming(timeout=1)
        except ClientError:
            return None
        talk(call, incoming)
        hang_up(incoming, call)
        return incoming

    eventually(taken)


def test_a_disabled_account_is_refused_by_both(nodes: list[System], phone: MakePhone) -> None:
    """As soon as the change is called converged, and no node has a binding of it."""
    line = nodes[0].new_line()
    phone(nodes[1], line)
    eventually(line.bindings)

    line.disable()

    assert line.bindings() == []
    for node in nodes:
        with Wire(node.internet.registrar, node.internet.client) as device:
            assert device.register(line.credentials).status == 403


def test_a_phone_that_knows_both_goes_to_the_one_that_answers(nodes: list[System]) -> None:
    """The first that it knows is nowhere, here."""
    line = nodes[0].new_line()
    place = nodes[1].internet
    nowhere = Registrar(place.registrar.host, 9)
    with RovingPhone([nowhere, place.registrar], place.client, line.credentials) as device:
        assert device.register_somewhere() == [0, 200]
        assert device.register_somewhere() == [200]


def test_every_node_reads_from_the_replica(system: System) -> None:
    """And goes on to when the replica was away before, as the harness has let it be."""

    def states() -> list[str]:
        items = system.api.get("/nodes").expect(200)["items"]
        return [node["replica"] and node["replica"]["state"] for node in items]

    eventually(lambda: states() == ["used", "used"])
