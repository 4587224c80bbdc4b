"""Strangers who take all TCP connections that there are, and say nothing: they are shown out."""

import socket
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Registrar, Wire
from tests.system import INTERNET_CLIENT, Line, System, eventually

pytestmark = pytest.mark.native  # a Kamailio of its own

ROOM = 40  # connections of a Kamailio that has little room
ATTACKER = "127.0.20.68"
PATIENCE = 12.0  # seconds: several lifetimes of a stranger's connection


def registers(node: Node, line: Line) -> bool:
    """Whether a device that comes now is served."""
    with suppress(OSError), Wire(over_tcp(node), INTERNET_CLIENT, timeout=1) as wire:
        return wire.register(line.credentials).status == 200
    return False


def over_tcp(node: Node) -> Registrar:
    return replace(node.system.internet.registrar, transport="tcp")


@pytest.mark.parametrize(("seconds", "served"), [(2, True), (600, False)], ids=["", "control"])
def test_idle_connections_of_strangers_do_not_keep_devices_out(
    stack: Stack, system: System, tmp_path: Path, seconds: int, *, served: bool
) -> None:
    line = system.new_line()
    changes = {
        "TCP_STRANGER_LIFETIME 30": f"TCP_STRANGER_LIFETIME {seconds}",
        "tcp_max_connections=4096": f"tcp_max_connections={ROOM}",
    }
    with (
        another_node(stack, system, tmp_path, changes=changes) as node,
        Wire(over_tcp(node), INTERNET_CLIENT) as known,
        ExitStack() as strangers,
    ):
        assert known.register(line.credentials).status == 200
        place = over_tcp(node)
        for _ in range(ROOM):
            strangers.enter_context(
                socket.create_connection((place.host, place.port), source_address=(ATTACKER, 0))
            )
        assert not registers(node, line)
        if served:
            assert eventually(lambda: registers(node, line), within=PATIENCE)
        else:
            with pytest.raises(AssertionError):
                eventually(lambda: registers(node, line), within=PATIENCE)
        # Whoever had shown a password was silent for as long, and is still connected.
        assert known.register(line.credentials).status == 200
