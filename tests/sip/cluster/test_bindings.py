"""A device that has registered with one node is reached through all, and outlives its node."""

import pytest

from tests.sip.calls.conftest import hang_up, talk
from tests.sip.clients import Transport
from tests.sip.cluster.conftest import Cluster, MakePhone
from tests.system import eventually

pytestmark = pytest.mark.native  # looks into the nodes' memory, and ends them


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_device_of_one_node_is_called_through_the_other(
    cluster: Cluster, phone: MakePhone, transport: Transport
) -> None:
    """It hears from its own node alone: the call comes from there, and so does all that follows."""
    line, other = cluster.system.new_line(), cluster.system.new_line()
    callee = phone(cluster.a, line, transport)
    eventually(lambda: cluster.b.knows(line))
    caller = phone(cluster.b, other)
    call = caller.call(line.number)
    incoming = callee.incoming()
    assert "X-Binding" not in str(incoming.invite)
    talk(call, incoming)
    call.request("INFO")
    callee.answer(callee.wait_request("INFO"), 200, "OK")
    assert call.final("INFO").status == 200
    incoming.request("INFO")
    caller.answer(caller.wait_request("INFO"), 200, "OK")
    assert incoming.final("INFO").status == 200
    hang_up(incoming, call)
    call = caller.call(line.number)
    incoming = callee.incoming()
    incoming.ring()
    call.provisional(180)
    call.cancel()
    incoming.wait_cancel()
    assert call.outcome() == (487, "Request Terminated")
    call = caller.call(line.number)
    callee.incoming().respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")
