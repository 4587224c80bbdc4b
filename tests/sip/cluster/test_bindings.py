"""A device that has registered with one node is reached through all, and outlives its node."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provisioner.kamailio import BANS
from tests.figures import Figures
from tests.sip.attacks.guessing import guess, new_address
from tests.sip.calls.conftest import Device, give_up, hang_up, talk
from tests.sip.clients import Credentials, Endpoint, Registrar, Transport, Wire
from tests.sip.clients.peer import Peer, binding
from tests.sip.cluster.conftest import Cluster, ClusterNode, Database, MakePhone
from tests.sip.faults.outages import frozen
from tests.system import Line, eventually

GUESSES = 5  # after which an address is banned for one account: the share of one node of two

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
    give_up(caller, callee, line)
    call = caller.call(line.number)
    callee.incoming().respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")


def test_a_device_that_another_node_calls_can_send_to_that_node_alone(
    cluster: Cluster, phone: MakePhone
) -> None:
    """The call is not its own node's, which does not know what is allowed in it."""
    line, other = cluster.system.new_line(), cluster.system.new_line()
    callee = phone(cluster.a, line)
    caller = phone(cluster.b, other)
    place = cluster.a.system.internet
    with Endpoint(place.registrar, "127.0.20.9") as elsewhere:
        eventually(lambda: cluster.b.knows(line))
        call = caller.call(line.number)
        incoming = callee.incoming()
        talk(call, incoming)
        own = [route for route in incoming.route if place.registrar.address in route]
        assert own
        incoming.request(
            "INVITE", uri=f"sip:1@{elsewhere.host_port}", headers={"Route": ", ".join(own)}
        )
        assert incoming.final("INVITE").status == 404
        assert elsewhere.is_quiet()
        hang_up(call, incoming)


def ring(caller: Device, callee: Device, line: Line) -> None:
    """Call, talk and hang up."""
    call = caller.call(line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    hang_up(incoming, call)


def test_a_node_that_is_killed_leaves_its_devices_to_the_other(
    healthy: Cluster, phone: MakePhone, figures: Figures
) -> None:
    line, other = healthy.system.new_line(), healthy.system.new_line()
    callee, caller = phone(healthy.a, line), phone(healthy.b, other)
    eventually(lambda: healthy.b.knows(line))
    healthy.a.process.kill()
    callee.turn_to(healthy.b.system.internet.registrar)
    began = time.monotonic()
    ring(caller, callee, line)
    figures("called through the other node after a node was killed (s)", time.monotonic() - began)
    assert callee.register(line.credentials).status == 200
    ring(caller, callee, line)
    healthy.a.restart()
    eventually(healthy.whole)
    eventually(lambda: healthy.a.knows(line))
    ring(phone(healthy.a, other), callee, line)


def stored(records: Database, *lines: Line) -> list[dict[str, object]]:
    names = [line.credentials.username for line in lines]
    query = "SELECT username, server_id, socket FROM kamailio.location WHERE username = ANY (%s)"
    return records.execute(query, [names]).fetchall()


def test_nothing_is_lost_when_both_nodes_are_killed(
    healthy: Cluster, phone: MakePhone, records: Database
) -> None:
    """Each writes its own bindings, and no other's: the table has one row of each."""
    lines = [healthy.system.new_line() for _ in range(2)]
    phones = [phone(node, line) for node, line in zip(healthy.nodes, lines, strict=True)]
    eventually(lambda: len(stored(records, *lines)) == 2, within=20)
    for node in healthy.nodes:
        node.process.kill()
    for node in healthy.nodes:
        node.restart()
    eventually(healthy.whole)
    eventually(lambda: all(node.knows(line) for node in healthy.nodes for line in lines))
    ring(phones[0], phones[1], lines[1])
    ring(phones[1], phones[0], lines[0])
    rows = {row["username"]: row for row in stored(records, *lines)}
    for number, line in enumerate(lines, 1):
        row = rows[line.credentials.username]
        assert (row["server_id"], row["socket"] is None) == (number, False)
    assert "duplicate key" not in healthy.log()


def test_a_binding_that_moves_is_written_by_its_new_node(
    cluster: Cluster, phone: MakePhone, records: Database
) -> None:
    line = cluster.system.new_line()
    device = phone(cluster.a, line)
    eventually(lambda: stored(records, line), within=20)
    device.turn_to(cluster.b.system.internet.registrar)
    assert device.register(line.credentials).status == 200
    eventually(lambda: [row["server_id"] for row in stored(records, line)] == [2], within=20)
    assert len(line.bindings()) == 1
    ring(phone(cluster.a, cluster.system.new_line()), device, line)


# What is taken away stays away.


def test_a_binding_is_told_once_and_goes_everywhere_with_its_account(
    cluster: Cluster, phone: MakePhone, records: Database
) -> None:
    line = cluster.system.new_line()
    phone(cluster.b, line)
    eventually(lambda: cluster.a.knows(line))
    (one,) = line.bindings()
    assert one["node"] == "node2"
    eventually(lambda: stored(records, line), within=20)
    line.disable()
    assert not any(node.knows(line) for node in cluster.nodes)
    assert stored(records, line) == []


@contextmanager
def in_place_of(node: ClusterNode, cluster: Cluster, other: ClusterNode) -> Iterator[Peer]:
    """Speak to the other node as one that is dead."""
    ports = {one.name: one.dmq for one in cluster.stack.nodes}
    heard = Registrar("127.0.0.1", ports[other.name] or 0)
    with Peer(heard, "127.0.0.1", port=ports[node.name] or 0) as peer:
        yield peer


def test_what_another_node_tells_too_late_does_not_bring_a_binding_back(
    healthy: Cluster, phone: MakePhone
) -> None:
    """The node has dropped the bindings when it is told of one more: a second look finds it."""
    line = healthy.system.new_line()
    phone(healthy.b, line)
    aor = f"{line.credentials.username}@{healthy.system.realm}"
    healthy.a.process.kill()
    with in_place_of(healthy.a, healthy, healthy.b) as late:
        line.api.post(f"{line.path}/disable").expect(200)
        eventually(lambda: line.read()["convergence"]["pending_nodes"] == ["node1"])
        with frozen(healthy.stack.worker):  # or the second look might come before ours
            again = binding(aor, "sip:late@127.0.20.1:5999")
            told = late.tell("usrloc", again, late.registrar.address)
            assert told is not None
            assert told.status == 200
            eventually(lambda: healthy.b.knows(line))
        eventually(lambda: not healthy.b.knows(line))
    healthy.a.restart()
    assert not any(node.knows(line) for node in healthy.nodes)


def test_a_node_that_was_away_ends_no_binding_that_is_newer_than_its_work(
    healthy: Cluster, phone: MakePhone
) -> None:
    """A password is changed while a node is away; what has registered with the new one stays."""
    line = healthy.system.new_line()
    device = phone(healthy.a, line)
    eventually(lambda: healthy.b.knows(line))
    healthy.b.process.kill()
    shown = line.api.post(f"{line.path}/credentials").expect(200)["credentials"]
    eventually(lambda: line.read()["convergence"]["pending_nodes"] == ["node2"])
    assert not healthy.a.knows(line)
    changed = int(time.time())
    eventually(lambda: time.time() >= changed + 1)  # the nodes tell whole seconds
    fresh = Credentials(shown["username"], shown["password"], shown["realm"])
    eventually(lambda: device.register(fresh).status == 200)
    healthy.b.restart()
    eventually(lambda: healthy.b.knows(line))
    eventually(lambda: line.read()["convergence"]["pending_nodes"] == [])
    assert healthy.a.knows(line)
    assert healthy.b.knows(line)


# Bans.


def test_who_is_banned_by_one_node_is_banned_by_all(cluster: Cluster, phone: MakePhone) -> None:
    """And who registers from there still gets through, wherever he has registered."""
    line = cluster.system.new_line()
    source = new_address()
    registrar = cluster.a.system.internet.registrar
    names = [line.credentials.username] * (GUESSES + 1)
    assert guess(registrar, source, cluster.system.realm, names).refused == 1
    eventually(lambda: [ban for ban in cluster.b.kamailio.bans() if ban.source == source])
    with Wire(cluster.b.system.internet.registrar, source) as device:
        assert device.register(line.credentials).status == 503
    cluster.system.api.delete(f"/bans/{source}").expect(200)
    with Wire(cluster.b.system.internet.registrar, source) as device:
        assert device.register(line.credentials).status == 200
    now = int(time.time())
    cluster.b.kamailio.call("htable.sets", BANS, source, f"{now} {now + 300} 25")
    eventually(lambda: [ban for ban in cluster.a.kamailio.bans() if ban.source == source])
    with Wire(registrar, source) as device:
        assert device.register(line.credentials).status == 200
