"""WebSocket from strangers: few handshakes, of known origins, and nothing else on that port."""

import socket
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Registrar, Wire
from tests.system import SOFTPHONE_ORIGIN, System

pytestmark = pytest.mark.native  # a Kamailio of its own

LIMIT = 60  # handshakes of one address in a minute
ATTACKER = "127.0.20.66"
OTHER = "127.0.20.67"
PATIENCE = 5.0  # seconds
# The key is RFC 6455's own example.
HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: sip\r\nOrigin: {origin}\r\n\r\n"
)


def answer(stack: Stack, port: int, source: str, request: str) -> str:
    """The status that a request gets; empty where the connection is closed without one."""
    with socket.create_connection(
        (stack.sip_address, port), timeout=PATIENCE, source_address=(source, 0)
    ) as connection:
        connection.sendall(request.encode())
        return connection.recv(4096).decode().partition("\r\n")[0].partition(" ")[2][:3]


def handshake(stack: Stack, node: Node, source: str, origin: str = SOFTPHONE_ORIGIN) -> str:
    assert node.ws_port is not None
    return answer(stack, node.ws_port, source, HANDSHAKE.format(origin=origin))


@pytest.mark.parametrize(("limit", "last"), [(LIMIT, "429"), (0, "101")], ids=["limit", "control"])
def test_an_address_has_few_handshakes_a_minute(
    stack: Stack, system: System, tmp_path: Path, limit: int, last: str
) -> None:
    environ = {"KAMAILIO_WS_HANDSHAKES": str(limit)}
    with another_node(stack, system, tmp_path, environ=environ, ws=True) as node:
        # Those that are refused count, too: it is the asking that costs.
        assert handshake(stack, node, ATTACKER, "https://evil.test") == "403"
        answers = [handshake(stack, node, ATTACKER) for _ in range(LIMIT)]
        assert answers == ["101"] * (LIMIT - 1) + [last]
        assert handshake(stack, node, OTHER) == "101"


def test_each_port_speaks_its_own_language(stack: Stack, system: System, tmp_path: Path) -> None:
    """The same question where it belongs is the control."""
    with another_node(stack, system, tmp_path, ws=True) as node:
        sip = node.system.internet.registrar
        assert node.ws_port is not None
        places = {sip.port: (200, "404"), node.ws_port: (0, "101")}
        for port, (sip_answer, http_answer) in places.items():
            with Wire(Registrar(sip.host, port, "tcp"), ATTACKER, timeout=2) as wire:
                assert (
                    wire.exchange(wire.request("OPTIONS", "x", system.realm)).status == sip_answer
                )
            request = HANDSHAKE.format(origin=SOFTPHONE_ORIGIN)
            assert answer(stack, port, ATTACKER, request) == http_answer
        plain = "POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        assert answer(stack, node.ws_port, ATTACKER, plain) == "404"
