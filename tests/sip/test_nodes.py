"""Nodes join, drain and go, while the system serves phones."""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provisioner.kamailio import TABLE, Drop
from provisioner.registrations import aor_of
from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.attacks.test_handshakes import handshake
from tests.sip.calls.conftest import Device, hang_up, talk
from tests.sip.calls.test_records import records
from tests.sip.clients import Wire
from tests.sip.faults.outages import stopped
from tests.system import Line, System, Trunk, eventually

pytestmark = pytest.mark.native  # another Kamailio over the stack's database

# It drops no binding before it is told that it may.
STUBBORN = {
    r"^\tif \(\$hu == \"/drop\" &&": '\tif ($hu == "/drop" && $sht(node=>obeys) != $null &&',
    r"^\troute\(OBEY\);": """
	if ($rb =~ "ul\\.rm" && $sht(node=>obeys) == $null) {
		xhttp_reply("500", "Not Now", "text/plain", "");
		exit;
	}
	route(OBEY);""",
}
# As of the release before accounts could be dropped in one request.
OLDER = {r"^\tif \(\$hu == \"/drop\" &&": '\tif ($hu == "/not-yet" &&'}
MANY = 70  # accounts: more than two requests take
NAME = "another"  # node, as the provisioner calls it; it calls itself by another name


@pytest.fixture
def node(stack: Stack, system: System, trunk: Trunk, tmp_path: Path) -> Iterator[Node]:
    """A second node, of which the provisioner does not know yet."""
    with another_node(stack, system, tmp_path, ws=True) as node:
        yield node


@contextmanager
def joined(system: System, rpc_url: str) -> Iterator[None]:
    """Have it join, and forget it at the end."""
    system.api.post("/nodes", {"name": NAME, "rpc_url": rpc_url}, wait=20).expect(201)
    try:
        yield
    finally:
        system.api.delete(f"/nodes/{NAME}").expect(204)


def readiness(node: Node) -> tuple[int, str]:
    """What a load balancer is told."""
    port = urlsplit(node.rpc_url).port or 0
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as balancer:
        balancer.request("GET", "/readyz")
        answer = balancer.getresponse()
        return answer.status, answer.read().decode()


def shown(system: System) -> dict[str, object]:
    found = system.api.get(f"/nodes/{NAME}").expect(200)
    assert isinstance(found, dict)
    return found


def drain(system: System) -> None:
    """Have it drain, and wait until it does."""
    system.api.post(f"/nodes/{NAME}/drain").expect(200)


def register(system: System, line: Line) -> tuple[int, str | None]:
    """Register a phone there; what it is told, and when it may come again."""
    place = system.internet
    with Wire(place.registrar, place.client) as wire:
        answer = wire.register(line.credentials)
        assert answer.response is not None
        return answer.status, answer.response.header("Retry-After")


def options(system: System, user: str = "") -> int:
    """Ask the server, or somebody there, whether he is there."""
    place = system.internet
    with Wire(place.registrar, place.client) as wire:
        uri = f"sip:{user}@{system.realm}" if user else f"sip:{system.realm}"
        return wire.exchange(wire.request("OPTIONS", "monitor", system.realm, uri=uri)).status


def waited_for(line: Line) -> list[str]:
    """The nodes that have yet to confirm an account's change."""
    pending: list[str] = line.read()["convergence"]["pending_nodes"]
    return pending


def command(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "provisioner", "nodes", *arguments]
    return subprocess.Popen(program, env=stack.environ, stdout=subprocess.PIPE, text=True)


def test_a_node_joins_and_is_trusted_once_it_has_converged(
    system: System, stack: Stack, tmp_path: Path
) -> None:
    line, other = system.new_line(), system.new_line()
    with another_node(stack, system, tmp_path, changes=STUBBORN) as node, ExitStack() as undo:
        assert register(node.system, line) == (200, None)
        line.disable()  # of which nobody tells a node that nobody knows
        assert readiness(node) == (503, "untrusted")

        undo.callback(system.api.delete, f"/nodes/{NAME}")
        with command(stack, "add", NAME, node.rpc_url, "--wait", "60") as join:
            eventually(lambda: system.api.get(f"/nodes/{NAME}").status == 200)
            eventually(lambda: (shown(system)["state"], shown(system)["pending"]) == ("up", 1))
            assert not shown(system)["converged"]
            assert waited_for(line) == [NAME]
            assert bound(node, line)
            assert readiness(node) == (503, "untrusted")
            assert join.poll() is None
            node.kamailio.call("htable.seti", "node", "obeys", 1)
            said, _ = join.communicate(timeout=60)
        assert join.returncode == 0, said
        assert f"{NAME}: is put right: 1 to be confirmed" in said
        assert not bound(node, line)
        assert register(node.system, line)[0] == 403
        eventually(lambda: readiness(node) == (200, "ready"))

        # For as long as it obeys, and somebody vouches for it.
        node.kamailio.call("htable.delete", "node", "obeys")
        other.api.post(f"{other.path}/disable").expect(200)
        eventually(lambda: readiness(node) == (503, "untrusted"), within=15)
        node.kamailio.call("htable.seti", "node", "obeys", 1)
        eventually(lambda: readiness(node) == (200, "ready"), within=15)
        with stopped(stack.worker):
            eventually(lambda: readiness(node) == (503, "untrusted"))
    system.api.get(f"/nodes/{NAME}").expect(404)


def bound(node: Node, line: Line) -> bool:
    """Whether the node has a binding of an account."""
    return bool(node.kamailio.bindings(f"{line.credentials.username}@{node.system.realm}"))


def test_a_node_drains_without_dropping_a_call(
    system: System, stack: Stack, node: Node, trunk: Trunk
) -> None:
    caller, callee = system.new_line(), system.new_line()
    with ExitStack() as devices, joined(system, node.rpc_url):

        def device(seen: System, line: Line) -> Device:
            return devices.enter_context(Device(seen, line, seen.internet, "udp"))

        phone, ours = device(node.system, callee), device(node.system, caller)
        assert phone.register(callee.credentials).status == 200
        call = ours.call(callee.number)
        incoming = phone.incoming()
        talk(call, incoming)
        eventually(lambda: shown(system)["dialogs"] == 1)
        assert options(node.system) == 200
        assert handshake(stack, node, "127.0.20.1") == "101"

        drain(system)
        waits = command(stack, "drain", NAME, "--wait", "60")
        eventually(lambda: readiness(node) == (503, "draining"))
        assert register(node.system, callee) == (503, "30")
        assert ours.call(callee.number).outcome() == (503, "Service Unavailable")
        assert (options(node.system), options(node.system, "somebody")) == (503, 503)
        assert options(system) == 200
        assert handshake(stack, node, "127.0.20.1") == "503"
        elsewhere = device(system, callee)
        assert elsewhere.register(callee.credentials).status == 200
        another = device(system, caller).call(callee.number)
        taken = elsewhere.incoming()
        talk(another, taken)
        hang_up(another, taken)
        calls_for_help(node.system, trunk, caller)

        for one, other in ((call, incoming), (incoming, call)):
            one.request("INFO")
            ours_or_theirs = other.endpoint.wait_request("INFO", call=other)
            other.endpoint.answer(ours_or_theirs, 200, "OK")
            assert one.final("INFO").status == 200
        assert (shown(system)["draining"], shown(system)["drained"]) == (True, False)
        assert waits.poll() is None
        assert waits.stdout
        assert any("calls in progress: 1" in told for told in waits.stdout)
        hang_up(incoming, call)
        said, _ = waits.communicate(timeout=30)
        assert waits.returncode == 0, said
        assert (shown(system)["drained"], shown(system)["dialogs"]) == (True, 0)
        assert [one["status"] for one in records(callee, 2)] == [200, 200]

        system.api.post(f"/nodes/{NAME}/resume").expect(200)
        eventually(lambda: readiness(node) == (200, "ready"))
        assert register(node.system, callee) == (200, None)
        assert options(node.system) == 200


def calls_for_help(system: System, trunk: Trunk, line: Line) -> None:
    """An emergency call, which the carrier takes."""
    with (
        Device(system, line, system.internet, "udp") as phone,
        Device(system, None, system.carriers, "udp", trunk.port) as carrier,
    ):
        call = phone.call("112")
        incoming = carrier.incoming()
        talk(call, incoming)
        hang_up(call, incoming)


def test_a_node_that_restarts_while_it_drains_takes_nothing(
    system: System, stack: Stack, node: Node
) -> None:
    def forgets() -> bool:
        """Whether it takes calls again, as its memory says; the worker may have come between."""
        node.kamailio.drain(draining=False)
        return options(node.system) == 200

    with joined(system, node.rpc_url):
        assert options(node.system) == 200
        drain(system)
        eventually(lambda: options(node.system) == 503)
        # It knows by itself, before a worker tells it.
        with stopped(stack.worker):
            with stopped(node.process, kill=True):
                pass
            assert options(node.system) == 503
        # Its memory is put right.
        eventually(forgets)
        eventually(lambda: options(node.system) == 503)
        system.api.post(f"/nodes/{NAME}/resume").expect(200)
        eventually(lambda: options(node.system) == 200)
        with stopped(stack.worker):
            with stopped(node.process, kill=True):
                pass
            assert options(node.system) == 200


def test_nobody_waits_for_a_node_that_is_forgotten(system: System, node: Node) -> None:
    line = system.new_line()
    with joined(system, node.rpc_url):
        node.process.stop()
        line.api.post(f"{line.path}/disable").expect(200)
        eventually(lambda: waited_for(line) == [NAME])
    assert waited_for(line) == []
    system.api.get(f"/nodes/{NAME}").expect(404)
    system.api.delete(f"/nodes/{NAME}").expect(404)


@pytest.mark.parametrize("changes", [{}, OLDER], ids=["at once", "one by one"])
def test_many_accounts_are_fenced_and_dropped(
    stack: Stack,
    system: System,
    tmp_path: Path,
    changes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usernames = [f"39{number:010}" for number in range(MANY)]
    *most, spared, unknown = usernames
    aors = {username: aor_of(username, system.realm) for username in usernames}
    with another_node(stack, system, tmp_path, changes=changes) as node:
        kamailio = node.kamailio
        if not changes:
            monkeypatch.setattr(kamailio, "_call_all", pytest.fail)
        for username in (*most, spared):
            contact = f"sip:{username}@127.0.20.1:5062"
            kamailio.call("ul.add", TABLE, aors[username], contact, 60, 1.0, "", 0, 0, 0)
        told = [Drop(username, aors[username], number) for number, username in enumerate(most)]
        told += [Drop(spared, None, 4711), Drop(unknown, aors[unknown], None)]
        assert kamailio.drop_all(told) == [None] * MANY
        assert [name for name in usernames if kamailio.bindings(aors[name])] == [spared]
        table = kamailio.call("htable.dump", "fence")
        fences = {item["name"]: item["value"] for slot in table for item in slot["slot"]}
        assert fences == {name: n + 1 for n, name in enumerate(most)} | {spared: 4712}
