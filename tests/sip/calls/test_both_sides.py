"""Whose call the server ends is told so at both sides, however fast the first of them answers."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.calls.conftest import Device, talk
from tests.sip.clients import Call, ClientError
from tests.sip.conftest import Database
from tests.system import System, Trunk

pytestmark = pytest.mark.native

SOMEBODY = "+390299000001"
CALL_MAX = 3  # seconds

# Nothing that is answered waits.
IMPATIENT = {r'if \(is_method\("BYE"\)\) route\(HELD\);': ""}


def go_first(pid: int) -> None:
    """Let a process have the processor whenever it wants it."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        # Without it who comes first is a matter of luck, and so would be what the control shows.
        pytest.skip("this machine lets nobody go before others (SCHED_FIFO)")


@contextmanager
def overtaken(kamailio: KamailioNode, role: str) -> Iterator[None]:
    """Let all that runs here and in Kamailio share one processor, where all others go before its
    processes of a role: between two BYEs of theirs everybody else does what there is to do.
    """
    processes = {process["PID"]: process["DSC"] for process in kamailio.call("core.psx")}
    one = min(os.sched_getaffinity(0))
    with ExitStack() as undo:
        for pid in (0, *processes):
            undo.callback(os.sched_setaffinity, pid, os.sched_getaffinity(pid))
            os.sched_setaffinity(pid, {one})
            if role not in processes.get(pid, ""):
                undo.callback(os.sched_setscheduler, pid, os.SCHED_OTHER, os.sched_param(0))
                go_first(pid)
        yield


@contextmanager
def talking(node: Node, trunk: Trunk, *, called: bool) -> Iterator[tuple[Call, Call]]:
    """Have a device talk to a carrier, who was called or has called; first who has called."""
    line = node.system.new_line()
    with (
        Device(node.system, line, node.system.internet, "udp") as phone,
        Device(node.system, None, node.system.carriers, "udp", trunk.port) as carrier,
    ):
        assert phone.register(line.credentials).status == 200
        caller, callee = (phone, carrier) if called else (carrier, phone)
        call = caller.call(SOMEBODY if called else line.number)
        incoming = callee.incoming()
        talk(call, incoming)
        yield call, incoming


def end_by_rpc(node: Node, database: Database) -> None:
    """As the worker ends the only call at a node."""
    calls = database.execute(
        "SELECT dialog_entry, dialog_id, sip_call_id FROM kamailio.calls WHERE node = %s",
        [node.kamailio.incarnation()],
    ).fetchall()
    assert len(calls) == 1, calls
    node.kamailio.end_call(*calls[0].values())


@contextmanager
def ending(node: Node, database: Database, *, by: str) -> Iterator[None]:
    """End the call meanwhile, as an account's that is disabled, or because it has its time."""
    if by == "timer":
        with overtaken(node.kamailio, "timer"):
            yield
    else:
        with overtaken(node.kamailio, "tcp receiver"), ThreadPoolExecutor() as elsewhere:
            ended = elsewhere.submit(end_by_rpc, node, database)
            yield
            ended.result()


@contextmanager
def node_of(stack: Stack, system: System, folder: Path, **details: Any) -> Iterator[Node]:
    environ = {"KAMAILIO_CALL_MAX": str(CALL_MAX)}
    with another_node(stack, system, folder, environ=environ, **details) as node:
        yield node


@pytest.fixture(scope="module")
def node(
    stack: Stack, system: System, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    with node_of(stack, system, tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture(scope="module")
def impatient(
    stack: Stack, system: System, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    with node_of(stack, system, tmp_path_factory.mktemp("node"), changes=IMPATIENT) as node:
        yield node


@pytest.mark.parametrize("by", ["rpc", "timer"])
@pytest.mark.parametrize("called", [True, False], ids=["out", "in"])
def test_both_are_told(node: Node, trunk: Trunk, database: Database, called: bool, by: str) -> None:
    with talking(node, trunk, called=called) as sides, ending(node, database, by=by):
        for side in sides:
            side.wait_bye(timeout=CALL_MAX + 2)


@pytest.mark.parametrize("by", ["rpc", "timer"])
def test_without_the_wait_the_callee_is_not_told(
    impatient: Node, trunk: Trunk, database: Database, by: str
) -> None:
    """The control."""
    with (
        talking(impatient, trunk, called=True) as (call, incoming),
        ending(impatient, database, by=by),
    ):
        call.wait_bye(timeout=CALL_MAX + 2)
        with pytest.raises(ClientError, match="no BYE in time"):
            incoming.wait_bye(timeout=2)
