"""A node drains beside another one: its devices are called through it until they have moved."""

import pytest

from tests.sip.calls.conftest import hang_up, talk
from tests.sip.clients import Wire
from tests.sip.cluster.conftest import Cluster, ClusterNode, MakePhone
from tests.system import Line, eventually

pytestmark = pytest.mark.native  # another node


def takes(node: ClusterNode) -> bool:
    """Whether it says that something new may be sent to it."""
    place = node.system.internet
    with Wire(place.registrar, place.client) as wire:
        return wire.exchange(wire.request("OPTIONS", "monitor", node.system.realm)).status == 200


def register(node: ClusterNode, line: Line) -> int:
    place = node.system.internet
    with Wire(place.registrar, place.client) as wire:
        return wire.register(line.credentials).status


def test_a_node_waits_for_the_calls_of_others_that_pass_through_it(
    cluster: Cluster, phone: MakePhone
) -> None:
    line, others, third = (cluster.system.new_line() for _ in range(3))
    callee = phone(cluster.a, line)
    eventually(lambda: cluster.b.knows(line))
    caller = phone(cluster.b, others)
    call = caller.call(line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    path = f"/nodes/{cluster.a.name}"
    api = cluster.system.api

    api.post(f"{path}/drain").expect(200)
    try:
        eventually(lambda: not takes(cluster.a))
        assert (register(cluster.a, third), register(cluster.b, third)) == (503, 200)
        assert api.get(path).expect(200)["dialogs"] == 1

        second = phone(cluster.b, others).call(line.number)
        ringing = callee.incoming()
        talk(second, ringing)
        hang_up(incoming, call)
        eventually(lambda: api.get(path).expect(200)["dialogs"] == 1)
        assert not api.get(path).expect(200)["drained"]
        hang_up(second, ringing)
        eventually(lambda: api.get(path).expect(200)["drained"], within=15)
        assert not takes(cluster.a)
    finally:
        api.post(f"{path}/resume").expect(200)
    eventually(lambda: takes(cluster.a))
