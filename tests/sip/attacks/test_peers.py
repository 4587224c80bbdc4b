"""Nodes believe what other nodes tell them: nobody else may."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.kamailio import BANS, KamailioNode
from provisioner.stack.ports import udp
from provisioner.stack.stack import Stack
from tests.ports import new_port
from tests.sip.attacks.nodes import another_node
from tests.sip.calls.conftest import Device, hang_up, talk
from tests.sip.clients import Registrar
from tests.sip.clients.peer import Peer, binding, cell
from tests.system import System, eventually

pytestmark = pytest.mark.native  # runs a Kamailio of its own

AOR = "390699999999@talkytime.test"
CONTACT = "sip:390699999999@127.0.20.66:5060"
BANNED = "127.0.20.67"
FAR_FUTURE = "1700000000 4000000000 25"


@dataclass(frozen=True)
class Target:
    """A node that listens to one other, whom a test plays."""

    system: System
    kamailio: KamailioNode
    dmq: Registrar
    peer_port: int

    def believes(self) -> bool:
        """Whether it has taken up what it was told, or has been told of a node."""
        banned = self.kamailio.call("htable.dump", BANS)
        bound = self.kamailio.bindings(AOR)
        return bool(banned or bound or self.knows_intruder())

    def knows_intruder(self) -> bool:
        """Whether it would tell everything to a node that does not exist."""
        nodes = self.kamailio.call("dmq.list_nodes")
        return any(str(node["port"]) == "6666" for node in nodes)

    def tell_all(self, peer: Peer, host: str) -> None:
        """Say everything that would do harm."""
        peer.timeout = 0.2
        peer.tell("usrloc", binding(AOR, CONTACT, server_id=77), host)
        peer.tell("htable", cell(BANS, BANNED, FAR_FUTURE), host)
        peer.send(
            peer.request(
                "KDMQ",
                "notification_peer",
                host,
                {"Content-Type": "text/plain", "Max-Forwards": "1"},
                uri=f"sip:notification_peer@{host}",
                body="sip:127.0.0.1:6666;status=active\r\n",
            )
        )


@pytest.fixture(scope="module")
def target(
    stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    dmq_port, peer_port = new_port(udp("127.0.0.1")), new_port(udp("127.0.0.1"))
    environ = {
        "KAMAILIO_DMQ_ADDRESS": f"127.0.0.1:{dmq_port}",
        "KAMAILIO_DMQ_PEERS": f"127.0.0.1:{peer_port}",
        "KAMAILIO_DMQ_PEER_1": f"127.0.0.1:{peer_port}",
    }
    folder: Path = tmp_path_factory.mktemp("target")
    changes = {"^#!define SILENCE 10$": "#!define SILENCE 1"}
    with another_node(stack, system, folder, changes=changes, environ=environ) as node:
        dmq = Registrar("127.0.0.1", dmq_port)
        yield Target(node.system, node.kamailio, dmq, peer_port)


def test_whoever_sends_it_to_the_sip_port_does_nothing(target: Target) -> None:
    place = target.system.internet
    for transport in ("udp", "tcp"):
        registrar = Registrar(place.registrar.host, place.registrar.port, transport)
        for host in (target.system.realm, place.registrar.address, target.dmq.address):
            with Peer(registrar, place.client) as stranger:
                target.tell_all(stranger, host)
    assert not target.believes()


@pytest.mark.parametrize("source", ["127.0.20.1", "127.0.0.1"])
def test_whoever_is_no_node_is_not_heard_where_nodes_are(target: Target, source: str) -> None:
    """Not even from a node's address, if it is another port."""
    with Peer(target.dmq, source) as stranger:
        target.tell_all(stranger, target.dmq.address)
        assert stranger.received(0.2) == b""
    assert not target.believes()


def test_a_call_carries_nothing_to_where_nodes_listen(target: Target) -> None:
    """Whoever calls may send what he likes within the call, and name any address."""
    system = target.system
    line, other = system.new_line(), system.new_line()
    with (
        Device(system, line, system.internet, "udp") as caller,
        Device(system, other, system.internet, "udp") as callee,
    ):
        for device, owner in ((caller, line), (callee, other)):
            assert device.register(owner.credentials).status == 200
        call = caller.call(other.number)
        incoming = callee.incoming()
        talk(call, incoming)
        body = json.dumps(binding(AOR, CONTACT, server_id=77))
        for uri in (f"sip:usrloc@{target.dmq.address}", f"sip:usrloc@127.0.0.1:{target.peer_port}"):
            call.request("KDMQ", uri=uri, headers={"Content-Type": "application/json"}, body=body)
        hang_up(call, incoming)
    assert not target.believes()


def test_control_the_other_node_is_believed(target: Target) -> None:
    with Peer(target.dmq, "127.0.0.1", port=target.peer_port) as peer:
        target.tell_all(peer, target.dmq.address)
        eventually(lambda: target.kamailio.bindings(AOR))
        eventually(lambda: BANNED in [ban.source for ban in target.kamailio.bans()])
        eventually(target.knows_intruder)


def test_a_node_that_was_silent_is_asked_for_all_it_has(target: Target) -> None:
    """What it has told while it was not heard is lost."""
    seen: set[str] = set()

    def asked() -> set[str]:
        while (message := peer.receive(0.2)) is not None:
            if message.body in ('{"action":3}', '{"action":1}'):
                seen.add(message.start_line.partition("@")[0])
        return seen

    with Peer(target.dmq, "127.0.0.1", port=target.peer_port) as peer:
        peer.tell("usrloc", binding(AOR, CONTACT, server_id=77), target.dmq.address)
        asked()
        seen.clear()
        silent_since = time.time()
        eventually(lambda: time.time() > silent_since + 2)
        peer.send(
            peer.request(
                "KDMQ", "usrloc", target.dmq.address, uri=f"sip:usrloc@{target.dmq.address}"
            )
        )
        eventually(lambda: asked() == {"KDMQ sip:usrloc", "KDMQ sip:htable"})
